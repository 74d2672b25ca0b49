"""Access rules as values: one line of `rules/policy.csv` each, and the points of the request space they speak of.

Owns the form of a rule and reading it, with file, line and column of whatever is not understood. It leaves
deciding to `policies.access` and the space as a whole to `policies.space`. Pure.

    p, id, roles, resources, relations, assurances, emergencies, actions, purposes, effect

Names in a cell are joined by `|`; `*` stands for every name there is, and is expanded here: the space stays
finite, and nothing but set membership decides. There are no groupings (`g`): who has which role is said by
the authenticator, within one tenant, and no file of the bundle widens it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar

from policies.errors import PolicyInvalidError
from policies.model import (
    RESOURCES,
    Action,
    Assurance,
    Emergency,
    Purpose,
    Relation,
    Resource,
    Role,
)

MAX_RULES: Final = 500
RELATIONS: Final = (Relation.OWNER, Relation.CARE_TEAM, Relation.INSTITUTION)
"""Those that a rule may speak of: another institution's is behind the wall, whatever rules say."""
DEFAULT_DENY: Final = "default-deny"
TENANT_WALL: Final = "tenant-wall"
COLUMNS: Final = (
    "ptype",
    "id",
    "roles",
    "resources",
    "relations",
    "assurances",
    "emergencies",
    "actions",
    "purposes",
    "effect",
)

_RULE_ID: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*", re.ASCII)
_MAX_RULE_ID: Final = 64
_RESERVED: Final = frozenset({DEFAULT_DENY, TENANT_WALL})
_Name = TypeVar("_Name", bound=StrEnum)


class Wall(StrEnum):
    """Whether the thing is of the principal's own tenant."""

    SAME = "same"
    OTHER = "other"


class Effect(StrEnum):
    """What a rule says of the points that it covers. One that forbids overrides all that allow."""

    ALLOW = "allow"
    DENY = "deny"


class Question(NamedTuple):
    """One point of the finite space that the rules speak of."""

    wall: Wall
    role: Role
    resource: Resource
    relation: Relation
    assurance: Assurance
    emergency: Emergency
    action: Action
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the rules, its `*` expanded."""

    id: str
    roles: frozenset[Role]
    resources: frozenset[Resource]
    relations: frozenset[Relation]
    assurances: frozenset[Assurance]
    emergencies: frozenset[Emergency]
    actions: frozenset[Action]
    purposes: frozenset[Purpose]
    effect: Effect = Effect.ALLOW
    line: int = field(default=0, compare=False)
    """Where it stands in its file, from 1."""

    def covers(self, question: Question) -> bool:
        """Say whether this rule speaks of the point, by set membership alone."""
        return (
            question.wall is Wall.SAME
            and question.role in self.roles
            and question.resource in self.resources
            and question.relation in self.relations
            and question.assurance in self.assurances
            and question.emergency in self.emergencies
            and question.action in self.actions
            and question.purpose in self.purposes
        )

    def row(self) -> list[str]:
        """Return the row that casbin gets: each list in one form, `|read|search|`."""
        lists: tuple[Iterable[str], ...] = (
            self.roles,
            self.resources,
            self.relations,
            self.assurances,
            self.emergencies,
            self.actions,
            self.purposes,
        )
        return [self.id, *("|" + "|".join(sorted(names)) + "|" for names in lists), self.effect.value]


def parse_rules(text: str, file: str) -> tuple[Rule, ...]:
    """Read rules; `file` stands in messages.

    Raises:
        PolicyInvalidError: with file, line and column: a line is no rule, an id stands twice, or there are
            none or too many.
    """
    rules: dict[str, Rule] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if len(rules) >= MAX_RULES:
            raise PolicyInvalidError(f"expected at most {MAX_RULES} rules", file=file, line=number)
        rule = _parse_rule(line, file, number)
        if rule.id in rules:
            reason = f"its id stands on line {rules[rule.id].line} too: expected each id once"
            raise PolicyInvalidError(reason, file=file, line=number)
        rules[rule.id] = rule
    if not rules:
        raise PolicyInvalidError("expected at least one rule, got 0: nothing would be allowed", file=file)
    return tuple(rules.values())


class _Cell:
    """One cell of a line, and where it stands."""

    def __init__(self, text: str, file: str, line: int, column: int) -> None:
        self.text = text.strip()
        self._place = (file, line, column + len(text) - len(text.lstrip()))

    def refused(self, reason: str) -> PolicyInvalidError:
        file, line, column = self._place
        return PolicyInvalidError(reason, file=file, line=line, column=column)

    def several(self, kind: str, known: Iterable[_Name]) -> frozenset[_Name]:
        """Return the names it lists."""
        by_name: Mapping[str, _Name] = {name.value: name for name in known}
        if self.text == "*":
            return frozenset(by_name.values())
        names = self.text.split("|")
        if len(set(names)) != len(names):
            raise self.refused(f"expected each {kind} once")
        if not by_name.keys() >= set(names):
            raise self.refused(f"expected known {kind}s: some of {', '.join(sorted(by_name))}, or *")
        return frozenset(by_name[name] for name in names)


def _parse_rule(line: str, file: str, number: int) -> Rule:
    cells, column = [], 1
    for text in line.split(","):
        cells.append(_Cell(text, file, number, column))
        column += len(text) + 1
    if cells[0].text != "p":
        raise cells[0].refused(
            "expected p, a rule: the model has no groupings, roles come from the authenticator"
        )
    if len(cells) != len(COLUMNS):
        raise cells[0].refused(f"expected {len(COLUMNS)} cells ({', '.join(COLUMNS)}), got {len(cells)}")
    _, rule_id, roles, resources, relations, assurances, emergencies, actions, purposes, effect = cells
    if len(rule_id.text) > _MAX_RULE_ID or not _RULE_ID.fullmatch(rule_id.text) or rule_id.text in _RESERVED:
        raise rule_id.refused(
            f"expected an id of at most {_MAX_RULE_ID} lower-case letters and digits, - between"
        )
    if effect.text not in set(Effect):
        raise effect.refused("expected the effect allow or deny")
    return Rule(
        id=rule_id.text,
        roles=roles.several("role", Role),
        resources=resources.several("resource", RESOURCES),
        relations=relations.several("relation", RELATIONS),
        assurances=assurances.several("assurance", Assurance),
        emergencies=emergencies.several("emergency", Emergency),
        actions=actions.several("action", Action),
        purposes=purposes.several("purpose", Purpose),
        effect=Effect(effect.text),
        line=number,
    )
