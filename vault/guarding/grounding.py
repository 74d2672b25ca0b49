r"""Whether a statement is borne out by texts: its numbers, dates, names and negation, and enough of its words.

Owns the comparison. It is made to refuse: a statement whose number, date or name stands nowhere in the text that
bears it out, or that is negated where that is not, is unsupported, however alike they read. It knows nothing of
meaning: what it supports may still be wrong. Pure; bounded in statements and linear in their words.

    >>> source = Ground("m", "She takes 20 mg daily. No allergies.")
    >>> weigh("She takes 20 mg daily.", [source]).missing, [m.value for m in weigh("She takes 40 mg daily.", [source]).missing]
    ((), ['number'])
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Final

from vault.model import Span
from vault.pipeline.months import MONTHS, WEEKDAYS
from vault.pipeline.sentences import split_statements
from vault.pipeline.terms import terms_of
from vault.pipeline.tokens import TOKEN

MAX_STATEMENTS: Final = 2_000
"""Of all texts together that a statement is held against."""
ENOUGH: Final = 0.6
"""Least share of a statement's telling words in the one statement that bears it out."""
ENOUGH_DERIVED: Final = 0.34
"""The same for what was derived: it may be put in other words."""
_COUNTED: Final = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty
"""
_TENS: Final = {
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
}
_WORDS: Final = {
    **{word: str(number) for number, word in enumerate(_COUNTED.split())},
    **{word: str(number) for word, number in _TENS.items()},
    "hundred": "100",
    "thousand": "1000",
    "once": "1",
    "twice": "2",
}
_MONTH: Final = "|".join(sorted(MONTHS, key=len, reverse=True))
_MONTH_DAY: Final = re.compile(rf"\b({_MONTH})\.? (\d{{1,2}})(?:st|nd|rd|th)?\b", re.IGNORECASE)
_DAY_MONTH: Final = re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)? (?:of )?({_MONTH})\b", re.IGNORECASE)
_ISO: Final = re.compile(r"\b\d{4}-(\d{2})-(\d{2})\b")
_NUMBER: Final = re.compile(r"\d{1,3}(?:,\d{3}){1,4}(?:\.\d+)?|\d+(?:\.\d+)?")
_LETTERS: Final = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_NEGATION: Final = re.compile(
    r"\b(?:no|not|never|none|nothing|nobody|without|neither|nor|cannot|denie[sd]|stopped|lacks?)\b|n['’]t\b", re.IGNORECASE
)  # fmt: skip
_PERSONS: Final = frozenset({"i", "i'm", "i've", "i'd", "i'll"})


class Missing(StrEnum):
    """What of a statement is not borne out."""

    NUMBER = "number"
    DATE = "date"
    NAME = "name"
    NEGATION = "negation"
    WORDS = "words"


@dataclass(frozen=True, slots=True)
class _Marks:
    """What of a statement must stand in what bears it out."""

    numbers: frozenset[str]
    dates: frozenset[str]
    names: frozenset[str]
    words: frozenset[str]
    terms: frozenset[str]
    negated: bool


@dataclass(frozen=True, slots=True)
class Ground:
    """A text that statements are held against."""

    id: str
    text: str = field(repr=False)
    also: str = field(default="", repr=False)
    """Names that count as said in it, such as its speaker's."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """How far one statement is borne out."""

    missing: tuple[Missing, ...]
    """Nothing where it is."""
    by: str = ""
    """Id of the text that bears it out, or comes next to that; empty where none says anything of it."""
    span: Span | None = None
    """Of the statement in that text."""


def weigh(statement: str, grounds: Iterable[Ground], enough: float = ENOUGH) -> Weighed:
    """Hold one statement against texts: the one of their statements that lacks least counts."""
    claimed, best = _marks(statement), Weighed((Missing.WORDS,))
    best_rank: tuple[int, float] = (len(Missing) + 1, 0.0)
    seen = 0
    for ground in grounds:
        named = frozenset(word.lower() for word in _LETTERS.findall(ground.also))
        for one in split_statements(ground.text):
            seen += 1
            if seen > MAX_STATEMENTS:
                return best
            if one.question:
                continue
            missing, share = _lacking(
                claimed, _marks(ground.text[one.span.start : one.span.end]), named, enough
            )
            rank = (len(missing), -share)
            if share > 0 and rank < best_rank:
                best, best_rank = Weighed(missing, ground.id, one.span), rank
                if not missing and share == 1.0:
                    return best
    return best


