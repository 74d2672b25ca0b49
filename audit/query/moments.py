"""Times as people write them in a query: each is a span, as coarse as it was written.

    2026                         the year            2026-11-01T10:30        the minute, in UTC
    2026-11                      the month           2026-11-01T10:30:05Z    the second
    2026-11-01                   the day             7d                      seven days before now, an instant

`m` is no unit: it could be minutes or months. Owns the forms; what a span does to a range is the parser's.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 9998
"""The end of a span must still be a time."""
FORMS: Final = "a date (2026-11-01), a time (2026-11-01T10:30Z) or a time before now (30min, 12h, 7d, 2w)"

_EARLIEST: Final = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
_RELATIVE: Final = re.compile(r"([0-9]{1,5})(min|h|d|w)", re.ASCII)
_UNITS: Final = {
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_WRITTEN: Final = re.compile(
    r"(?P<year>[0-9]{4})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2})"
    r"(?:[Tt](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,6}))?)?"
    r"(?P<zone>[Zz]|[+-][0-9]{2}:[0-9]{2})?)?)?)?",
    re.ASCII,
)
_MICROSECOND: Final = timedelta(microseconds=1)


def read_moment(text: str, now: datetime) -> tuple[datetime, datetime]:
    """Return first instant of a span and the first after it, in UTC.

    Raises:
        ValueError: it is in none of the forms, or names a time that does not exist.
    """
    relative = _RELATIVE.fullmatch(text)
    if relative:
        back = int(relative[1]) * _UNITS[relative[2]]
        if back > now.astimezone(UTC) - _EARLIEST:
            raise ValueError(f"expected a time since {FIRST_YEAR}")
        at = now.astimezone(UTC) - back
        return at, at
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError(f"expected {FORMS}")
    year = int(found["year"])
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise ValueError(f"expected a year from {FIRST_YEAR} to {LAST_YEAR}")
    try:
        return _span(found, year)
    except ValueError:
        raise ValueError("expected a time that exists") from None


def _span(found: re.Match[str], year: int) -> tuple[datetime, datetime]:
    month, day, hour, minute, second = (
        int(found[name] or otherwise)
        for name, otherwise in (("month", 1), ("day", 1), ("hour", 0), ("minute", 0), ("second", 0))
    )
    fraction = (found["fraction"] or "").ljust(6, "0")
    start = datetime(year, month, day, hour, minute, second, int(fraction), UTC) - _offset(found["zone"])
    if found["fraction"]:
        return start, start + _MICROSECOND
    if found["second"]:
        return start, start + timedelta(seconds=1)
    if found["hour"]:
        return start, start + timedelta(minutes=1)
    if found["day"]:
        return start, start + timedelta(days=1)
    if found["month"]:
        return start, datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return start, datetime(year + 1, 1, 1, tzinfo=UTC)


def _offset(zone: str | None) -> timedelta:
    if zone is None or zone in "Zz":
        return timedelta(0)
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 14 or minutes > 59:  # noqa: PLR2004  # UTC+14 is the furthest there is
        raise ValueError
    offset = timedelta(hours=hours, minutes=minutes)
    return offset if zone[0] == "+" else -offset
