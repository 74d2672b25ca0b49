"""Logged decisions decided anew under other rules: who would have been refused, and who would have got more.

Owns deciding anew and what of it cannot be done. Every fact is one that the log holds (`policies.facts`): where the log
does not say what was asked, nothing is supposed, and the entry is counted among those that cannot be replayed. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from policies.facts import Facts, Place, read_facts, without_rules
from policies.model import Purpose
from policies.rule import Question, Rule, Wall
from policies.space import Answer, Answers, answers, index_of

MAX_PRINCIPALS: Final = 100
"""Principals that are named of one kind of flip; more are counted."""


MAX_QUESTIONS: Final = 4_000
"""Different questions that are kept with their answer. Flips beyond are counted, and not told one by one."""
_LONGEST: Final = 1_000
"""Characters of a word of facts: of evidence that nobody verified it may be a book."""


class Logged(NamedTuple):
    """What of an entry replaying needs."""

    leaf_index: int
    principal: str
    purpose: str | None
    allowed: bool
    asked: str | None
    """The facts as they stand in the payload; None: it has none."""
    erased: bool = False
    """Whether the payload was erased."""
    withheld: bool = False
    """Whether the payload was left out of the evidence."""


class Missing(StrEnum):
    """Why a decision cannot be replayed."""

    ERASED = "payload erased"
    WITHHELD = "payload left out of the export"
    NOT_LOGGED = "facts not logged"
    """An entry of a version that did not log them, or of something that nobody decided."""
    UNKNOWN = "names that this version does not know"
    INCONSISTENT = "the facts say otherwise than the entry"


class Outcome(StrEnum):
    """How a decision would have ended."""

    REFUSED = "would be refused"
    ALLOWED = "would be allowed"
    LESS = "would reach less"
    MORE = "would reach more"
    OTHER = "would reach other things"


@dataclass(slots=True)
class Flip:
    """Decisions of one kind that would end otherwise."""

    outcome: Outcome
    facts: Facts
    purpose: Purpose
    now: frozenset[Place]
    """What would be allowed of what was asked."""
    count: int = 0
    first: int = -1
    """Leaf index of the first of them."""
    last: int = -1
    principals: Counter[str] = field(default_factory=Counter)
    more_principals: int = 0
    """Decisions of principals beyond those that are named."""


@dataclass(slots=True)
class Replayed:
    """What a replay found."""

    decided: int = 0
    """Decisions that were decided anew."""
    same: int = 0
    missing: Counter[Missing] = field(default_factory=Counter)
    flips: list[Flip] = field(default_factory=list)

    @property
    def flipped(self) -> int:
        """Decisions that would end otherwise."""
        return self.decided - self.same

    @property
    def untold(self) -> int:
        """Of these, decisions of kinds that are not among the flips: there are too many kinds."""
        return self.flipped - sum(one.count for one in self.flips)

    @property
    def share_missing(self) -> float:
        """Share of the entries that cannot be replayed; 0 of none."""
        total = self.decided + self.missing.total()
        return self.missing.total() / total if total else 0.0


class Replay:
    """Decides logged decisions anew, one after the other, in memory that does not grow with their number."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._said = answers(rules)
        self._found = Replayed()
        self._known: dict[tuple[str, str | None, bool], Flip | Missing | None] = {}

    def take(self, entry: Logged) -> None:
        """Decide one anew."""
        verdict = self._verdict(entry)
        if isinstance(verdict, Missing):
            self._found.missing[verdict] += 1
            return
        self._found.decided += 1
        if verdict is None:
            self._found.same += 1
        else:
            note(verdict, entry.leaf_index, entry.principal)

    def result(self) -> Replayed:
        """Return what was found so far; the kinds of flips that most decisions are of come first."""
        flips = [one for one in self._known.values() if isinstance(one, Flip)]
        self._found.flips = sorted(flips, key=lambda one: (-one.count, one.first))
        return self._found

    def _verdict(self, entry: Logged) -> Flip | Missing | None:
        if entry.asked is None:
            if entry.withheld:
                return Missing.WITHHELD
            return Missing.ERASED if entry.erased else Missing.NOT_LOGGED
        if len(entry.asked) > _LONGEST:
            return Missing.UNKNOWN
        # Which rules decided then says nothing of what was asked: under other names it is the same question.
        key = (without_rules(entry.asked), entry.purpose, entry.allowed)
        if key in self._known:
            return self._known[key]
        verdict = _again(self._said, *key)
        if len(self._known) < MAX_QUESTIONS:
            self._known[key] = verdict
        return verdict


def replay(rules: Sequence[Rule], logged: Iterable[Logged]) -> Replayed:
    """Decide logged decisions anew."""
    replaying = Replay(rules)
    for entry in logged:
        replaying.take(entry)
    return replaying.result()


def note(flip: Flip, leaf_index: int, principal: str, count: int = 1) -> None:
    """Count decisions of one principal among those of a flip."""
    flip.count += count
    flip.first = leaf_index if flip.first < 0 else min(flip.first, leaf_index)
    flip.last = max(flip.last, leaf_index)
    if principal in flip.principals or len(flip.principals) < MAX_PRINCIPALS:
        flip.principals[principal] += count
    else:
        flip.more_principals += count


def _again(
    said: Answers,
    asked: str,
    purpose: str | None,
    allowed: bool,  # noqa: FBT001  # in the order of the key
) -> Flip | Missing | None:
    try:
        facts = read_facts(asked)
        known_purpose = Purpose(purpose or "")
    except ValueError:
        return Missing.UNKNOWN
    if allowed != bool(facts.allowed):
        return Missing.INCONSISTENT
    now = frozenset(one for one in facts.over if _allowed(said, facts, one, known_purpose))
    if now == facts.allowed:
        return None
    return Flip(_outcome(facts.allowed, now), facts, known_purpose, now)


def _allowed(said: Answers, facts: Facts, place: Place, purpose: Purpose) -> bool:
    found = [
        said[
            index_of(
                Question(Wall.SAME, role, *place, facts.assurance, facts.emergency, facts.action, purpose)
            )
        ]
        for role in facts.roles
    ]
    return Answer.ALLOWED in found and Answer.FORBIDDEN not in found


def _outcome(before: frozenset[Place], now: frozenset[Place]) -> Outcome:
    if not now:
        return Outcome.REFUSED
    if not before:
        return Outcome.ALLOWED
    if now < before:
        return Outcome.LESS
    return Outcome.MORE if now > before else Outcome.OTHER
