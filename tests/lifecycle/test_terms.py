"""When a job runs: intervals, and cron terms in UTC."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.scheduler import Cron
from lifecycle.terms import MAX_SECONDS, MIN_SECONDS, Every, parse_term
from vault.errors import InputInvalidError

MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # Hypothesis adds it


def after(term: str, moment: datetime) -> datetime:
    parsed = parse_term(term)
    assert parsed is not None
    return parsed.after(moment)


@pytest.mark.parametrize(
    ("term", "moment", "expected"),
    [
        ("17 3 * * *", datetime(2026, 11, 22, 12, tzinfo=UTC), datetime(2026, 11, 23, 3, 17, tzinfo=UTC)),
        ("17 3 * * *", datetime(2026, 11, 23, 3, 17, tzinfo=UTC), datetime(2026, 11, 24, 3, 17, tzinfo=UTC)),
        (
            "17 3 * * *",
            datetime(2026, 11, 23, 3, 16, 59, 999_999, UTC),
            datetime(2026, 11, 23, 3, 17, tzinfo=UTC),
        ),
        ("0 3 29 2 *", datetime(2026, 3, 1, tzinfo=UTC), datetime(2028, 2, 29, 3, tzinfo=UTC)),
        ("0 3 29 2 *", datetime(2096, 3, 1, tzinfo=UTC), datetime(2104, 2, 29, 3, tzinfo=UTC)),
        ("0 0 last * *", datetime(2028, 2, 1, tzinfo=UTC), datetime(2028, 2, 29, tzinfo=UTC)),
        ("0 0 31 * *", datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 31, tzinfo=UTC)),
        ("0 0 1 jan *", datetime(2026, 12, 31, 23, 59, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        ("30 4 * * sun", datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 29, 4, 30, tzinfo=UTC)),
        (
            "*/15 * * * mon-fri",
            datetime(2026, 11, 20, 23, 50, tzinfo=UTC),
            datetime(2026, 11, 23, tzinfo=UTC),
        ),
        ("90m", datetime(2026, 2, 28, 23, tzinfo=UTC), datetime(2026, 3, 1, 0, 30, tzinfo=UTC)),
    ],
)
def test_a_term_comes_next_at(term: str, moment: datetime, expected: datetime) -> None:
    assert after(term, moment) == expected


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"])
@pytest.mark.parametrize("day", [datetime(2026, 3, 29), datetime(2026, 10, 25), datetime(2026, 11, 1)])  # noqa: DTZ001  # a zone is added
def test_a_change_of_summer_time_neither_skips_nor_repeats_a_run(zone: str, day: datetime) -> None:
    """Two days of a daily term, looked at from a zone that changes between them: 24 hours apart, once each."""
    seen, moment = [], day.replace(tzinfo=ZoneInfo(zone))
    for _ in range(48):
        moment += timedelta(hours=1)
        seen.append(after("30 2 * * *", moment))
    assert all(one.tzinfo is UTC and (one.hour, one.minute) == (2, 30) for one in seen)
    different = sorted(set(seen))
    assert [later - earlier for earlier, later in pairwise(different)] == [timedelta(days=1)] * (
        len(different) - 1
    )


@given(moment=MOMENTS)
def test_what_comes_next_is_later_and_nothing_comes_in_between(moment: datetime) -> None:
    cron = Cron("13 */7 * * *")
    following = cron.after(moment)
    assert following > moment
    assert cron.after(following - timedelta(microseconds=1)) == following
    assert cron.after(moment + (following - moment) / 2) == following


@pytest.mark.parametrize(
    "term",
    [
        "",
        "x",
        "1 2 3 4",
        "1 2 3 4 5 6",
        "99 * * * *",
        "0 24 * * *",
        "0 0 0 * *",
        "* * * 13 *",
        "0 0 31 2 *",
        "0 0 30 feb *",
        "0s",
        "9s",
        "367d",
        "-5m",
        "1w",
        "1.5h",
        "٣m",
        "1h30m",
    ],
)
def test_what_is_no_term_is_refused(term: str) -> None:
    with pytest.raises(InputInvalidError):
        parse_term(term)


@pytest.mark.parametrize("day", ["0", "7", "1-5", "mon,2", "5#2"])
def test_a_numbered_weekday_is_refused_since_two_programs_mean_two_days_by_it(day: str) -> None:
    with pytest.raises(InputInvalidError, match="names of weekdays"):
        parse_term(f"0 0 * * {day}")


def test_off_is_no_term() -> None:
    assert parse_term(" off ") is None


@given(seconds=st.integers(MIN_SECONDS, MAX_SECONDS))
def test_an_interval_is_read_back_as_it_is_written(seconds: int) -> None:
    assert parse_term(Every(seconds).text) == Every(seconds)


def test_a_cron_term_is_read_back_as_it_is_written() -> None:
    term = parse_term(" 17  3 * * mon-fri ")
    assert isinstance(term, Cron)
    assert term.text == "17 3 * * mon-fri"
