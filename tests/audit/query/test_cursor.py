"""Cursors: a place in the answers to one question, and no other."""

from base64 import urlsafe_b64encode
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import RangeInvalidError
from audit.query.cursor import Cursor

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@given(
    st.integers(0, 2**53),
    st.integers(0, 2**53),
    st.booleans(),
    st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # bounds are naive
)
def test_a_cursor_is_read_back(size: int, index: int, oldest: bool, now: datetime) -> None:  # noqa: FBT001  # drawn
    size = max(size, index + 1)
    cursor = Cursor.first(size, "actor:a", now, oldest_first=oldest).after(index)
    assert Cursor.read(cursor.write()) == cursor
    assert cursor.window == ((index + 1, size) if oldest else (0, index))
    cursor.expect("actor:a")
    with pytest.raises(RangeInvalidError):
        cursor.expect("actor:b")


@given(
    st.text(max_size=80)
    | st.binary(min_size=42, max_size=42).map(lambda data: urlsafe_b64encode(data).decode())
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    try:
        read = Cursor.read(text)
    except RangeInvalidError:
        return
    assert read.write() == text


@pytest.mark.parametrize("place", range(56))
def test_a_cursor_with_one_letter_altered_is_another_or_none(place: int) -> None:
    text = Cursor.first(1000, "actor:a", NOW, oldest_first=False).after(500).write()
    other = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
    try:
        read = Cursor.read(other)
    except RangeInvalidError:
        return
    assert read != Cursor.read(text)
    assert 0 <= read.bound <= read.size


def test_a_bound_beyond_the_tree_is_refused() -> None:
    text = Cursor(10, 11, NOW, bytes(16), oldest_first=False).write()
    with pytest.raises(RangeInvalidError):
        Cursor.read(text)


def test_times_beyond_the_calendar_are_refused() -> None:
    data = bytes([1, 0]) + bytes(16) + (2**62).to_bytes(8) + bytes(16)
    with pytest.raises(RangeInvalidError):
        Cursor.read(urlsafe_b64encode(data).decode())
