"""Dates as search terms: the day, the month and the year that a text was said on or speaks of.

Owns the spelling of date terms and the reading of calendar dates in a question. Relative times ("last
Friday") are made absolute by the pipeline's annotations and come here as `TimeMention`s.

A day is spelt as four terms, from the rarest to the commonest, so that a question that knows only the month
still meets it: `2023-05-08`, `2023-05`, `--05`, `2023`. A colon before each keeps them apart from words.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Final

from vault.model import TimeMention

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH: Final = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b"
)
_DAY: Final = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"
_YEAR: Final = r"(?P<year>(?:19|20)[0-9]{2})"
_WRITTEN: Final = tuple(
    re.compile(pattern, re.ASCII | re.IGNORECASE)
    for pattern in (
        rf"\b{_YEAR}-(?P<number>[0-9]{{2}})(?:-{_DAY})?\b",
        rf"\b{_DAY}\s+(?:of\s+)?{_MONTH}(?:,?\s+{_YEAR})?",
        rf"\b{_MONTH}\s+{_DAY}\b(?:,?\s+{_YEAR})?",
        rf"\b{_MONTH},?\s+(?:of\s+)?{_YEAR}\b",
        rf"\b(?:in|since|until|before|after|during|by|of|last|this|next|early|late|mid)[\s-]+{_MONTH}",
        rf"\b{_YEAR}\b",
    )
)
_CUE: Final = re.compile("[0-9]|" + "|".join(_MONTHS), re.IGNORECASE)
"""Stands in every date that is written; most questions have none."""
_ONE_DAY: Final = timedelta(days=1)
_A_WEEK: Final = timedelta(days=8)
_A_MONTH: Final = timedelta(days=31)
_A_YEAR: Final = timedelta(days=366)
MAX_CHARACTERS: Final = 2_000
"""What is read of one question."""


def terms_of_time(at: datetime | None, mentions: Iterable[TimeMention] = ()) -> set[str]:
    """Terms of when a memory was said and of the times that it names."""
    found: set[str] = set()
    if at is not None:
        found.update(_terms(at.year, at.month, at.day))
    for mention in mentions:
        found.update(_terms_of_range(mention.start, mention.end))
    return found


def terms_of_question(text: str) -> set[str]:
    """Terms of the calendar dates written in a question."""
    found: set[str] = set()
    rest = text[:MAX_CHARACTERS]
    if not _CUE.search(rest):
        return found
    for pattern in _WRITTEN:
        for match in pattern.finditer(rest):
            found.update(_terms(*_parts(match.groupdict())))
        rest = pattern.sub(" ", rest)
    return found


def _parts(groups: dict[str, str | None]) -> tuple[int | None, int | None, int | None]:
    year, month, day = groups.get("year"), groups.get("month"), groups.get("day")
    number = _MONTHS.index(month[:3].lower()) + 1 if month else int(groups.get("number") or 0)
    return int(year) if year else None, number or None, int(day) if day else None


def _terms(year: int | None, month: int | None, day: int | None) -> Iterator[str]:
    if month is not None and not 1 <= month <= len(_MONTHS):
        month = day = None
    if year is not None:
        yield f":{year}"
    if month is not None:
        yield f":--{month:02}"
    if year is not None and month is not None:
        yield f":{year}-{month:02}"
    if month is not None and day is not None:
        yield f":--{month:02}-{day:02}"
    if year is not None and month is not None and day is not None:
        yield f":{year}-{month:02}-{day:02}"


def _terms_of_range(start: datetime, end: datetime) -> Iterator[str]:
    """Days of a range of up to a week, else its months, else its years."""
    length = end - start
    last = max(start, end - timedelta(microseconds=1))
    if length <= _A_WEEK:
        for day in _days(start.date(), last.date()):
            yield from _terms(day.year, day.month, day.day)
    elif length <= _A_MONTH:
        for moment in (start, last):
            yield from _terms(moment.year, moment.month, None)
    elif length <= _A_YEAR:
        for moment in (start, last):
            yield from _terms(moment.year, None, None)


def _days(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        if first == date.max:
            return
        first += _ONE_DAY
