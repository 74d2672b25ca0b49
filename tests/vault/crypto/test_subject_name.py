"""Names of subjects: one person is one subject, however the name is typed."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vault.crypto.subject_name import check_subject_id, normal_name, subject_id
from vault.errors import IdentifierInvalidError

KEY = bytes(32)


@pytest.mark.parametrize(
    "typed",
    [
        "anna müller",
        "ANNA MÜLLER",
        "  Anna   Mu\u0308ller ",
        "Anna\u00a0Müller",
        "An\u200bna Mü\u00adller",
        "Ａｎｎａ Müller",
        "Anna\tMüller\n",
    ],
)
def test_one_person_has_one_id(typed: str) -> None:
    assert subject_id(KEY, typed) == subject_id(KEY, "Anna Müller")


def test_sharp_s_and_its_capital_are_one() -> None:
    assert subject_id(KEY, "STRASSE") == subject_id(KEY, "straße") == subject_id(KEY, "STRAẞE")


def test_another_person_or_key_gives_another_id() -> None:
    assert len({subject_id(KEY, "Anna"), subject_id(KEY, "Anne"), subject_id(b"k" * 32, "Anna")}) == 3


def test_an_id_does_not_carry_the_name() -> None:
    made = subject_id(KEY, "anna")
    assert re.fullmatch(r"sub_[a-z2-7]{26}", made)
    assert check_subject_id(made) == made
    assert "anna" not in made


def test_an_id_stays_the_same_in_every_release() -> None:
    assert subject_id(KEY, "Anna Müller") == KEPT


KEPT = "sub_xtanbwsgnu4fc6e4mdq76ndrdz"


@given(st.text(min_size=1, max_size=50))
def test_the_normal_form_is_stable(name: str) -> None:
    try:
        normal = normal_name(name)
    except IdentifierInvalidError:
        assume(condition=False)
    assert normal_name(normal) == normal


def test_an_invisible_letter_between_a_letter_and_its_accent_changes_nothing() -> None:
    assert normal_name("Rene\u200b\u0301") == normal_name("Ren\u00e9")


@pytest.mark.parametrize("bad", ["", "   ", "\u200b", "a\x00b", "a\ud800", "x" * 257, "a\x07"])
def test_a_name_that_is_no_visible_text_is_refused(bad: str) -> None:
    with pytest.raises(IdentifierInvalidError) as refused:
        subject_id(KEY, bad)
    assert not bad.strip() or bad not in str(refused.value)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "sub_",
        "anna",
        "sub_" + "a" * 25,
        "sub_" + "a" * 27,
        "sub_" + "A" * 26,
        "sub_" + "1" * 26,
        "sub_" + "a" * 26 + "\n",
    ],
)
def test_what_is_no_subject_id_is_refused(bad: str) -> None:
    with pytest.raises(IdentifierInvalidError):
        check_subject_id(bad)
