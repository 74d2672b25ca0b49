"""The grammar of dates: one rule for each way in which people write them.

Owns patterns and what each means on the day of the turn. It leaves overlaps and hanging mentions to
`vault.pipeline.times`. A rule returns None where the text names a time but not one that can be told,
and may raise `ValueError` or `OverflowError` for a date that does not exist.

Where a day of the week, or a date without a year, could lie on either side of today, the tense of
its sentence decides; without one, a weekday is the coming one and a date the nearest.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

from vault.pipeline import calendar
from vault.pipeline.calendar import Days, Unit
from vault.pipeline.months import MONTHS, WEEKDAYS

COUNT: Final = (
    r"\d{1,4}|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty"
    r"|(?:a\s+)?couple(?:\s+of)?|(?:a\s+)?few|several"
)
UNIT: Final = r"days?|weekends?|wks?|weeks?|fortnights?|mon?ths?|mos?|years?|yrs?"
_MONTH: Final = (
    r"jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?"
)
_WEEKDAY: Final = r"monday|tuesday|wednesday|thursday|friday|saturday|sunday"
_SHORT_WEEKDAY: Final = r"(?-i:Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)"
_ORDINAL: Final = r"(?P<day>3[01]|[12]\d|0?[1-9])"
_COUNTS: Final = {
    word: (number, number)
    for number, words in {
        1: "a an one", 2: "two couple", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight",
        9: "nine", 10: "ten", 11: "eleven", 12: "twelve", 15: "fifteen", 20: "twenty", 30: "thirty",
    }.items()
    for word in words.split()
} | {"few": (2, 5), "several": (3, 7)}  # fmt: skip
_UNITS: Final = {
    "day": Unit.DAY, "weekend": Unit.WEEKEND, "wk": Unit.WEEK, "week": Unit.WEEK, "fortnight": Unit.WEEK,
    "month": Unit.MONTH, "moth": Unit.MONTH, "mo": Unit.MONTH, "year": Unit.YEAR, "yr": Unit.YEAR,
}  # fmt: skip

_STOPS: Final = re.compile(r"[.!?\n]\s")
_FUTURE: Final = re.compile(
    r"\b(?:will|'ll|won't|shall|going\s+to|gonna|let'?s|can|could|should|would|book|schedule|reschedule|see\s+you|due|plan"
    r"|planning|until|till|upcoming|coming|tomorrow|want|need|hope|appointment)\b|'ll\b|\u2019ll\b",
    re.IGNORECASE,
)
_PAST: Final = re.compile(
    r"\b(?:was|were|did|didn't|had|went|saw|came|got|took|told|said|met|felt|fell|made|gave|ate|ran|began|broke|lost"
    r"|bought|paid|sent|woke|slept|drove|flew|happened|been|since|(?!need|feed|seed|speed|indeed|noted)\w{3,}ed)\b",
    re.IGNORECASE,
)
# A word just before the mention outweighs the tense of its sentence.
_AHEAD: Final = re.compile(
    r"\b(?:until|till|by|starting|beginning|due|before)\s+(?:on\s+|the\s+)?$", re.IGNORECASE
)
_NEAR: Final = 200
_PIVOT_YEARS: Final = 20
_MONTHS_IN_YEAR: Final = 12


@dataclass(frozen=True, slots=True)
class Frame:
    """A text and the day on which it was said."""

    text: str
    today: date | None
    day_first: bool = False

    def tense(self, match: re.Match[str]) -> int:
        """Return 1 where the sentence of a match speaks of what is to come, -1 of what was, else 0."""
        before = self.text[max(0, match.start() - _NEAR) : match.start()]
        if _AHEAD.search(before):
            return 1
        after = self.text[match.end() : match.end() + _NEAR]
        sentence = _STOPS.split(before)[-1] + " \n" + _STOPS.split(after, maxsplit=1)[0]
        if _PAST.search(sentence):
            return -1
        return 1 if _FUTURE.search(sentence) else 0


Rule = Callable[[re.Match[str], Frame], Days | None]


def count_of(written: str) -> tuple[int, int]:
    """Return the least and the greatest number that a count may mean."""
    word = written.lower()
    if word.isdigit():
        return int(word), int(word)
    return _COUNTS[next(part for part in reversed(word.split()) if part != "of")]


def unit_of(written: str) -> Unit:
    """Return the unit that a word names; a fortnight is counted in weeks."""
    return _UNITS[written.lower().removesuffix("s")]


def away(count: str, unit: str, anchor: date, sign: int) -> Days:
    """Return what "two weeks" or "a few days" from an anchor mean, ahead of it (1) or back (-1)."""
    low, high = (
        sign * number * (2 if unit.lower().startswith("fortnight") else 1) for number in count_of(count)
    )
    near, far = (calendar.away(unit_of(unit), number, anchor) for number in (low, high))
    return Days(min(near.start, far.start), max(near.end, far.end))


def _iso(match: re.Match[str], _: Frame) -> Days:
    return calendar.day(date(int(match[1]), int(match[2]), int(match[3])))


def _numeric(match: re.Match[str], frame: Frame) -> Days:
    """3/4/2026: month first unless told otherwise; 3.4.2026: day first, as those who write dots do."""
    first, second = int(match["first"]), int(match["second"])
    day_first = frame.day_first or match["mark"] == "." or first > _MONTHS_IN_YEAR
    if second > _MONTHS_IN_YEAR:
        day_first = False
    number, month = (first, second) if day_first else (second, first)
    return calendar.day(date(_full_year(match["year"], frame), month, number))


def _full_year(written: str, frame: Frame) -> int:
    """Two digits mean the century that puts them at most twenty years ahead."""
    if len(written) > 2:  # noqa: PLR2004 - digits of a short year
        return int(written)
    latest = (frame.today.year if frame.today else 2030) + _PIVOT_YEARS
    return latest - (latest - int(written)) % 100


def _calendar_day(match: re.Match[str], frame: Frame) -> Days | None:
    month = MONTHS[match["month"][:3].lower()]
    number = int(match["day"])
    if match["year"]:
        return calendar.day(date(int(match["year"]), month, number))
    if match["month"] == "may" and not match["suffix"]:
        return None  # "may 5 of us come": the verb
    if frame.today is None:
        return None
    return _choose(_dates(frame.today, month, number), frame.today, frame.tense(match))


def _dates(today: date, month: int, number: int) -> list[Days]:
    """Return that day in the years around today, where it exists and is not today."""
    found = []
    for year in range(max(1, today.year - 4), today.year + 5):
        try:
            found.append(calendar.day(date(year, month, number)))
        except (ValueError, OverflowError):
            continue
    return found


def _choose(options: Iterable[Days], today: date, tense: int) -> Days | None:
    """Return the nearest option on the side of today that the tense names."""
    sided = [
        days for days in options if tense == 0 or (days.start <= today if tense < 0 else days.end > today)
    ]
    return min(sided, key=lambda days: abs(days.start - today), default=None)


def _month_of_year(match: re.Match[str], _: Frame) -> Days:
    return calendar.month(int(match["year"]), MONTHS[match["month"][:3].lower()])


def _bare_month(match: re.Match[str], frame: Frame) -> Days | None:
    if frame.today is None or (
        match["month"] in ("may", "march", "mar") and match["lead"].lower() not in ("in", "during", "since")
    ):
        return None
    number = MONTHS[match["month"][:3].lower()]
    years = range(max(1, frame.today.year - 1), min(9998, frame.today.year + 1) + 1)
    tense = -1 if match["lead"].lower() == "since" else frame.tense(match)
    return _choose((calendar.month(year, number) for year in years), frame.today, tense)


def _named_year(match: re.Match[str], _: Frame) -> Days:
    return calendar.year(int(match["year"]))


def _named_day(match: re.Match[str], frame: Frame) -> Days | None:
    if frame.today is None:
        return None
    word = match["word"].lower().replace("-", "")
    step = -1 if word.startswith(("yesterday", "last")) else 1 if word.startswith(("tomorrow", "tmrw")) else 0
    return calendar.current(Unit.DAY, frame.today, step)


def _counted(match: re.Match[str], frame: Frame) -> Days | None:
    """Two weeks ago, in three months, ten days from now."""
    if frame.today is None:
        return None
    return away(match["count"], match["unit"], frame.today, -1 if match["ago"] else 1)


def _stretch(match: re.Match[str], frame: Frame) -> Days | None:
    """The last three weeks, the past few days, the next two months: up to, or from, today."""
    if frame.today is None:
        return None
    _, high = count_of(match["count"] or "a")
    sign = 1 if match["lead"].lower() in ("next", "coming") else -1
    far = calendar.away(unit_of(match["unit"]), sign * high, frame.today)
    middle = far.start if unit_of(match["unit"]) is Unit.DAY else far.start + (far.end - far.start) // 2
    return Days(min(middle, frame.today), max(middle, frame.today) + timedelta(days=1))


def _pointed_unit(match: re.Match[str], frame: Frame) -> Days | None:
    """Last week, this month, next year, the weekend."""
    if frame.today is None:
        return None
    lead = match["lead"].lower()
    step = {"last": -1, "next": 1, "following": 1, "coming": 1}.get(lead, 0)
    unit = unit_of(match["unit"])
    if lead == "the" or (lead == "coming" and unit is Unit.WEEKEND):
        # At the weekend: the one that is, or the nearest on the side of the tense.
        tense = frame.tense(match) or (-1 if frame.today.weekday() <= WEEKDAYS["tuesday"] else 1)
        past = lead == "the" and tense < 0 and frame.today.weekday() < WEEKDAYS["saturday"]
        step = -1 if past else 0
    return calendar.current(unit, frame.today, step)


def _pointed_weekday(match: re.Match[str], frame: Frame) -> Days | None:
    """Last Friday: the latest before today. Next Friday: that of next week. This Friday: of this week."""
    if frame.today is None:
        return None
    number = WEEKDAYS[match["weekday"].lower()]
    lead = match["lead"].lower()
    if lead in ("last", "past"):
        return calendar.latest_weekday(number, frame.today)
    if lead == "coming":
        return calendar.next_weekday(number, frame.today)
    start = calendar.monday(frame.today) + timedelta(days=number + (7 if lead == "next" else 0))
    if lead == "this" and start < frame.today and frame.tense(match) >= 0:
        start += timedelta(days=7)
    return calendar.day(start)


def _bare_weekday(match: re.Match[str], frame: Frame) -> Days | None:
    if frame.today is None:
        return None
    number = WEEKDAYS[match["weekday"].lower()]
    if frame.tense(match) < 0:
        return calendar.latest_weekday(number, frame.today)
    return calendar.next_weekday(number, frame.today)


def _pointed_month(match: re.Match[str], frame: Frame) -> Days | None:
    """Last May: the latest that is over. Next May: the first that has not begun. This May: of this year."""
    if frame.today is None or (match["month"] == "may" and match["lead"].lower() == "this"):
        return None
    number = MONTHS[match["month"][:3].lower()]
    lead = match["lead"].lower()
    year = frame.today.year
    if lead == "last" and number >= frame.today.month:
        year -= 1
    if lead == "next" and number <= frame.today.month:
        year += 1
    return calendar.month(year, number)


def _day_of_month(match: re.Match[str], frame: Frame) -> Days | None:
    """On the 15th: of the nearest month on the side of the tense."""
    if frame.today is None:
        return None
    options = []
    for step in range(-2, 3):
        start = calendar.month(frame.today.year, frame.today.month + step).start
        try:
            options.append(calendar.day(start.replace(day=int(match["day"]))))
        except ValueError:
            continue
    return _choose(options, frame.today, frame.tense(match))


# What stands in every text that a rule can match, in lower case; "mo" is in "more", too, and no harm done.
_DIGIT: Final = tuple("0123456789")
_MONTHS_SHORT: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS_SHORT: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_UNITS_SHORT: Final = ("day", "wk", "week", "fortnight", "mo", "year", "yr")
_NEAR_DAYS: Final = ("day", "tonight", "tomorrow", "tmrw", "this", "night")
_CUES: Final = (_DIGIT, _MONTHS_SHORT, _WEEKDAYS_SHORT, _UNITS_SHORT, _NEAR_DAYS)
_Cue = tuple[str, ...]
Ruled = tuple[re.Pattern[str], Rule]


def _rule(pattern: str, rule: Rule, *cues: _Cue) -> tuple[Ruled, frozenset[_Cue]]:
    return (re.compile(pattern, re.IGNORECASE | re.ASCII), rule), frozenset(cues)


def rules_for(text: str) -> tuple[Ruled, ...]:
    """Return the rules that can match a text: most texts name no month, and need none of its rules tried."""
    lower = text.lower()
    return _with_cues(frozenset(cue for cue in _CUES if any(part in lower for part in cue)))


@lru_cache
def _with_cues(present: frozenset[_Cue]) -> tuple[Ruled, ...]:
    return tuple(rule for rule, cues in RULES if cues <= present)


_PART: Final = r"(?:\s+(?:morning|afternoon|evening|night))?"
_OF_YEAR: Final = r"(?:(?:-|,?\s+(?:of\s+)?)(?P<year>\d{4}))?(?![\w:/]|[.,]\d)"
_SUFFIX: Final = r"(?P<suffix>st|nd|rd|th)"

RULES: Final = (
    _rule(r"(?<![\w./-])(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?![\w/-])", _iso, _DIGIT),
    _rule(
        r"(?<![\w./-])(?P<first>\d{1,2})(?P<mark>[./-])(?P<second>\d{1,2})(?P=mark)(?P<year>\d{4}|\d{2})(?![\w/-]|\.\d)",
        _numeric,
        _DIGIT,
    ),
    _rule(
        rf"(?<![\w.,/-])(?:the\s+)?{_ORDINAL}{_SUFFIX}?(?:\s+of)?[\s-](?P<month>{_MONTH})\b\.?{_OF_YEAR}",
        _calendar_day,
        _DIGIT,
        _MONTHS_SHORT,
    ),
    _rule(
        rf"\b(?P<month>{_MONTH})\.?\s+(?:the\s+)?{_ORDINAL}{_SUFFIX}?{_OF_YEAR}",
        _calendar_day,
        _DIGIT,
        _MONTHS_SHORT,
    ),
    _rule(
        rf"\b(?P<month>{_MONTH})\.?,?\s+(?:of\s+)?(?P<year>(?:1[89]|20)\d\d)\b(?![:/-]\d)",
        _month_of_year,
        _DIGIT,
        _MONTHS_SHORT,
    ),
    _rule(
        rf"\b(?P<lead>in|during|since|until|till|by|around|from|early|late|mid|through|before|after)[\s-]+(?P<month>{_MONTH})\b(?!\s+\d)",
        _bare_month,
        _MONTHS_SHORT,
    ),
    _rule(
        r"\b(?:in|since|during|until|till|by|around|from|of|early|late|year)\s+(?P<year>(?:1[89]|20)\d\d)\b(?![:/.-]\d|\s*%)",
        _named_year,
        _DIGIT,
    ),
    _rule(
        rf"\b(?P<word>to-?day|tonight|this\s+(?:morning|afternoon|evening)|last\s+night|yesterday{_PART}|(?:tomorrow|tmrw){_PART})\b",
        _named_day,
        _NEAR_DAYS,
    ),
    _rule(rf"\b(?P<count>{COUNT})\s+(?P<unit>{UNIT})\s+(?P<ago>ago|back)\b", _counted, _UNITS_SHORT),
    _rule(
        rf"\bin\s+(?P<count>{COUNT})\s+(?P<unit>{UNIT})(?P<ago>(?!))?(?:['\u2019]?\s+time)?\b",
        _counted,
        _UNITS_SHORT,
    ),
    _rule(
        rf"\b(?P<count>{COUNT})\s+(?P<unit>{UNIT})(?P<ago>(?!))?\s+from\s+(?:now|today)\b",
        _counted,
        _UNITS_SHORT,
    ),
    _rule(
        rf"\b(?:the\s+)?(?P<lead>last|past|next|coming)\s+(?P<count>{COUNT})\s+(?P<unit>{UNIT})\b",
        _stretch,
        _UNITS_SHORT,
    ),
    _rule(
        r"\b(?:the\s+)?(?P<lead>past)(?P<count>(?!))?\s+(?P<unit>day|week|month|year)\b",
        _stretch,
        _UNITS_SHORT,
    ),
    _rule(
        r"\b(?P<lead>last|this|next|following|coming)\s+(?P<unit>week|weekend|month|year)\b",
        _pointed_unit,
        _UNITS_SHORT,
    ),
    _rule(r"\b(?:over|on|at|during)\s+(?P<lead>the)\s+(?P<unit>weekend)\b", _pointed_unit, _UNITS_SHORT),
    _rule(
        rf"\b(?P<lead>last|past|this|next|coming)\s+(?P<weekday>{_WEEKDAY}|{_SHORT_WEEKDAY})\b{_PART}",
        _pointed_weekday,
        _WEEKDAYS_SHORT,
    ),
    _rule(
        rf"(?<!every )(?<!each )(?<!\w)(?P<weekday>{_WEEKDAY}){_PART}(?!\w|['\u2019]s\b)",
        _bare_weekday,
        _WEEKDAYS_SHORT,
    ),
    _rule(
        rf"\b(?:on|by|until|till|since)\s+(?P<weekday>{_SHORT_WEEKDAY}){_PART}\b",
        _bare_weekday,
        _WEEKDAYS_SHORT,
    ),
    _rule(rf"\b(?P<lead>last|this|next)\s+(?P<month>{_MONTH})\b(?!\s+\d)", _pointed_month, _MONTHS_SHORT),
    _rule(
        rf"\b(?:on|by|until|till|since|from)\s+the\s+{_ORDINAL}{_SUFFIX}\b(?!\s+(?:of\s+)?(?:{_MONTH}|floor|street|avenue))",
        _day_of_month,
        _DIGIT,
    ),
)
"""Patterns and what they mean, tried in this order; `times` keeps the longest of what overlaps."""
