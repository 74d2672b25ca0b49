"""Durations by the calendar: never early, later starts never end earlier, and one bound for all that is over."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.duration import MAX_YEARS, Duration

DURATIONS = st.builds(
    Duration,
    months=st.integers(0, 12 * 60),
    days=st.integers(1, 800),
) | st.builds(Duration, months=st.integers(1, 12 * 60), days=st.integers(0, 800))
TIMES = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # made aware


def at(year: int, month: int, day: int, hour: int = 0) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "months", "days"),
    [
        ("P90D", 0, 90),
        ("P7Y", 84, 0),
        ("P18M", 18, 0),
        ("P2W", 0, 14),
        ("P1Y2M3W4D", 14, 25),
        ("P0Y1D", 0, 1),
        (f"P{MAX_YEARS}Y", 12 * MAX_YEARS, 0),
    ],
)
def test_durations_are_read(text: str, months: int, days: int) -> None:
    assert Duration.parse(text) == Duration(months, days)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("P0D", "longer than zero"),
        ("P0Y0M", "longer than zero"),
        ("-P1D", "longer than zero"),
        ("P-1D", "a duration such as"),
        ("", "a duration such as"),
        ("P", "a duration such as"),
        ("90", "a duration such as"),
        ("P1D1Y", "a duration such as"),
        ("P1.5Y", "a duration such as"),
        ("PT24H", "a duration such as"),
        ("P1YT1H", "a duration such as"),
        ("p1y", "a duration such as"),
        ("P1Y ", "a duration such as"),
        ("P1Y\n", "a duration such as"),
        ("P١Y", "a duration such as"),
        ("P99999999999Y", "a duration such as"),
        (f"P{MAX_YEARS + 1}Y", "at most"),
        ("P999999D", "at most"),
    ],
)
def test_what_is_no_duration_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Duration.parse(text)


@given(DURATIONS)
def test_a_duration_is_read_as_it_is_written(duration: Duration) -> None:
    assert Duration.parse(str(duration)) == duration


@pytest.mark.parametrize(
    ("start", "term", "end"),
    [
        (at(2023, 2, 28, 12), "P1Y", at(2024, 2, 28, 12)),
        (at(2024, 2, 29, 12), "P1Y", at(2025, 3, 1)),
        (at(2024, 2, 29, 12), "P4Y", at(2028, 2, 29, 12)),
        (at(2096, 2, 29, 12), "P4Y", at(2100, 3, 1)),  # 2100 is no leap year
        (at(2024, 1, 31, 8), "P1M", at(2024, 3, 1)),
        (at(2025, 1, 31, 8), "P1M", at(2025, 3, 1)),
        (at(2025, 1, 30, 8), "P1M1D", at(2025, 3, 2)),
        (at(2025, 8, 31, 8), "P1M", at(2025, 10, 1)),
        (at(2025, 12, 31, 8), "P2M", at(2026, 3, 1)),
        (at(2024, 2, 28, 8), "P2D", at(2024, 3, 1, 8)),
        (at(2024, 12, 31, 8), "P1D", at(2025, 1, 1, 8)),
    ],
)
def test_leap_days_and_ends_of_months_are_never_early(start: datetime, term: str, end: datetime) -> None:
    assert Duration.parse(term).after(start) == end


def test_a_term_is_counted_in_utc_whatever_zone_its_start_is_given_in() -> None:
    east = timezone(timedelta(hours=14))
    start = datetime(2025, 3, 1, 9, tzinfo=east)  # 28 February, 19:00 UTC
    assert Duration.parse("P1M").after(start) == at(2025, 3, 28, 19)


def test_what_ends_beyond_the_calendar_ends_with_it() -> None:
    for term in ("P100Y", "P36600D"):
        end = Duration.parse(term).after(at(9990, 1, 1))
        assert end == datetime.max.replace(tzinfo=UTC)


@given(DURATIONS, TIMES, st.timedeltas(timedelta(0), timedelta(days=70)))
def test_later_starts_never_end_earlier(duration: Duration, start: datetime, later: timedelta) -> None:
    assert start < duration.after(start) <= duration.after(start + later)


@given(DURATIONS, TIMES)
def test_one_bound_parts_what_is_over_from_what_is_not(duration: Duration, now: datetime) -> None:
    latest = duration.latest_start(now)
    assert latest is not None
    assert duration.after(latest) <= now
    assert duration.after(latest + timedelta(microseconds=1)) > now


def test_nothing_is_over_where_the_calendar_begins_later() -> None:
    assert Duration.parse("P30Y").latest_start(at(20, 1, 1)) is None


@settings(max_examples=40)  # each compares from 24,000 days
@given(DURATIONS, DURATIONS, TIMES)
def test_what_covers_is_never_the_shorter(one: Duration, other: Duration, start: datetime) -> None:
    if one.covers(other):
        assert one.after(start) >= other.after(start)
    else:
        assert not (one.months >= other.months and one.days >= other.days)


@pytest.mark.parametrize(
    ("one", "other", "covers"),
    [
        ("P1Y", "P12M", True),
        ("P1Y", "P365D", True),
        ("P1Y", "P366D", False),  # 2025 has 365
        ("P366D", "P1Y", True),
        ("P365D", "P1Y", False),  # 2024 has 366
        ("P1M", "P28D", True),
        ("P1M", "P29D", False),
        ("P31D", "P1M", True),
        ("P30D", "P1M", False),
        ("P2W", "P14D", True),
        ("P7Y", "P2555D", True),
        ("P7Y", "P2556D", False),  # 1897 to 1903 has one leap day
    ],
)
def test_years_and_days_are_compared_for_every_start(one: str, other: str, covers: bool) -> None:  # noqa: FBT001  # a case
    assert Duration.parse(one).covers(Duration.parse(other)) is covers
