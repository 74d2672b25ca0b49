"""Who decides whether a text says what gold says: a deterministic judge by default, a model as an option.

Owns the marks and their rules, which are aware of numbers, dates, names, negation, of whom something is said and
of what is only supposed. It knows no system and keeps no counts. Where it errs it is meant to err against the
system: a text kept word for word that also holds the slip that was taken back counts as holding the slip.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import Final, Protocol

from compliance.halumem.concepts import CONCEPTS, KIN, STOP
from compliance.halumem.schema import Question

MAX_TEXT: Final = 20_000
"""Characters of a text that are looked at."""


class Mark(IntEnum):
    """How far a text says what gold says; the scale of HaluMem's judge."""

    NONE = 0
    PARTLY = 1
    FULLY = 2


class Verdict(StrEnum):
    """Of an update or an answer."""

    CORRECT = "correct"
    HALLUCINATION = "hallucination"
    OMISSION = "omission"


class Judge(Protocol):
    """Decides; a model behind this must be named, as every report names its judge."""

    @property
    def label(self) -> str:
        """Kind, name and version, e.g. `deterministic/1` or `model: …`."""

    def mark(self, gold: str, texts: Iterable[str], who: str) -> Mark:
        """Say how far any of the texts says what gold says of a person."""

    def grounded(self, memory: str, dialogue: Iterable[str], who: str) -> Mark:
        """Say how far a memory is borne out by a dialogue."""

    def answer(self, question: Question, reply: str, who: str) -> Verdict:
        """Say whether a reply is right, wrong, or no answer."""


