"""Tokens: equal values meet within a subject, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.privacy import EntityType
from vault.privacy.tokens import TOKEN, SubjectTokens, normalise, redaction_mark


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (EntityType.PERSON, "Ann Lee", "ANN  LEE"),
        (EntityType.PERSON, "Ann Lee", "Dr. Ann Lee"),
        (EntityType.PERSON, "José", "Jose\u0301"),
        (EntityType.PERSON, "Straße", "STRASSE"),
        (EntityType.CARD, "4111 1111 1111 1111", "4111-1111-1111-1111"),
        (EntityType.SSN, "123-45-6789", "123456789"),
        (EntityType.IBAN, "GB82 WEST 1234 5698 7654 32", "gb82west12345698765432"),
        (EntityType.PHONE, "+1 (415) 555-2671", "1 415 555 2671"),
        (EntityType.EMAIL, "Ann@Example.org", "ann@example.org"),
        (EntityType.EMAIL, "ann@exam=\r\n> ple.org", "ann@example.org"),
        (EntityType.EMAIL, "ann\n@example.org", "ann@example.org"),
        (EntityType.ADDRESS, "12  Main St", "12 main st"),
        (EntityType.SSN, "１２３-45-6789", "123-45-6789"),
        (EntityType.SSN, "12\u200b3-45-6789", "123-45-6789"),
    ],
)
def test_the_same_value_written_otherwise_has_the_same_token(
    kind: EntityType, one: str, other: str, tokens: SubjectTokens
) -> None:
    assert tokens.token(kind, one) == tokens.token(kind, other)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (EntityType.PERSON, "Ann Lee", "Anne Lee"),
        (EntityType.SECRET, "aBc", "abc"),
        (EntityType.CARD, "4111 1111 1111 1111", "4111 1111 1111 1112"),
    ],
)
def test_other_values_have_other_tokens(
    kind: EntityType, one: str, other: str, tokens: SubjectTokens
) -> None:
    assert tokens.token(kind, one) != tokens.token(kind, other)


def test_another_subject_has_another_token_for_the_same_value(tokens: SubjectTokens) -> None:
    other = SubjectTokens(b"another subject's token key, too")
    assert tokens.token(EntityType.PERSON, "Ann Lee") != other.token(EntityType.PERSON, "Ann Lee")


def test_the_kind_is_part_of_the_token(tokens: SubjectTokens) -> None:
    assert tokens.token(EntityType.PERSON, "Paris")[-7:] != tokens.token(EntityType.LOCATION, "Paris")[-7:]


@given(st.sampled_from(EntityType), st.text(min_size=1, max_size=40))
def test_every_token_has_the_form_that_the_gate_leaves_alone(kind: EntityType, value: str) -> None:
    token = SubjectTokens(b"k" * 16).token(kind, value)
    assert TOKEN.fullmatch(token)
    assert token.startswith(f"[{kind}-")


@pytest.mark.parametrize(
    "forged",
    [
        "[PERSON-johnny]",
        "[PERSON-Johnny2]",
        "[NOBODY-a2b3c4]",
        "[PERSON-a2b3c]",
        "[person-a2b3c4]",
        "[PERSON-a2b3c4d]",
    ],
)
def test_a_name_in_brackets_is_no_token(forged: str) -> None:
    assert not TOKEN.fullmatch(forged)


@given(st.sampled_from(EntityType), st.text(max_size=60))
def test_normalising_twice_changes_nothing_more(kind: EntityType, value: str) -> None:
    once = normalise(kind, value)
    assert normalise(kind, once) == normalise(kind, normalise(kind, once))


def test_a_redaction_mark_is_left_alone_as_well() -> None:
    assert TOKEN.fullmatch(redaction_mark(EntityType.SECRET))


def test_a_short_key_is_refused_and_no_key_is_shown() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        SubjectTokens(b"short")
    assert "kkkk" not in repr(SubjectTokens(b"k" * 16))
