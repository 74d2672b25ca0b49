"""The hand-labelled turns say what their rules say, and hold nobody's real data."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.corpus.write_labels import FOLDER, Label, LabelledTurn, rendered

TYPES = {
    "ACCOUNT_NUMBER", "AGE", "API_KEY", "CREDIT_CARD", "DATE_OF_BIRTH", "EMAIL_ADDRESS", "GPE", "IBAN_CODE", "IP_ADDRESS",
    "LICENSE_PLATE", "MEDICAL_RECORD_NUMBER", "NATIONAL_ID", "NRP", "ORGANIZATION", "PASSPORT", "PASSWORD", "PERSON",
    "PHONE_NUMBER", "STREET_ADDRESS", "TITLE", "URL", "US_DRIVER_LICENSE", "US_SSN", "ZIP_CODE",
}  # fmt: skip


@pytest.fixture(scope="module")
def turns() -> list[LabelledTurn]:
    loaded: list[LabelledTurn] = json.loads((FOLDER / "labelled_turns.json").read_text("utf-8"))
    return loaded


def _values(turns: list[LabelledTurn], kind: str) -> list[str]:
    return [
        turn["text"][span["start"] : span["end"]]
        for turn in turns
        for span in turn["spans"]
        if span["type"] == kind
    ]


def _by_place(label: Label) -> int:
    return label["start"]


def test_the_json_is_what_the_marked_text_says() -> None:
    assert Path(FOLDER / "labelled_turns.json").read_text("utf-8") == rendered(
        (FOLDER / "labelled_turns.txt").read_text("utf-8")
    )


def test_there_are_at_least_160_different_turns_a_quarter_of_them_clean(turns: list[LabelledTurn]) -> None:
    assert len({turn["text"] for turn in turns}) == len(turns) >= 160
    assert sum(not turn["spans"] for turn in turns) >= len(turns) // 4


def test_spans_are_in_order_disjoint_tight_and_of_known_types(turns: list[LabelledTurn]) -> None:
    for turn in turns:
        end = 0
        for span in sorted(turn["spans"] + turn["optional"], key=_by_place):
            value = turn["text"][span["start"] : span["end"]]
            assert end <= span["start"] < span["end"] <= len(turn["text"])
            assert value == value.strip()
            assert value
            assert span["type"] in TYPES
            end = span["end"]
        assert "[[" not in turn["text"]
        assert "]]" not in turn["text"]


def test_every_type_occurs_and_names_occur_most(turns: list[LabelledTurn]) -> None:
    counts = Counter(span["type"] for turn in turns for span in turn["spans"])
    assert set(counts) == TYPES
    assert counts.most_common(1)[0][0] == "PERSON"


def test_addresses_are_of_domains_and_networks_reserved_for_documentation(turns: list[LabelledTurn]) -> None:
    assert all(
        re.search(r"\bexample\b", value) for value in _values(turns, "EMAIL_ADDRESS") + _values(turns, "URL")
    )
    assert all(
        value.startswith(("192.0.2.", "198.51.100.", "203.0.113.", "2001:db8:"))
        for value in _values(turns, "IP_ADDRESS")
    )


def test_phones_are_of_ranges_reserved_for_fiction(turns: list[LabelledTurn]) -> None:
    reserved = re.compile(r"(\d{3})?55501\d\d|(44|0)7700900\d{3}|02079460\d{3}|4930231250?\d{2,3}|0255501234")
    written = [re.sub(r"\D", "", value) for value in _values(turns, "PHONE_NUMBER")]
    assert all(reserved.fullmatch(digits) for digits in written if digits)