_MONTHS: Final = {name: number for number, name in enumerate(["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"], 1)}  # fmt: skip
_NUMBERS: Final = {name: str(number) for number, name in enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"])}  # fmt: skip
_MONTH: Final = "(" + "|".join(_MONTHS) + ")"
_MONTH_DAY: Final = re.compile(rf"\b{_MONTH} (\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (\d{{4}})\b)?", re.IGNORECASE)
_DAY_MONTH: Final = re.compile(
    rf"\b(\d{{1,2}})(?:st|nd|rd|th)? (?:of )?{_MONTH}\b(?:,? (\d{{4}})\b)?", re.IGNORECASE
)
_ISO: Final = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
_TOKEN: Final = re.compile(r"@\d+-\d+|\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)?")
_CLAUSE: Final = re.compile(r"(?<=[.!?;])\s+|(?<=[a-z]):\s+|,\s+(?=(?:not|but)\b)|\s+[–—-]\s+|\n+")
_NEGATION: Final = re.compile(
    r"\b(?:not|no|never|without|nothing|none|denies|denied)\b|n['’]t\b", re.IGNORECASE
)
_SUPERLATIVE: Final = re.compile(
    r"\b(?:no \w+|nothing)\b.{0,40}?\b(?:comes? close|beats?|compares?)\b", re.IGNORECASE
)
_SUPPOSED: Final = re.compile(r"\?\s*$|\b(?:what if|if i|maybe|might|wonder|imagine|suppose|wish|would|should|perhaps)\b", re.IGNORECASE)  # fmt: skip
_FIRST: Final = re.compile(r"\b(?:i|me|i['’]m|we)\b", re.IGNORECASE)
_UNKNOWN: Final = re.compile(
    r"\b(?:not known|unknown|do not know|don['’]t know|no information|not mentioned)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause, read."""

    values: frozenset[str]
    """Words that carry content and stand for no concept; numbers; dates as `@month-day`."""
    hard: frozenset[str]
    """Those that must not differ: numbers, dates, names."""
    concepts: tuple[frozenset[str], ...]
    """For each word that stands for concepts, which."""
    kin: frozenset[str]
    third: bool
    negated: bool
    supposed: bool


def clauses(text: str) -> tuple[Clause, ...]:
    """Return what a text says, clause by clause."""
    return _clauses(text[:MAX_TEXT])


@lru_cache(maxsize=65_536)
def _clauses(text: str) -> tuple[Clause, ...]:
    return tuple(_clause(part) for part in _CLAUSE.split(text) if part and part.strip())


def _clause(text: str) -> Clause:
    dated = _ISO.sub(lambda m: f" @{int(m[2])}-{int(m[3])} ", text)
    dated = _MONTH_DAY.sub(lambda m: f" @{_MONTHS[m[1].lower()]}-{int(m[2])} ", dated)
    dated = _DAY_MONTH.sub(lambda m: f" @{_MONTHS[m[2].lower()]}-{int(m[1])} ", dated)
    raw = _TOKEN.findall(dated)
    words = [_NUMBERS.get(word.lower(), word.lower().removesuffix("'s").removesuffix("’s")) for word in raw]
    values = frozenset(
        word for word in words if word not in STOP and word not in CONCEPTS and not _NEGATION.fullmatch(word)
    )
    named = {word for place, word in enumerate(words) if place and raw[place][0].isupper()}
    kin = KIN & set(words)
    return Clause(
        values,
        values & (named | {word for word in words if word[0] in "@0123456789"}),
        tuple(CONCEPTS[word] for word in words if word in CONCEPTS),
        kin,
        third=bool(kin) and not _FIRST.search(text),
        negated=bool(_NEGATION.search(_SUPERLATIVE.sub(" ", text))),
        supposed=bool(_SUPPOSED.search(text)),
    )


def concepts_of(text: str) -> frozenset[str]:
    """Return every concept that a text may name."""
    return frozenset().union(*(found for clause in clauses(text) for found in clause.concepts))


class DeterministicJudge:
    """Compares normalised clauses.

    Fully: a clause of the text has every number, date and name of gold and three quarters of its other content
    words, is negated as gold is, speaks of the same person, is not only supposed, and the text names at least
    half of gold's concepts. Partly: the same with more than half of the words, or only supposed, or without the
    concepts.
    """

    label: Final = "deterministic/1 (ours: normalised words, numbers, dates, negation; no model)"

    def mark(self, gold: str, texts: Iterable[str], who: str) -> Mark:
        """Say how far any of the texts says all that gold says of a person."""
        names = frozenset(who.lower().split())
        given = list(texts)
        parts = [part for part in clauses(gold) if part.values - names or part.concepts]
        if not parts:
            return Mark.NONE
        return min(
            max((self._text(part, text, names) for text in given), default=Mark.NONE) for part in parts
        )

    def _text(self, gold: Clause, text: str, names: frozenset[str]) -> Mark:
        wanted = gold.values - names
        if wanted and not wanted & frozenset().union(*(clause.values for clause in clauses(text))):
            return Mark.NONE
        named = concepts_of(text)
        share = sum(bool(one & named) for one in gold.concepts) / len(gold.concepts) if gold.concepts else 1.0
        return max((self._one(gold, clause, wanted, share) for clause in clauses(text)), default=Mark.NONE)

    @staticmethod
    def _one(gold: Clause, found: Clause, wanted: frozenset[str], share: float) -> Mark:
        if (
            not (gold.hard & wanted) <= found.values
            or gold.negated != found.negated
            or not gold.kin <= found.kin
        ):
            return Mark.NONE
        if found.third and not gold.kin:
            return Mark.NONE
        covered = len(wanted & found.values) / len(wanted) if wanted else share
        if covered <= 0.5:  # noqa: PLR2004  # the class docstring's half
            return Mark.NONE
        full = covered >= 0.75 and share >= 0.5 and not found.supposed  # noqa: PLR2004  # the docstring's shares
        return Mark.FULLY if full else Mark.PARTLY

    def grounded(self, memory: str, dialogue: Iterable[str], who: str) -> Mark:
        """Say how far a memory's every clause is borne out by what was said: the least borne out one decides."""
        names = frozenset(who.lower().split())
        said = list(dialogue)
        worst = Mark.FULLY
        for part in clauses(memory):
            if part.values - names or part.concepts:
                worst = min(worst, max((self._said(part, text, names) for text in said), default=Mark.NONE))
        return worst

    @staticmethod
    def _said(part: Clause, text: str, names: frozenset[str]) -> Mark:
        wanted, best = part.values - names, Mark.NONE
        for found in clauses(text):
            if not (part.hard & wanted) <= found.values or part.negated != found.negated:
                continue
            covered = len(wanted & found.values) / len(wanted) if wanted else 1.0
            full = covered >= 0.75 and part.third == found.third and part.supposed == found.supposed  # noqa: PLR2004
            best = max(best, Mark.FULLY if full else Mark.PARTLY if covered > 0.5 else Mark.NONE)  # noqa: PLR2004
        return best

    def answer(self, question: Question, reply: str, who: str) -> Verdict:
        """Say whether a reply says all of the answer; that it is not known is an omission, or right if it is so."""
        silent = not reply.strip() or bool(_UNKNOWN.search(reply))
        if _UNKNOWN.search(question.answer):
            return Verdict.CORRECT if silent else Verdict.HALLUCINATION
        if silent:
            return Verdict.OMISSION
        return (
            Verdict.CORRECT
            if self.mark(question.answer, [reply], who) is Mark.FULLY
            else Verdict.HALLUCINATION
        )
