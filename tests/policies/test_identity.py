"""A bundle's name and version: read strictly, and refused with line and column."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.errors import PolicyInvalidError
from policies.identity import IDENTITY, MAX_VERSION, Identity, parse_identity

GOOD = "# Ours.\nname: ward-1\ndescription: Of one ward.\nversion: 12\n"


def test_name_and_version_are_read_with_their_places() -> None:
    found = parse_identity(GOOD)
    assert found == Identity("ward-1", 12, "Of one ward.")
    assert (found.name_at, found.version_at) == ((2, 7), (4, 10))
    assert parse_identity(f"name: a\nversion: {MAX_VERSION}").version == MAX_VERSION


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("", (1, 1), "a mapping"),
        ("- a\n", (1, 1), "a mapping"),
        ("name: a\n", (1, 1), "missing version"),
        ("version: 1\n", (1, 1), "missing name"),
        ("name: [\n", (2, 1), "YAML"),
        ("[" * 4_000, (1, 1), "YAML"),
        ("name: a\x07\n", (1, 1), "YAML"),
        ("name: a\n---\nname: b\n", (2, 1), "YAML"),
        ("name: a\nversion: 1\nversion: 2\n", (3, 1), "each key once"),
        ("name: a\nversion: 1\nauthor: me\n", (3, 1), "known keys"),
        ("? [a]\n: 1\n", (1, 3), "known keys"),
        ("name: [a]\nversion: 1\n", (1, 7), "one value of name"),
        ("name: &a b\nversion: *a\n", (1, 7), "a whole version"),
        ("name: A\nversion: 1\n", (1, 7), "lower-case words"),
        ("name: 7\nversion: 1\n", (1, 7), "lower-case words"),
        ("name: a-1234567\nversion: 1\n", (1, 7), "lower-case words"),
        (f"name: {'a' * 65}\nversion: 1\n", (1, 7), "lower-case words"),
        ("name: a\nversion: 0\n", (2, 10), "a whole version"),
        ("name: a\nversion: -1\n", (2, 10), "a whole version"),
        ("name: a\nversion: 010\n", (2, 10), "a whole version"),
        ("name: a\nversion: 1_0\n", (2, 10), "a whole version"),
        ("name: a\nversion: 1.5\n", (2, 10), "a whole version"),
        ("name: a\nversion: '1'\n", (2, 10), "a whole version"),
        (f"name: a\nversion: {MAX_VERSION + 1}\n", (2, 10), "a whole version"),
        ('name: a\nversion: 1\ndescription: "a\\nb"\n', (3, 14), "a description"),
        ("name: a\nversion: 1\ndescription: 3\n", (3, 14), "a description"),
        (f"name: a\nversion: 1\ndescription: {'a' * 501}\n", (3, 14), "a description"),
    ],
)
def test_anything_else_is_refused_where_it_stands(text: str, place: tuple[int, int], reason: str) -> None:
    with pytest.raises(PolicyInvalidError, match=reason) as refused:
        parse_identity(text)
    error = refused.value
    assert (error.file, error.code) == (IDENTITY, "bundle-invalid")
    assert (error.line, error.column) == place


@given(st.text(max_size=80))
def test_no_text_ends_in_anything_but_an_identity_or_a_refusal(text: str) -> None:
    with suppress(PolicyInvalidError):
        assert 1 <= parse_identity(text).version <= MAX_VERSION
