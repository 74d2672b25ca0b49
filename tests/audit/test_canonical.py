"""Canonical JSON, held against the rfc8785 package."""

import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from audit.canonical import MAX_DEPTH, MAX_INTEGER, JsonValue, canonical, parse_canonical
from audit.errors import EntryInvalidError, PayloadMalformedError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
keys = st.text(st.characters(max_codepoint=127), min_size=1, max_size=12)
scalars = st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | texts
values: st.SearchStrategy[JsonValue] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_any_value_is_written_as_the_reference_writes_it_and_reads_back(value: JsonValue) -> None:
    text = canonical(value)
    assert text.encode() == rfc8785.dumps(value)
    assert parse_canonical(text) == value


def test_tuples_are_written_as_lists() -> None:
    assert canonical({"ids": ("b", "a")}) == '{"ids":["b","a"]}'


@pytest.mark.parametrize(
    "value",
    [
        0.5,
        {"x": 1.0},
        float("nan"),
        MAX_INTEGER + 1,
        -MAX_INTEGER - 1,
        b"bytes",
        {1: "x"},
        {"": 1},
        {"k" * 65: 1},
        {"é": 1},
        {1, 2},
    ],
)
def test_what_two_programs_could_write_differently_is_refused(value: JsonValue) -> None:
    with pytest.raises(EntryInvalidError, match="expected"):
        canonical(value)


def test_nesting_is_bounded() -> None:
    value: JsonValue = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    assert parse_canonical(canonical(value)) == value
    with pytest.raises(EntryInvalidError, match="nested at most 16"):
        canonical([value])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        ' {"a":1}',
        '{"a": 1}',
        '{"b":1,"a":2}',
        '{"a":1,"a":1}',
        '{"a":1.0}',
        '{"a":1e3}',
        '{"a":NaN}',
        '{"a":-0}',
        r'{"a":"\u00e9"}',
        r'{"a":"\/"}',
        "[" * 100_000,
        "[" * 20 + "]" * 20,
        "9" * 5000,
        '{"é":1}',
    ],
)
def test_any_other_spelling_is_refused_when_read(text: str) -> None:
    with pytest.raises(PayloadMalformedError, match="canonical JSON"):
        parse_canonical(text)


@given(values)
def test_a_spelling_with_spaces_is_refused_where_it_differs(value: JsonValue) -> None:
    spaced = json.dumps(value, ensure_ascii=False, indent=1)
    if spaced != canonical(value):
        with pytest.raises(PayloadMalformedError):
            parse_canonical(spaced)
