"""Dates, dates of birth and ages.

A date as people say it ("7 May 2023", "last Friday") is a kind of its own, which the shipped rules leave
readable: questions about time need it. A machine-written date or timestamp is another, and what stands
beside a word of birth is a date of birth however it is written.
"""

import re
from collections.abc import Iterator
from typing import Final

from policies.privacy import EntityType
from vault.privacy.findings import Finding
from vault.privacy.recognizers.near import near, words

_MONTH: Final = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
_TIME: Final = r"[0-2]?[0-9]:[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9})?)?(?:\s?(?:[ap]\.?m\.?|Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2}))?"
_NUMERIC: Final = re.compile(
    rf"(?<![\w./-])(?:(?:1[89]|20)[0-9]{{2}}([-/.])(?:1[0-2]|0?[1-9])\1(?:3[01]|[12][0-9]|0?[1-9])(?:[ T]{_TIME})?"
    rf"|(?:3[01]|[12][0-9]|0?[1-9])(?:([-/])(?:3[01]|[12][0-9]|0?[1-9])\2|\.(?:1[0-2]|0?[1-9])\.)(?:(?:1[89]|20)[0-9]{{2}}|[0-9]{{2}})(?:,? {_TIME})?)(?![\w]|[./-][0-9])",
    re.IGNORECASE,
)
_SAID: Final = re.compile(
    rf"(?<![\w])(?:[0-3]?[0-9](?:st|nd|rd|th)?(?: of)? {_MONTH}\.?(?:,? (?:1[89]|20)[0-9]{{2}})?|{_MONTH}\.? [0-3]?[0-9](?:st|nd|rd|th)?(?:,? (?:1[89]|20)[0-9]{{2}})?|{_MONTH}\.?,? (?:1[89]|20)[0-9]{{2}})(?![\w])",
    re.IGNORECASE,
)
_HYPHENED: Final = re.compile(
    rf"(?<![\w])[0-3]?[0-9]-{_MONTH}-(?:(?:1[89]|20)[0-9]{{2}}|[0-9]{{2}})(?![\w])", re.IGNORECASE
)
_BIRTH: Final = words(
    "born(?: on| in)?",
    "dob",
    r"d\.o\.b\.?",
    "date of birth",
    "birth ?date",
    "birth ?day",
    "birth",
    "né",
    "née",
    "geboren",
    "b-?day",
)
_BIRTH_YEAR: Final = re.compile(
    r"\b(?:born|birth ?year|year of birth)(?: in| is|:)?(?: the year)? ((?:19|20)[0-9]{2})\b", re.IGNORECASE
)

_TENS: Final = r"(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
_UNITS: Final = r"(?:one|two|three|four|five|six|seven|eight|nine)"
_SPELT: Final = rf"(?:{_TENS}(?:[- ]{_UNITS})?|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|{_UNITS})"
_YEARS: Final = r"(?:1[01][0-9]|[1-9]?[0-9])"
_AGES: Final = (
    re.compile(
        rf"(?<![\w.])({_YEARS}|{_SPELT})[- ]?(?:years?|yrs?|y\.?r?)[- ]?(?:old|of age|/?o\b)", re.IGNORECASE
    ),
    re.compile(rf"(?<![\w.])({_YEARS}) ?(?:yo|y/o|y\.o\.)(?![\w])", re.IGNORECASE),
    re.compile(
        rf"(?<![\w])(?:aged?|age is|age of|age:|age =) ?:? ?({_YEARS})(?![\w]|[.:][0-9])", re.IGNORECASE
    ),
    re.compile(
        rf"\b(?:i am|i'm|im|he is|he's|she is|she's|who is|who's|is now|turn(?:s|ed|ing)?|just turned|be) ({_YEARS}|{_TENS}(?:[- ]{_UNITS})?)(?=[.,;!?)]|$| (?:now|today|and|next|this|in|so|but|years?)\b)(?!\.[0-9])",
        re.IGNORECASE,
    ),
    re.compile(rf"(?<![\w.])({_YEARS})[- ](?:months?|weeks?|days?)[- ]old", re.IGNORECASE),
    re.compile(rf"\bat (?:the )?age (?:of )?({_YEARS}|{_SPELT})\b", re.IGNORECASE),
)


def find(text: str) -> Iterator[Finding]:
    """Yield dates and ages."""
    for pattern, kind in (
        (_NUMERIC, EntityType.DATE),
        (_HYPHENED, EntityType.DATE),
        (_SAID, EntityType.CALENDAR),
    ):
        for match in pattern.finditer(text):
            born = near(text, *match.span(), _BIRTH, before=32, after=0)
            yield Finding(EntityType.DATE_OF_BIRTH if born else kind, *match.span(), 0.9)
    for match in _BIRTH_YEAR.finditer(text):
        yield Finding(EntityType.DATE_OF_BIRTH, *match.span(1), 0.7)
    for pattern in _AGES:
        for match in pattern.finditer(text):
            yield Finding(EntityType.AGE, *match.span(1), 0.8)
