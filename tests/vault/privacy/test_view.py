"""The view folds what hides, and every character of it knows where it came from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.privacy.view import view_of

HIDDEN = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u202a\u202e\u2066\u2069\ufe0f\u034f\U000e0041"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain text, nothing to fold", "plain text, nothing to fold"),
        ("12\u200b3-4\u200d5-6789", "123-45-6789"),
        ("１２３－４５－６７８９", "123-45-6789"),
        ("١٢٣-٤٥-٦٧٨٩", "123-45-6789"),
        ("&#49;&#x32;3&#45;45-6789", "123-45-6789"),
        ("ann&#64;mail&period;org", "ann@mail.org"),
        ("12<b>3-4</b>5-6789", "123-45-6789"),
        ("a\u2011b \u2013 c", "a-b - c"),
        ("Jose\u0301", "José"),
        ("O\u2019Neill", "O'Neill"),
        ("a\u00a0b", "a b"),
        ("\ufb01ne", "fine"),
        ("<a href='x'>y</a>", "<a href='x'>y</a>"),
        ("&nosuchentity; &", "&nosuchentity; &"),
    ],
)
def test_what_hides_is_folded(text: str, seen: str) -> None:
    assert view_of(text).text == seen


def test_a_span_of_the_view_covers_what_was_hidden_in_the_source() -> None:
    text = "ssn 12\u200b3-4\u200b5-6789!"
    view = view_of(text)
    start = view.text.index("123")
    assert view.to_source(start, start + 11) == (4, len(text) - 1)


def test_plain_text_is_its_own_view() -> None:
    text = "Größe: 12 (Ångström)"
    view = view_of(text)
    assert view.text == text
    assert view.to_source(3, 7) == (3, 7)


@given(st.text(max_size=200))
def test_offsets_are_ordered_and_inside_the_source(text: str) -> None:
    view = view_of(text)
    if view.starts is None or view.ends is None:
        assert view.text == text
        return
    assert len(view.starts) == len(view.ends) == len(view.text)
    assert all(0 <= start < end <= len(text) for start, end in zip(view.starts, view.ends, strict=True))
    assert list(view.starts) == sorted(view.starts)
    assert list(view.ends) == sorted(view.ends)


@given(
    st.text(alphabet="abc 123-@.", max_size=60),
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from(HIDDEN)), max_size=12),
)
def test_invisible_characters_anywhere_change_no_view(text: str, marks: list[tuple[int, str]]) -> None:
    hiding = text
    for place, mark in marks:
        at = min(place, len(hiding))
        hiding = hiding[:at] + mark + hiding[at:]
    assert view_of(hiding).text == text


@given(st.text(max_size=120))
def test_the_view_of_a_view_is_itself_unless_markup_appears(text: str) -> None:
    seen = view_of(text).text
    if "&" not in seen and "<" not in seen and all(char.isascii() for char in seen):
        assert view_of(seen).text == seen
