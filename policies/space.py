"""The whole finite space of requests, and what rules say at each of its points.

Owns the order of the dimensions, within one institution (all else is denied by the wall), and answers for all points at once, by arrays. It leaves the form of rules
to `policies.rule` and single decisions to `policies.access`, which the tests compare with it point by point.
Pure: what reviews policies stands on this and asks no engine.

A principal with several roles is allowed what any of its roles is allowed and none forbids (`Effect`). So
what rules say of each role alone, as one of three answers, says all there is to say of every set of roles.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from policies.model import RESOURCES, Action, Assurance, Emergency, Purpose, Role
from policies.rule import RELATIONS, Effect, Question, Rule, Wall

DIMENSIONS: Final = (
    tuple(Role),
    RESOURCES,
    RELATIONS,
    tuple(Assurance),
    tuple(Emergency),
    tuple(Action),
    tuple(Purpose),
)
"""In the order of a question's fields after the wall."""
SHAPE: Final = tuple(len(names) for names in DIMENSIONS)
SIZE: Final = int(np.prod(SHAPE))

Points = NDArray[np.bool_]
"""One truth value for each point; of shape `SHAPE`."""
Answers = NDArray[np.int8]
"""One `Answer` for each point; of shape `SHAPE`."""


class Answer(IntEnum):
    """What the rules say of one role at one point."""

    FORBIDDEN = -1
    """A rule denies it, to everyone who has this role."""
    NONE = 0
    """No rule speaks of it: denied, unless another role of the principal is allowed it."""
    ALLOWED = 1


def questions() -> Iterator[Question]:
    """Go through all points within one institution, in the order of the arrays."""
    return (Question(Wall.SAME, *point) for point in product(*DIMENSIONS))


def question_at(index: Sequence[int]) -> Question:
    """Return the point at an index of the arrays."""
    return Question(Wall.SAME, *(names[place] for names, place in zip(DIMENSIONS, index, strict=True)))  # type: ignore[arg-type]  # one name of each dimension, in order


def index_of(question: Question) -> tuple[int, ...]:
    """Return where a point stands in the arrays.

    Raises:
        ValueError: another institution's, which is not in the space.
    """
    return tuple(names.index(name) for names, name in zip(DIMENSIONS, question[1:], strict=True))


def covered(rule: Rule) -> Points:
    """Return the points that a rule speaks of."""
    points = np.zeros(SHAPE, dtype=np.bool_)
    lists = (
        rule.roles,
        rule.resources,
        rule.relations,
        rule.assurances,
        rule.emergencies,
        rule.actions,
        rule.purposes,
    )
    places = [
        [place for place, name in enumerate(names) if name in chosen]
        for names, chosen in zip(DIMENSIONS, lists, strict=True)
    ]
    points[np.ix_(*places)] = True
    return points


def answers(rules: Iterable[Rule]) -> Answers:
    """Return what rules say at every point."""
    found = np.zeros(SHAPE, dtype=np.int8)
    forbidden = np.zeros(SHAPE, dtype=np.bool_)
    for rule in rules:
        if rule.effect is Effect.ALLOW:
            found[covered(rule)] = Answer.ALLOWED
        else:
            forbidden |= covered(rule)
    found[forbidden] = Answer.FORBIDDEN
    return found


def without_each(rules: Sequence[Rule]) -> Iterator[tuple[Rule, Answers]]:
    """Go through what rules would say without each of them, in a time that grows with their number alone."""
    counts = {effect: np.zeros(SHAPE, dtype=np.int16) for effect in Effect}
    for rule in rules:
        counts[rule.effect] += covered(rule)
    for rule in rules:
        mine = covered(rule)
        counts[rule.effect] -= mine
        found = (counts[Effect.ALLOW] > 0).astype(np.int8)
        found[counts[Effect.DENY] > 0] = Answer.FORBIDDEN
        counts[rule.effect] += mine
        yield rule, found


def decisive(said: Answers) -> Answers:
    """Return answers that differ only where a decision does, of whatever set of roles.

    Where no role is allowed, it makes no difference which of them a rule denies: nobody gets through either way.
    """
    found = said.copy()
    found[:, ~(said == Answer.ALLOWED).any(axis=0)] = Answer.NONE
    return found
