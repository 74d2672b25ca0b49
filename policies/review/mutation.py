"""Mutation testing of access rules: a change of a rule that changes an answer must fail a case.

Owns the changes: each rule is dropped, its effect flipped, and each name of each of its lists added or taken away, one
at a time. A change that changes no answer anywhere is none. One that no case fails is a missing case, and is told with
a request that it answers otherwise.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

import numpy as np

from policies.model import RESOURCES, Action, Assurance, Emergency, Purpose, Role
from policies.review.cases import Case, failures
from policies.rule import RELATIONS, Effect, Question, Rule
from policies.space import SHAPE, Answer, Answers, Points, covered, decisive, question_at

LISTS: Final[tuple[tuple[str, tuple[Any, ...]], ...]] = (
    ("roles", tuple(Role)),
    ("resources", RESOURCES),
    ("relations", RELATIONS),
    ("assurances", tuple(Assurance)),
    ("emergencies", tuple(Emergency)),
    ("actions", tuple(Action)),
    ("purposes", tuple(Purpose)),
)


class Change(StrEnum):
    """How a rule is changed."""

    DROP = "drop"
    FLIP = "flip"
    WIDEN = "widen"
    NARROW = "narrow"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A changed rule; None: dropped."""

    rule: Rule
    changed: Rule | None
    change: Change
    what: str

    def __str__(self) -> str:
        """Say what was changed, e.g. `clinician-treats: widen purposes by research`."""
        return f"{self.rule.id}: {self.change.value}{self.what}"


@dataclass(frozen=True, slots=True)
class Survivor:
    """A mutant that no case notices."""

    mutant: Mutant
    request: Question
    """One that it answers otherwise, and that no case asks for."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """What mutation testing found."""

    tried: int
    """Mutants that change an answer."""
    same: int
    """Mutants that change none."""
    survivors: tuple[Survivor, ...]


def mutants(rule: Rule) -> Iterator[Mutant]:
    """Change a rule in each way there is."""
    yield Mutant(rule, None, Change.DROP, "")
    flipped = Effect.DENY if rule.effect is Effect.ALLOW else Effect.ALLOW
    yield Mutant(rule, replace(rule, effect=flipped), Change.FLIP, f" to {flipped.value}")
    for part, every in LISTS:
        present: frozenset[str] = getattr(rule, part)
        for name in every:
            change, word = (Change.NARROW, "of") if name in present else (Change.WIDEN, "by")
            changed: dict[str, Any] = {part: present ^ {name}}
            yield Mutant(rule, replace(rule, **changed), change, f" {part} {word} {name.value}")


def mutate(rules: Sequence[Rule], cases: Sequence[Case]) -> Mutation:
    """Try every change of every rule against the cases."""
    counted = _Counted(rules)
    decided = decisive(counted.answers())
    tried = same = 0
    survivors: list[Survivor] = []
    for rule in rules:
        for mutant in mutants(rule):
            changed = counted.instead(mutant)
            different = decisive(changed) != decided
            if not different.any():
                same += 1
                continue
            tried += 1
            if not _noticed(cases, changed, different):
                survivors.append(Survivor(mutant, _first(different)))
    return Mutation(tried, same, tuple(survivors))


def _noticed(cases: Sequence[Case], changed: Answers, different: Points) -> bool:
    touched = [case for case in cases if not case.other_tenant and different[np.ix_(*case.box)].any()]
    return bool(failures(touched, changed))


def _first(points: Points) -> Question:
    return question_at([int(place) for place in np.unravel_index(int(points.argmax()), SHAPE)])


class _Counted:
    """How many rules allow and deny each point, so that one rule is exchanged without asking the others again."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._counts = {effect: np.zeros(SHAPE, dtype=np.int16) for effect in Effect}
        for rule in rules:
            self._counts[rule.effect][covered(rule)] += 1

    def answers(self) -> Answers:
        found = np.zeros(SHAPE, dtype=np.int8)
        found[self._counts[Effect.ALLOW] > 0] = Answer.ALLOWED
        found[self._counts[Effect.DENY] > 0] = Answer.FORBIDDEN
        return found

    def instead(self, mutant: Mutant) -> Answers:
        """Return what is said with the mutant in its rule's place."""
        self._add(mutant.rule, -1)
        if mutant.changed is not None:
            self._add(mutant.changed, 1)
        found = self.answers()
        self._add(mutant.rule, 1)
        if mutant.changed is not None:
            self._add(mutant.changed, -1)
        return found

    def _add(self, rule: Rule, count: int) -> None:
        self._counts[rule.effect][covered(rule)] += count
