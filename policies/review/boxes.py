"""Sets of points as few boxes, and boxes as sentences.

Owns the cover of a set of points by boxes (a list of names for each dimension; all their combinations), and what a box
is called in words. The cover is exact: the boxes together are the set, no more and no less. That fewest boxes cover a
set is a hard problem; here each box is grown as large as it can be, the largest come first, none is superfluous, and
none repeats a name that others say already.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from policies.model import (
    RESOURCES,
    AccessTier,
    Action,
    Assurance,
    Emergency,
    Purpose,
    Relation,
    Role,
    SystemResource,
)
from policies.rule import RELATIONS, Question
from policies.space import DIMENSIONS, SHAPE, Points, question_at

Box = tuple[tuple[int, ...], ...]
"""For each dimension the places of its names, in order."""

_ROLE, _RESOURCE, _RELATION, _ASSURANCE, _EMERGENCY, _ACTION, _PURPOSE = range(len(SHAPE))
_ORDERS: Final = tuple(
    (*first, *(place for place in range(len(SHAPE)) if place not in first))
    for first in permutations((_ACTION, _PURPOSE, _RESOURCE, _ROLE), 2)
)
"""In which order of dimensions a box is grown: those that differ most go first, each in its turn."""


def points_of(box: Box) -> Points:
    """Return the points of a box."""
    points = np.zeros(SHAPE, dtype=np.bool_)
    points[np.ix_(*box)] = True
    return points


def union(boxes: Iterable[Box]) -> Points:
    """Return the points of all boxes together."""
    points = np.zeros(SHAPE, dtype=np.bool_)
    for box in boxes:
        points[np.ix_(*box)] = True
    return points


def cover(points: Points) -> list[Box]:
    """Return boxes that together are exactly these points, large ones first."""
    left, found = points.copy(), list[Box]()
    while left.any():
        start = np.unravel_index(int(left.argmax()), SHAPE)
        seed: Box = tuple((int(place),) for place in start)
        grown = {_grown(points, seed, order) for order in _ORDERS}
        best = max(sorted(grown), key=lambda box: (_new(left, box), _size(box)))
        found.append(best)
        left[np.ix_(*best)] = False
    return _trimmed(_needed(found))


def _grown(points: Points, box: Box, order: Sequence[int]) -> Box:
    """Let a box grow along each dimension as far as the points go."""
    lists = [list(places) for places in box]
    for dimension in order:
        index: list[Sequence[int] | NDArray[np.int_]] = list(lists)
        index[dimension] = np.arange(SHAPE[dimension])
        others = tuple(place for place in range(len(SHAPE)) if place != dimension)
        whole = points[np.ix_(*index)].all(axis=others)
        lists[dimension] = [int(place) for place in np.flatnonzero(whole)]
    return tuple(tuple(places) for places in lists)


def _new(left: Points, box: Box) -> int:
    return int(left[np.ix_(*box)].sum())


def _size(box: Box) -> int:
    return int(np.prod([len(places) for places in box]))


def _needed(boxes: list[Box]) -> list[Box]:
    """Drop boxes whose points are all in others."""
    counts = np.zeros(SHAPE, dtype=np.int32)
    for box in boxes:
        counts[np.ix_(*box)] += 1
    kept = []
    for box in sorted(boxes, key=_size):
        place = np.ix_(*box)
        if (counts[place] > 1).all():
            counts[place] -= 1
        else:
            kept.append(box)
    return sorted(kept, key=lambda box: (-_size(box), box))


def _trimmed(boxes: list[Box]) -> list[Box]:
    """Take from lists what other boxes say already, the smallest box first: nobody has to read it twice.

    A list of all names stays: "any purpose" is shorter than those that nobody else says.
    """
    counts = np.zeros(SHAPE, dtype=np.int32)
    for box in boxes:
        counts[np.ix_(*box)] += 1
    trimmed = []
    for box in sorted(boxes, key=_size):
        left = box
        for dimension in range(len(SHAPE)):
            if len(left[dimension]) < SHAPE[dimension]:
                others = tuple(place for place in range(len(SHAPE)) if place != dimension)
                alone = (counts[np.ix_(*left)] == 1).any(axis=others)
                kept = tuple(place for place, own in zip(left[dimension], alone, strict=True) if own)
                counts[np.ix_(*left)] -= 1
                left = (*left[:dimension], kept, *left[dimension + 1 :])
                counts[np.ix_(*left)] += 1
        trimmed.append(left)
    return sorted(trimmed, key=lambda box: (-_size(box), box))


def witness(box: Box) -> Question:
    """Return one point of a box."""
    return question_at([places[0] for places in box])


_RELATION_WORDS: Final = {
    Relation.OWNER: "its own",
    Relation.CARE_TEAM: "its care team's",
    Relation.INSTITUTION: "another's",
}


_OVER_THE_VAULT: Final[Mapping[Action, str]] = {
    Action.ERASE: "erase persons",
    Action.HOLD: "place and release legal holds",
    Action.DISCLOSE: "disclose to persons what is known of them",
    Action.RESTRICT: "restrict the use of what is known of persons",
    Action.ADMINISTER: "administer the vault",
    Action.BREAK_GLASS: "break the glass",
    Action.REVIEW: "review emergencies",
}
"""What actions over the vault mean: nobody erases the vault."""


def sentence(box: Box, verb: str = "may", nobody: str = "", who: str = "") -> str:
    """Return what a box says, e.g. `clinician may read, search private memory (another's) for treatment`.

    Args:
        box: Which points.
        verb: `may`, `may no longer`, …
        nobody: What is said in place of `everybody` and the verb, where that reads better: `nobody may`.
        who: What is said in place of the roles, where the box is not of each of them: `who is a and b together`.
    """
    roles = who or _named(box, _ROLE, Role, "everybody")
    does = nobody if nobody and len(box[_ROLE]) == SHAPE[_ROLE] else f"{roles} {verb}"
    purposes = _named(box, _PURPOSE, Purpose, "any purpose")
    said = f"{does} {_deeds(box)} for {purposes}"
    for dimension, names, words in (
        (
            _ASSURANCE,
            Assurance,
            {Assurance.SINGLE: "known by one factor", Assurance.MFA: "known by several factors"},
        ),
        (
            _EMERGENCY,
            Emergency,
            {Emergency.NONE: "outside emergencies", Emergency.DECLARED: "in a declared emergency"},
        ),
    ):
        if len(box[dimension]) < SHAPE[dimension]:
            known = tuple(names)
            said += ", " + " or ".join(words[known[place]] for place in box[dimension])  # type: ignore[index]  # names of their own kind
    return said


def _deeds(box: Box) -> str:
    """Say what is done to what."""
    known = tuple(Action)
    actions = [known[place] for place in box[_ACTION]]
    resources = [RESOURCES[place] for place in box[_RESOURCE]]
    whole = resources == [SystemResource.VAULT] and len(box[_RELATION]) == len(RELATIONS)
    if whole and _OVER_THE_VAULT.keys() >= set(actions):
        return ", ".join(_OVER_THE_VAULT[action] for action in actions)
    return f"{_named(box, _ACTION, Action, 'do anything with')} {_things(box)}"


def _things(box: Box) -> str:
    resources = [RESOURCES[place] for place in box[_RESOURCE]]
    tiers = [one.value for one in resources if isinstance(one, AccessTier)]
    others = [f"the {one.value.replace('-', ' ')}" for one in resources if not isinstance(one, AccessTier)]
    said = []
    if tiers:
        said.append("any memory" if len(tiers) == len(AccessTier) else f"{', '.join(tiers)} memory")
    said += others
    things = " and ".join(said)
    if tiers and len(box[_RELATION]) < len(RELATIONS):
        things += f" ({', '.join(_RELATION_WORDS[RELATIONS[place]] for place in box[_RELATION])})"
    elif len(box[_RELATION]) < len(RELATIONS):
        things += f" (as {', '.join(RELATIONS[place].value for place in box[_RELATION])})"
    return things


def _named(box: Box, dimension: int, names: Iterable[object], every: str) -> str:
    places = box[dimension]
    if len(places) == SHAPE[dimension]:
        return every
    known = tuple(names)
    if len(places) == SHAPE[dimension] - 1 and dimension in (_ROLE, _PURPOSE):
        (missing,) = set(range(SHAPE[dimension])) - set(places)
        return f"{every} but {known[missing]}"
    return ", ".join(str(known[place]) for place in places)


def lists_of(box: Box) -> dict[str, list[str]]:
    """Return a box as names, by dimension."""
    return {
        kind: [str(names[place]) for place in places]
        for kind, names, places in zip(
            ("roles", "resources", "relations", "assurances", "emergencies", "actions", "purposes"),
            DIMENSIONS,
            box,
            strict=True,
        )
    }
