"""Calendar arithmetic for `vault.pipeline.times`: half-open ranges of days.

Owns the meaning of words: a week runs from Monday; "two weeks ago" is the seven days around that
day, "three months ago" a calendar month, "four years ago" a calendar year, as people mean them.
Dates outside the years 1 to 9999 raise `ValueError` or `OverflowError`, as in the standard library.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
_MONTHS_IN_YEAR = 12
_SATURDAY = 5


class Unit(StrEnum):
    """Units that people count time in."""

    DAY = "day"
    WEEK = "week"
    WEEKEND = "weekend"
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Days:
    """Half-open range of days."""

    start: date
    end: date


def day(on: date) -> Days:
    """Return the range of one day."""
    return Days(on, on + _DAY)


def month(year: int, number: int) -> Days:
    """Return a calendar month; `number` may lie outside 1 to 12 and then counts into other years."""
    years, place = divmod(number - 1, _MONTHS_IN_YEAR)
    start = date(year + years, place + 1, 1)
    following = date(start.year + (start.month == _MONTHS_IN_YEAR), start.month % _MONTHS_IN_YEAR + 1, 1)
    return Days(start, following)


def year(number: int) -> Days:
    """Return a calendar year."""
    return Days(date(number, 1, 1), date(number + 1, 1, 1))


def monday(on: date) -> date:
    """Return the Monday of the week of a day."""
    return on - _DAY * on.weekday()


def current(unit: Unit, today: date, step: int = 0) -> Days:
    """Return the day, week, weekend, month or year of today, or the one `step` units later."""
    match unit:
        case Unit.DAY:
            return day(today + _DAY * step)
        case Unit.WEEK:
            start = monday(today) + _WEEK * step
            return Days(start, start + _WEEK)
        case Unit.WEEKEND:
            start = monday(today) + _WEEK * step + _DAY * _SATURDAY
            return Days(start, start + _DAY * 2)
        case Unit.MONTH:
            return month(today.year, today.month + step)
        case Unit.YEAR:
            return year(today.year + step)


def away(unit: Unit, count: int, anchor: date) -> Days:
    """Return what "`count` units from the anchor" means; a negative count looks back."""
    match unit:
        case Unit.WEEK:
            middle = anchor + _WEEK * count
            return Days(middle - _DAY * 3, middle + _DAY * 4)
        case _:
            return current(unit, anchor, count)


def adjoining(unit: Unit, anchor: Days, *, before: bool) -> Days:
    """Return what "the week before 3 June" means: the unit that ends, or begins, at the anchor."""
    if unit is Unit.WEEK:
        return Days(anchor.start - _WEEK, anchor.start) if before else Days(anchor.end, anchor.end + _WEEK)
    if unit is Unit.WEEKEND:
        found = current(Unit.WEEKEND, anchor.start if before else anchor.end - _DAY)
        if before:
            return found if found.end <= anchor.start else current(Unit.WEEKEND, anchor.start, -1)
        return found if found.start >= anchor.end else current(Unit.WEEKEND, anchor.end - _DAY, 1)
    return current(unit, anchor.start, -1) if before else current(unit, anchor.end - _DAY, 1)


def latest_weekday(number: int, before: date) -> Days:
    """Return the last such day of the week strictly before a day."""
    return day(before - _DAY * ((before.weekday() - number - 1) % 7 + 1))


def next_weekday(number: int, after: date) -> Days:
    """Return the first such day of the week strictly after a day."""
    return day(after + _DAY * ((number - after.weekday() - 1) % 7 + 1))
