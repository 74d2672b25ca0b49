"""What a trial of a candidate bundle said: where it would decide otherwise, in the sentences of a difference.

Owns grouping requests that really were made, from a replay (`policies.review.replay`) or from what a vault wrote while a
candidate was on trial (`vault.shadow`). It leaves sentences to `policies.review.boxes`. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from policies.facts import Facts, Place, read_facts, without_rules
from policies.model import Purpose, Role
from policies.review.boxes import Box, cover, lists_of, sentence
from policies.review.diff import Way
from policies.review.replay import Flip, Outcome, note
from policies.rule import Question, Wall
from policies.space import SHAPE, Points, index_of

MAX_KINDS: Final = 4_000
"""Different requests of one candidate that are kept; more are counted."""
_VERBS: Final = {Way.GAINED: "may now", Way.LOST: "may no longer"}


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Requests that were made, and that the candidate decides otherwise, as one sentence."""

    way: Way
    """Gained or lost, under the candidate."""
    sentence: str
    where: dict[str, list[str]]
    """The same as lists of names; the roles are those of one principal, which has all of them."""
    witness: str
    """One of the requests."""
    count: int
    """Decisions; one that reached several kinds of things may be told of by several sentences."""
    first: int
    """Leaf index of the first entry that tells of one."""
    last: int
    principals: Counter[str]
    more_principals: int


@dataclass(slots=True)
class Trial:
    """What entries of a vault say of one candidate."""

    candidate: str
    """Its digest."""
    began: int = 0
    ended: int = 0
    differing: int = 0
    """Decisions that it decides otherwise."""
    untold: int = 0
    """Decisions that it decides otherwise and that no entry tells of, or no sentence here: there were too many kinds."""
    unreadable: int = 0
    """Entries that name what this version does not know."""
    kinds: dict[tuple[str, str | None], Flip] = field(default_factory=dict)

    def differs(self, leaf_index: int, principal: str, purpose: str | None, asked: str, count: int) -> None:
        """Take what one entry says of requests that differ."""
        key = (without_rules(asked), purpose)
        if key not in self.kinds:
            try:
                facts, why = read_facts(key[0]), Purpose(purpose or "")
            except ValueError:
                self.unreadable += 1
                return
            if len(self.kinds) >= MAX_KINDS:
                self.untold += count
                return
            outcome = Outcome.REFUSED if facts.allowed else Outcome.ALLOWED
            now = frozenset(() if facts.allowed else facts.over)
            self.kinds[key] = Flip(outcome, facts, why, now)
        self.differing += count
        note(self.kinds[key], leaf_index, principal, count)

    def disagreements(self) -> list[Disagreement]:
        """Return all that differs, what most decisions are of first."""
        return disagreements(self.kinds.values())


def disagreements(flips: Iterable[Flip]) -> list[Disagreement]:
    """Say in as few sentences as can be found how decisions would end otherwise."""
    groups: dict[tuple[Way, frozenset[Role]], list[tuple[Flip, Points]]] = {}
    for flip in flips:
        facts = flip.facts
        for way, places in ((Way.GAINED, flip.now - facts.allowed), (Way.LOST, facts.allowed - flip.now)):
            if places:
                points = _points(facts, flip.purpose, places)
                groups.setdefault((way, facts.roles), []).append((flip, points))
    found = [one for (way, roles), members in groups.items() for one in _sentences(way, roles, members)]
    return sorted(found, key=lambda one: (-one.count, one.first, one.sentence))


def _points(facts: Facts, purpose: Purpose, places: Iterable[Place]) -> Points:
    points: Points = np.zeros(SHAPE, dtype=np.bool_)
    for place in places:
        points[index_of(_question(facts, purpose, place))] = True
    return points


def _question(facts: Facts, purpose: Purpose, place: Place) -> Question:
    """Return a request as a point: under its first role, which stands for all of them here."""
    role = min(facts.roles)
    return Question(Wall.SAME, role, *place, facts.assurance, facts.emergency, facts.action, purpose)


def _sentences(
    way: Way, roles: frozenset[Role], members: list[tuple[Flip, Points]]
) -> Iterator[Disagreement]:
    names = sorted(roles)
    who = f"who is {' and '.join(names)} together" if len(names) > 1 else names[0].value
    asked = np.logical_or.reduce([points for _, points in members])
    for box in cover(asked):
        told = [flip for flip, points in members if points[np.ix_(*box)].any()]
        principals: Counter[str] = sum((flip.principals for flip in told), Counter())
        yield Disagreement(
            way,
            sentence(box, _VERBS[way], who=who),
            {**lists_of(box), "roles": [str(name) for name in names]},
            _witness(box, names),
            sum(flip.count for flip in told),
            min(flip.first for flip in told),
            max(flip.last for flip in told),
            principals,
            sum(flip.more_principals for flip in told),
        )


def _witness(box: Box, roles: list[Role]) -> str:
    named = {kind: names[0] for kind, names in lists_of(box).items()}
    return (
        f"{'+'.join(roles)} {named['actions']} {named['resources']} relation={named['relations']} "
        f"purpose={named['purposes']} assurance={named['assurances']} emergency={named['emergencies']}"
    )
