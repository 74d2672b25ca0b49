"""The table of problems: complete, stable, and free of content."""

import importlib
from collections.abc import Iterator

import pytest

from api.errors import ArgumentInvalidError, FieldFault
from api.problems import EXPECTED, INTERNAL, PROBLEMS, Exit, detail_of, outline, problem_of
from vault.errors import VaultError
from vault.search.embed import ModelFileError


def _tree(root: type[Exception]) -> Iterator[type[Exception]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


def _declared() -> list[type[Exception]]:
    rooms = [
        importlib.import_module(name)
        for name in ("vault.errors", "policies.errors", "audit.errors", "api.errors")
    ]
    return [
        kind
        for room in rooms
        for kind in vars(room).values()
        if isinstance(kind, type) and issubclass(kind, Exception) and kind.__module__ == room.__name__
    ]


def test_every_declared_error_has_an_entry_of_its_own() -> None:
    assert {kind.__qualname__ for kind in _declared() if kind not in PROBLEMS} == set()


def test_the_table_has_nothing_else() -> None:
    assert set(PROBLEMS) == set(_declared())


def test_errors_made_elsewhere_take_the_entry_of_their_nearest_ancestor() -> None:
    for root in EXPECTED:
        for kind in _tree(root):
            assert problem_of(kind) is not INTERNAL, kind
    assert problem_of(ModelFileError).slug == "store-corrupt"


def test_an_error_of_no_tree_is_internal() -> None:
    assert problem_of(ZeroDivisionError) is INTERNAL
    assert problem_of(KeyboardInterrupt) is INTERNAL


def test_types_are_unique_urns() -> None:
    slugs = [problem.slug for problem in PROBLEMS.values()] + [INTERNAL.slug]
    assert len(set(slugs)) == len(slugs)
    assert all(slug.replace("-", "").isalpha() and slug.islower() for slug in slugs)


def test_statuses_are_of_errors_and_no_error_exits_with_success() -> None:
    for problem in PROBLEMS.values():
        assert 400 <= problem.status <= 599
        assert problem.exit is not Exit.OK


def test_exit_codes_are_those_that_the_documentation_promises() -> None:
    assert {one.name: one.value for one in Exit} == {
        "OK": 0,
        "ERROR": 1,
        "USAGE": 2,
        "VERIFICATION_FAILED": 3,
        "DENIED": 4,
        "NOT_AUTHENTICATED": 5,
        "NOT_FOUND": 6,
        "CONFLICT": 7,
        "NOT_CHECKED": 9,
    }


def test_only_errors_of_ours_are_told_by_their_message() -> None:
    assert detail_of(VaultError("expected x")) == "expected x"
    assert "secret" not in detail_of(ValueError("secret"))
    assert "1" in detail_of(ArgumentInvalidError((FieldFault("body", "unknown field"),)))


def test_an_outline_names_types_and_places_and_no_message() -> None:
    def choke(secret: str) -> None:
        raise ValueError(secret)

    def fail(secret: str) -> None:
        try:
            choke(secret)
        except ValueError as cause:
            raise RuntimeError(f"about {secret}") from cause

    with pytest.raises(RuntimeError) as caught:
        fail("Maria Keller")
    told = outline(caught.value)
    assert "builtins.RuntimeError" in told
    assert "builtins.ValueError" in told
    assert "test_problems" in told
    assert "Maria" not in told


def test_an_outline_of_errors_that_cause_each_other_ends() -> None:
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert outline(first).splitlines() == ["builtins.ValueError", "builtins.KeyError"]
