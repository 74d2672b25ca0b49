"""Times named in a masked text, made absolute where the turn's date allows.

Owns the finding of mentions, the choice between overlapping ones, and mentions that hang on another
("the week before 3 June"). The single grammar rules are in `vault.pipeline.time_rules`, the meaning
of words in `vault.pipeline.calendar`. What a text says about years outside 1 to 9999 is passed over.

Mentions carry the time zone of the turn's date, universal time where it has none. English only.

    >>> from datetime import datetime
    >>> [mention.start.date().isoformat() for mention in find_times("See you tomorrow.", datetime(2026, 3, 2, tzinfo=UTC))]
    ['2026-03-03']
"""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

from vault.model import Span, TimeMention
from vault.pipeline import calendar
from vault.pipeline.calendar import Days, Unit
from vault.pipeline.limits import check_time
from vault.pipeline.months import WEEKDAYS
from vault.pipeline.time_rules import COUNT, UNIT, Frame, Ruled, away, rules_for, unit_of
from vault.pipeline.tokens import blank_tokens

_ISO_CLOCK: Final = re.compile(
    r"(?<![\w.-])\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:[Zz]|[+-]\d\d:?\d\d)?(?![\w:-])",
    re.ASCII,
)
_HANGING: Final = re.compile(
    rf"\b(?:(?:the\s+)?(?P<weekday>(?:mon|tues|wednes|thurs|fri|satur|sun)day)|the\s+(?P<unit>{UNIT})"
    rf"|(?P<count>{COUNT})\s+(?P<units>{UNIT}))\s+(?P<way>before|after|from|prior\s+to|following|of)\s+(?:on\s+|the\s+)?",
    re.IGNORECASE,
)
_AND_DATE: Final = re.compile(r",?\s+(?:the\s+)?", re.IGNORECASE)
_BACK: Final = frozenset({"before", "prior to"})
_MINUTE: Final = timedelta(minutes=1)


def find_times(text: str, at: datetime | None, *, day_first: bool = False) -> tuple[TimeMention, ...]:
    """Return the times that a text names, in order and not overlapping.

    Args:
        text: masked text; its tokens are never read as times.
        at: when it was said; None leaves relative times and days without a year out.
        day_first: whether 3/4/2026 is the third of April. A day above 12 decides for itself.

    Raises:
        TimeInvalidError: `at` has no instant between the years 1 and 9999.
    """
    check_time("time of the turn", at)
    rules = rules_for(text)
    if not rules:
        return ()
    zone = (at.tzinfo if at else None) or UTC
    frame = Frame(blank_tokens(text), at.date() if at else None, day_first=day_first)
    found = _hang(frame.text, _widest(_days_named(frame, rules)))
    mentions = [TimeMention(span, _start(days.start, zone), _start(days.end, zone)) for span, days in found]
    clocks = [] if ":" not in text else _clock_times(frame.text, zone)
    kept = [
        mention for mention in mentions if not any(_overlap(mention.span, clock.span) for clock in clocks)
    ]
    return tuple(
        sorted(
            (mention for mention in (*kept, *clocks) if _tellable(mention)),
            key=lambda mention: mention.span.start,
        )
    )


_Found = tuple[Span, Days]


def _days_named(frame: Frame, rules: Iterable[Ruled]) -> list[_Found]:
    """Return every rule's mentions; those that are no date, or beyond the calendar, are left out."""
    found = []
    for pattern, rule in rules:
        for match in pattern.finditer(frame.text):
            try:
                days = rule(match, frame)
            except (ValueError, OverflowError):
                continue
            if days:
                found.append((Span(match.start(), match.end()), days))
    return found


def _widest(found: list[_Found]) -> list[_Found]:
    """Keep of overlapping mentions the longest, and of equals the first found; in order."""
    kept: list[_Found] = []
    end = 0
    for span, days in sorted(found, key=lambda entry: (entry[0].start, -entry[0].end)):
        if span.start >= end:
            kept.append((span, days))
            end = span.end
        elif span.end - span.start > kept[-1][0].end - kept[-1][0].start:
            kept[-1] = (span, days)
            end = span.end
    return kept


def _hang(text: str, found: list[_Found]) -> list[_Found]:
    """Let "two weeks before" and its like take in the mention that follows at once."""
    if not found:
        return found
    begins = {span.start: place for place, (span, _) in enumerate(found)}
    hung = list(found)
    for match in _HANGING.finditer(text):
        place = begins.get(match.end())
        if place is None:
            continue
        span, anchor = found[place]
        try:
            days = _hung_days(match, anchor)
        except (ValueError, OverflowError):
            continue
        if days:
            hung[place] = (Span(match.start(), span.end), days)
    return _widest(_joined(text, hung))


def _joined(text: str, found: list[_Found]) -> list[_Found]:
    """Make one mention of a day of the week and the date that follows it: "Tuesday, February 3"."""
    joined: list[_Found] = []
    for span, days in found:
        before = joined[-1][0] if joined else None
        if (
            before
            and _AND_DATE.fullmatch(text, before.end, span.start)
            and text[before.start : before.end].lower() in WEEKDAYS
        ):
            joined[-1] = (Span(before.start, span.end), days)
        else:
            joined.append((span, days))
    return joined


def _hung_days(match: re.Match[str], anchor: Days) -> Days | None:
    way = " ".join(match["way"].lower().split())
    back = way in _BACK
    if way == "of":  # "the week of 3 June" alone; "Friday of" and "two weeks of" hang on nothing
        return calendar.current(unit_of(match["unit"]), anchor.start) if match["unit"] else None
    if match["weekday"]:
        number = WEEKDAYS[match["weekday"][:3].lower()]
        last_day = anchor.end - timedelta(days=1)
        return (
            calendar.latest_weekday(number, anchor.start) if back else calendar.next_weekday(number, last_day)
        )
    if match["unit"]:
        return None if way == "from" else calendar.adjoining(unit_of(match["unit"]), anchor, before=back)
    return _counted_from(match, anchor, way)


def _counted_from(match: re.Match[str], anchor: Days, way: str) -> Days:
    """Return what "two days before", "a week from" and their like mean."""
    if way == "from" and unit_of(match["units"]) is Unit.WEEK:  # "two weeks from Friday" is a Friday
        middle = away(match["count"], match["units"], anchor.start, 1)
        return calendar.day(middle.start + timedelta(days=3))
    return away(match["count"], match["units"], anchor.start, -1 if way in _BACK else 1)


def _clock_times(text: str, zone: tzinfo) -> list[TimeMention]:
    """Return ISO dates with a time of day: a minute each."""
    mentions = []
    for match in _ISO_CLOCK.finditer(text):
        try:
            start = datetime.fromisoformat(match.group().upper())
            start = start if start.tzinfo else start.replace(tzinfo=zone)
            mentions.append(TimeMention(Span(match.start(), match.end()), start, start + _MINUTE))
        except (ValueError, OverflowError):
            continue
    return mentions


def _start(on: date, zone: tzinfo) -> datetime:
    return datetime.combine(on, time(), zone)


def _overlap(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end


def _tellable(mention: TimeMention) -> bool:
    """Tell whether both ends have an instant in universal time."""
    try:
        return mention.start.astimezone(UTC) < mention.end.astimezone(UTC)
    except (OverflowError, ValueError):
        return False
