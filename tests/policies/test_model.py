"""The vocabulary of decisions refuses what is empty, unknown or personal."""

import pytest

from policies.errors import RequestInvalidError
from policies.model import (
    AccessTier,
    Action,
    Principal,
    Purpose,
    Relation,
    Request,
    Role,
    SystemResource,
    check_id,
)

SOMEONE = Principal("dr-b", "clinic", frozenset({Role.CLINICIAN}))


@pytest.mark.parametrize("good", ["a", "dr-b", "team.a_1", "x" * 64, "a-123456"])
def test_plain_ids_are_accepted(good: str) -> None:
    assert check_id("principal", good) == good


@pytest.mark.parametrize(
    "bad",
    [
        "",
        " ",
        "A",
        "a b",
        "a@b.example",
        "-a",
        "a-",
        "a--b",
        "x" * 65,
        "a\n",
        "ä",
        "1234567",
        "a-123-45-67-8",
        "a\x00",
    ],
)
def test_ids_that_could_be_personal_or_ambiguous_are_refused(bad: str) -> None:
    with pytest.raises(RequestInvalidError) as refused:
        check_id("principal", bad)
    assert len(bad) < 2 or bad not in str(refused.value)


def test_a_principal_without_a_role_is_refused() -> None:
    with pytest.raises(RequestInvalidError, match="at least one known role"):
        Principal("dr-b", "clinic", frozenset())


def test_a_principal_with_a_made_up_role_is_refused() -> None:
    with pytest.raises(RequestInvalidError, match="at least one known role"):
        Principal("dr-b", "clinic", frozenset({"clinician"}))  # type: ignore[arg-type]  # that is the test


@pytest.mark.parametrize("at", range(6))
def test_a_request_of_empty_strings_is_refused(at: int) -> None:
    """Casbin allows an empty request under an empty policy: no such request can be made."""
    parts = [SOMEONE, "clinic", AccessTier.PRIVATE, Relation.OWNER, Action.READ, Purpose.TREATMENT]
    assert Request(*parts).principal is SOMEONE  # type: ignore[arg-type]  # a list of the right types
    parts[at] = ""
    with pytest.raises(RequestInvalidError):
        Request(*parts)  # type: ignore[arg-type]  # that is the test


def test_the_names_of_resources_do_not_overlap() -> None:
    assert not {tier.value for tier in AccessTier} & {resource.value for resource in SystemResource}


def test_a_principal_of_made_up_assurance_is_refused() -> None:
    with pytest.raises(RequestInvalidError, match="known assurance"):
        Principal("dr-b", "clinic", frozenset({Role.CLINICIAN}), "mfa")  # type: ignore[arg-type]  # that is the test