def ungrounded(text: str, grounds: Sequence[Ground]) -> tuple[Missing, ...]:
    """Return what of a derived text none of its sources bears out; nothing where it is borne out whole."""
    rest = _without_quotes(text, grounds)
    found = {
        one
        for statement in split_statements(rest)[:MAX_STATEMENTS]
        if not statement.question
        for one in weigh(rest[statement.span.start : statement.span.end], grounds, ENOUGH_DERIVED).missing
    }
    return tuple(one for one in Missing if one in found)


def _without_quotes(text: str, grounds: Sequence[Ground]) -> str:
    """Return a text without the statements that stand in it word for word, each on a line of its own."""
    quoted = (
        ground.text[one.span.start : one.span.end]
        for ground in grounds
        for one in split_statements(ground.text)
        if not one.question
    )
    for statement in sorted(islice(quoted, MAX_STATEMENTS), key=len, reverse=True):
        whole = re.compile(rf"(?<![^\s.!?]){re.escape(statement)}(?!\w)(?![ \t]*[,;\u2014-])")
        text = whole.sub("\n", text)
    return text


def _lacking(
    claimed: _Marks, given: _Marks, named: frozenset[str], enough: float
) -> tuple[tuple[Missing, ...], float]:
    wanted = claimed.terms - named
    share = len(wanted & given.terms) / len(wanted) if wanted else float(claimed.words <= given.words)
    lacks = {
        Missing.NUMBER: not claimed.numbers <= given.numbers,
        Missing.DATE: not claimed.dates <= given.dates,
        Missing.NAME: not claimed.names <= given.names | given.words | named,
        Missing.NEGATION: claimed.negated != given.negated,
        Missing.WORDS: share < enough,
    }
    return tuple(one for one, lacking in lacks.items() if lacking), share


def _marks(statement: str) -> _Marks:
    plain = statement.replace("’", "'")
    tokens = TOKEN.findall(plain)
    bare = TOKEN.sub(" ", plain)
    dates = {f"{MONTHS[found[1].lower()]}-{int(found[2])}" for found in _MONTH_DAY.finditer(bare)}
    dates |= {f"{MONTHS[found[2].lower()]}-{int(found[1])}" for found in _DAY_MONTH.finditer(bare)}
    dates |= {f"{int(found[1])}-{int(found[2])}" for found in _ISO.finditer(bare)}
    undated = _ISO.sub(" ", _DAY_MONTH.sub(" ", _MONTH_DAY.sub(" ", bare)))
    spelled = _LETTERS.findall(bare)
    lower = [word.lower().removesuffix("'s") for word in spelled]
    dates |= {str(WEEKDAYS[word]) for word in lower if word in WEEKDAYS and len(word) > 5}  # noqa: PLR2004  # whole names
    numbers = {_plain_number(one) for one in _NUMBER.findall(undated)}
    numbers |= {_WORDS[word] for word in lower if word in _WORDS and word != "one"}
    names = {
        low
        for place, (word, low) in enumerate(zip(spelled, lower, strict=True))
        if word[0].isupper() and (place or word.isupper()) and len(word) > 1
        and low not in MONTHS and low not in WEEKDAYS and low not in _PERSONS
    }  # fmt: skip
    return _Marks(
        frozenset(numbers),
        frozenset(dates),
        frozenset(names | set(tokens)),
        frozenset([*lower, *tokens]),
        frozenset(term for term in terms_of(bare) if not term[0].isdigit()),
        _NEGATION.search(bare) is not None,
    )


def _plain_number(text: str) -> str:
    plain = text.replace(",", "")
    return (plain.rstrip("0").rstrip(".") if "." in plain else plain).lstrip("0") or "0"
