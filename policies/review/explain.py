"""Why a request is decided as it is, and exhaustive answers to who can and what can.

Owns the explanation: the rule that decides, or, where none allows, the rules that come nearest and what keeps each of
them from speaking of the request. It leaves sentences to `policies.review.boxes`. Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from policies.model import Action, Assurance, Emergency, Purpose, Relation, Resource, Role
from policies.review.boxes import Box, cover
from policies.rule import Effect, Question, Rule, Wall
from policies.space import DIMENSIONS, SHAPE, Answer, Points, answers

NEAREST: Final = 3
"""Rules that are shown of those that would have to be wider."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as rules see it."""

    roles: frozenset[Role]
    resource: Resource
    relation: Relation
    assurance: Assurance
    emergency: Emergency
    action: Action
    purpose: Purpose
    same_tenant: bool = True

    def questions(self) -> list[Question]:
        """Return it for each role, in order."""
        wall = Wall.SAME if self.same_tenant else Wall.OTHER
        return [
            Question(
                wall,
                role,
                self.resource,
                self.relation,
                self.assurance,
                self.emergency,
                self.action,
                self.purpose,
            )
            for role in sorted(self.roles)
        ]


@dataclass(frozen=True, slots=True)
class Near:
    """A rule that does not speak of a request, and why not."""

    rule: Rule
    missing: tuple[str, ...]
    """What would have to be otherwise, e.g. `purpose: research is none of treatment`."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why."""

    allowed: bool
    reason: str
    rules: tuple[Rule, ...] = ()
    """Those that decide: all that deny, or all that allow."""
    nearest: tuple[Near, ...] = ()
    """Of a request that nothing allows: rules that would, if less were otherwise than for all others."""


def explain(rules: Sequence[Rule], asked: Asked) -> Explanation:
    """Explain a decision."""
    if not asked.same_tenant or asked.relation is Relation.OTHER:
        return Explanation(
            allowed=False, reason="the tenant wall: another institution's is out of reach of every rule"
        )
    questions = asked.questions()
    speaking = [rule for rule in rules if any(rule.covers(question) for question in questions)]
    denying = tuple(rule for rule in speaking if rule.effect is Effect.DENY)
    if denying:
        return Explanation(allowed=False, reason="a rule denies it, whatever others allow", rules=denying)
    allowing = tuple(rule for rule in speaking if rule.effect is Effect.ALLOW)
    if allowing:
        return Explanation(allowed=True, reason="a rule allows it, and none denies it", rules=allowing)
    near = sorted(_near(rules, asked), key=lambda one: (len(one.missing), one.rule.line))
    least = len(near[0].missing) if near else 0
    return Explanation(
        allowed=False,
        reason="no rule allows it",
        nearest=tuple(one for one in near if len(one.missing) == least)[:NEAREST],
    )


def _near(rules: Iterable[Rule], asked: Asked) -> Iterable[Near]:
    for rule in rules:
        if rule.effect is Effect.ALLOW:
            kinds: tuple[tuple[str, frozenset[str], frozenset[str]], ...] = (
                ("role", frozenset(asked.roles), rule.roles),
                ("resource", frozenset([asked.resource]), rule.resources),
                ("relation", frozenset([asked.relation]), rule.relations),
                ("assurance", frozenset([asked.assurance]), rule.assurances),
                ("emergency", frozenset([asked.emergency]), rule.emergencies),
                ("action", frozenset([asked.action]), rule.actions),
                ("purpose", frozenset([asked.purpose]), rule.purposes),
            )
            yield Near(
                rule,
                tuple(
                    f"{kind}: {', '.join(sorted(have))} is none of {', '.join(sorted(want))}"
                    for kind, have, want in kinds
                    if have.isdisjoint(want)
                ),
            )


def allowed_together(rules: Sequence[Rule], roles: Iterable[Role]) -> list[Box]:
    """Return all that a principal who holds these roles together is allowed, as boxes that name them all."""
    places = [place for place, role in enumerate(Role) if role in set(roles)]
    said = answers(rules)[places]
    allowed = (said == Answer.ALLOWED).any(axis=0) & ~(said == Answer.FORBIDDEN).any(axis=0)
    points: Points = np.zeros(SHAPE, dtype=np.bool_)
    points[places] = allowed
    return cover(points)


def allowed_within(rules: Sequence[Rule], **lists: Iterable[str]) -> list[Box]:
    """Return all that is allowed within lists of names, as boxes: the exhaustive answer.

    Args:
        rules: Of a bundle.
        lists: Names by dimension (`roles`, `resources`, …); a dimension that is left out is whole.
    """
    kinds = ("roles", "resources", "relations", "assurances", "emergencies", "actions", "purposes")
    index = [
        [place for place, name in enumerate(names) if name.value in set(lists[kind])]
        if kind in lists
        else list(range(len(names)))
        for kind, names in zip(kinds, DIMENSIONS, strict=True)
    ]
    within: Points = np.zeros(SHAPE, dtype=np.bool_)
    within[np.ix_(*index)] = True
    return cover(within & (answers(rules) == Answer.ALLOWED))
