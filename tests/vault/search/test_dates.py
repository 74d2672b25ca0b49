"""Dates as terms: what a question names meets what a memory carries."""

from calendar import month_name
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.model import Span, TimeMention
from vault.search.dates import terms_of_question, terms_of_time

DAY = {":2023", ":--05", ":2023-05", ":--05-08", ":2023-05-08"}


@pytest.mark.parametrize(
    ("question", "terms"),
    [
        ("What happened on 8 May 2023?", DAY),
        ("What happened on 8 May, 2023?", DAY),
        ("What happened on May 8th, 2023?", DAY),
        ("What happened on 2023-05-08?", DAY),
        ("What did she do in May 2023?", {":2023", ":--05", ":2023-05"}),
        ("What did she do in 2023?", {":2023"}),
        ("What did she do last June?", {":--06"}),
        ("Where was he on the 3rd of sept?", {":--09", ":--09-03"}),
        ("May I ask whom she may march with?", set()),
        ("Which room is 2023b?", set()),
        ("Is 2023-99-99 a date?", {":2023"}),
    ],
)
def test_dates_in_a_question_become_terms(question: str, terms: set[str]) -> None:
    assert terms_of_question(question) == terms


def test_a_memory_carries_the_day_it_was_said_on() -> None:
    assert terms_of_time(datetime(2023, 5, 8, 13, 56, tzinfo=UTC)) == DAY
    assert terms_of_time(None) == set()


@pytest.mark.parametrize(
    ("start", "end", "present", "absent"),
    [
        (datetime(2023, 5, 7, tzinfo=UTC), datetime(2023, 5, 8, tzinfo=UTC), ":2023-05-07", ":2023-05-08"),
        (datetime(2023, 5, 1, tzinfo=UTC), datetime(2023, 5, 8, tzinfo=UTC), ":2023-05-07", ":2023-05-08"),
        (datetime(2023, 5, 1, tzinfo=UTC), datetime(2023, 6, 1, tzinfo=UTC), ":2023-05", ":2023-05-01"),
        (datetime(2022, 1, 1, tzinfo=UTC), datetime(2023, 1, 1, tzinfo=UTC), ":2022", ":2022-01"),
        (datetime(1990, 1, 1, tzinfo=UTC), datetime(2000, 1, 1, tzinfo=UTC), "", ":1990"),
    ],
    ids=["a day", "a week", "a month", "a year", "a decade says nothing"],
)
def test_a_memory_carries_the_times_it_speaks_of(
    start: datetime, end: datetime, present: str, absent: str
) -> None:
    found = terms_of_time(None, [TimeMention(Span(0, 1), start, end)])
    assert present in found | {""}
    assert absent not in found


@given(st.datetimes())
def test_a_day_written_out_meets_a_memory_of_that_day(moment: datetime) -> None:
    asked = terms_of_question(f"what about {moment:%Y}-{moment:%m}-{moment:%d}?")
    if 1900 <= moment.year < 2100:
        assert asked == terms_of_time(moment)


@pytest.mark.parametrize("month", range(1, 13))
@pytest.mark.parametrize("write", [str.lower, str.upper, str.title, lambda name: name[:3].lower()])
def test_every_month_is_read_without_a_digit_beside_it(month: int, write: Callable[[str], str]) -> None:
    assert terms_of_question(f"what was in {write(month_name[month])}?") == {f":--{month:02}"}


@given(st.text())
def test_no_question_breaks_the_reader(text: str) -> None:
    assert all(term.startswith(":") for term in terms_of_question(text))


def test_the_last_days_of_the_calendar_are_no_trap() -> None:
    last = datetime.max.replace(tzinfo=UTC)
    assert ":9999-12-31" in terms_of_time(last, [TimeMention(Span(0, 1), last, last)])
