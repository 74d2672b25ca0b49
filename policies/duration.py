"""How long: ISO 8601 durations of years, months, weeks and days, added as a calendar adds them.

    >>> Duration.parse("P1M").after(datetime(2024, 1, 31, 8, tzinfo=UTC))
    datetime.datetime(2024, 3, 1, 0, 0, tzinfo=datetime.timezone.utc)

Owns parsing, adding, its inverse, and which of two is never the shorter. It leaves what a term is for to
`policies.retention`. Pure.

A day that a month has not got (31 January and a month, 29 February and a year) becomes the first instant of
the day after that month's last: never early, and later starts never end earlier. So the question "what is
over by now?" has one bound (`latest_start`), which a database can compare with.
"""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Final, Self

MAX_YEARS: Final = 1_000

_FORM: Final = re.compile(
    r"P(?:([0-9]{1,4})Y)?(?:([0-9]{1,5})M)?(?:([0-9]{1,5})W)?(?:([0-9]{1,6})D)?", re.ASCII
)
_MICROSECOND: Final = timedelta(microseconds=1)
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_CYCLE: Final = range(2000, 2400)
"""The Gregorian calendar repeats after 400 years."""
_SHORTEST_MONTH: Final = 28


@dataclass(frozen=True, slots=True)
class Duration:
    """Calendar months, then days.

    Raises:
        ValueError: negative, zero, or longer than `MAX_YEARS` years.
    """

    months: int
    days: int

    def __post_init__(self) -> None:
        if min(self.months, self.days) < 0 or self.months == self.days == 0:
            raise ValueError("expected a term longer than zero")
        if self.months > 12 * MAX_YEARS or self.days > 366 * MAX_YEARS:
            raise ValueError(f"expected a term of at most {MAX_YEARS} years, or forever")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse years, months, weeks and days in this order, such as `P7Y`, `P90D`, `P1Y6M`, `P2W`.

        Raises:
            ValueError: it is no such duration, not longer than zero, or too long.
        """
        if text.startswith("-"):
            raise ValueError("expected a term longer than zero")
        found = _FORM.fullmatch(text)
        if found is None or not any(found.groups()):
            raise ValueError("expected a duration such as P7Y, P18M, P2W or P90D")
        years, months, weeks, days = (int(part or 0) for part in found.groups())
        return cls(12 * years + months, 7 * weeks + days)

    def __str__(self) -> str:
        """Write it as `parse` reads it, in its shortest form."""
        years, months = divmod(self.months, 12)
        parts = ((years, "Y"), (months, "M"), (self.days, "D"))
        return "P" + "".join(f"{count}{unit}" for count, unit in parts if count)

    def after(self, start: datetime) -> datetime:
        """Return when a term that begins at `start` is over, in UTC; at most the end of the year 9999."""
        start = start.astimezone(UTC)
        day, whole = self._day(start.date())
        if day is None:
            return _LAST
        time = start.timetz() if whole else datetime.min.time().replace(tzinfo=UTC)
        return datetime.combine(day, time)

    def latest_start(self, now: datetime) -> datetime | None:
        """Return the latest start whose term is over at `now`; None where there is none.

        By halving: `after` never falls when its start rises.
        """
        now = now.astimezone(UTC)
        over, running = 0, (now - _FIRST) // _MICROSECOND + 1
        if self.after(_FIRST) > now:
            return None
        while running - over > 1:
            middle = (over + running) // 2
            if self.after(_FIRST + middle * _MICROSECOND) <= now:
                over = middle
            else:
                running = middle
        return _FIRST + over * _MICROSECOND

    def covers(self, other: "Duration") -> bool:
        """Say whether this is as long as the other one or longer, whenever both begin."""
        if self.months >= other.months and self.days >= other.days:
            return True
        return _covers(self, other)

    def _day(self, start: date) -> tuple[date | None, bool]:
        """Return the day of the end, None beyond the calendar, and whether the time of day counts on."""
        years, month = divmod(start.year * 12 + start.month - 1 + self.months, 12)
        if years > date.max.year:
            return None, True
        month += 1
        missing = start.day > _SHORTEST_MONTH and start.day > monthrange(years, month)[1]
        # The day after the month's last: the first of the next, which December never needs.
        there = date(years, month + 1, 1) if missing else date(years, month, start.day)
        ordinal = there.toordinal() + self.days
        return (date.fromordinal(ordinal) if ordinal <= date.max.toordinal() else None), not missing


@cache
def _covers(longer: Duration, shorter: Duration) -> bool:
    """Compare two durations from every day that may make a difference, at the last instant of the day."""
    ends = ((longer._day(day), shorter._day(day)) for day in _telling_days())  # noqa: SLF001  # of this module
    return all(_order(one) >= _order(other) for one, other in ends)


def _order(end: tuple[date | None, bool]) -> tuple[date, bool]:
    """Return what orders two ends of one start late in the day: a missing day ends at its first instant."""
    day, whole = end
    return day or date.max, whole


@cache
def _telling_days() -> tuple[date, ...]:
    """Return the first day of each month of the cycle and its last four: those between end like the first."""
    firsts = [date(year, month, 1) for year in (*_CYCLE, _CYCLE.stop) for month in range(1, 13)]
    days: list[date] = []
    for first, after in pairwise(firsts):
        days += [first, *(after - timedelta(days=back) for back in range(4, 0, -1))]
    return tuple(days)
