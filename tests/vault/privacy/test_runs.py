"""Findings grow to whole words, and the parts of one thing become one run."""

import pytest

from policies.privacy import EntityType as E
from vault.privacy.findings import Finding
from vault.privacy.runs import whole_runs


def runs(text: str, *parts: tuple[E, str], score: float = 0.4) -> list[tuple[E, str]]:
    found = [Finding(kind, text.index(part), text.index(part) + len(part), score) for kind, part in parts]
    return [(one.kind, text[one.start : one.end]) for one in whole_runs(text, found, frozenset({"redis"}))]


def test_a_finding_inside_a_word_covers_the_word() -> None:
    assert runs("met Annabel there", (E.PERSON, "Anna")) == [(E.PERSON, "Annabel")]


@pytest.mark.parametrize("text", ["Ann's dog", "Ann’s dog"])
def test_the_possessive_stays_readable(text: str) -> None:
    assert runs(text, (E.PERSON, text[:5])) == [(E.PERSON, "Ann")]


def test_the_pieces_of_an_address_become_one() -> None:
    text = "at 12 Main St,\n Springfield, 62704 (USA) now"
    assert runs(
        text,
        (E.ADDRESS, "12 Main St"),
        (E.LOCATION, "Springfield"),
        (E.POSTCODE, "62704"),
        (E.LOCATION, "USA"),
    ) == [(E.ADDRESS, text[3:-5])]


def test_two_towns_stay_two() -> None:
    assert len(runs("Paris, Lyon", (E.LOCATION, "Paris"), (E.LOCATION, "Lyon"))) == 2


def test_title_initial_and_names_become_one_person() -> None:
    assert runs("Dr. J. R. Lee", (E.TITLE, "Dr"), (E.PERSON, "J"), (E.PERSON, "R"), (E.PERSON, "Lee")) == [
        (E.PERSON, "Dr. J. R. Lee")
    ]


def test_a_sentence_s_end_keeps_two_people_apart() -> None:
    assert len(runs("I saw Maria. John left.", (E.PERSON, "Maria"), (E.PERSON, "John"))) == 2


def test_a_technical_term_is_nobody() -> None:
    assert runs("Redis and Ann", (E.PERSON, "Redis"), (E.PERSON, "Ann")) == [(E.PERSON, "Ann")]


def test_a_name_found_once_is_found_again() -> None:
    text = "Wacław Borkowski came. Borkowski's car stood there, and borkowskis did not."
    assert runs(text, (E.PERSON, "Wacław Borkowski"), score=0.9) == [
        (E.PERSON, "Wacław Borkowski"),
        (E.PERSON, "Borkowski"),
    ]
