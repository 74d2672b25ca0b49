"""Who may do what: the access rules, decided by Casbin behind a wall of our own.

Owns reading `rules/model.conf` and `rules/policy.csv`, and every `Decision` there is. The only module
that imports casbin. It leaves the vocabulary to `policies.model` and the files to `policies.bundle`.

Casbin is asked, and not trusted. Each of its traps is closed here:

- *An empty policy allows an empty request; `enable_enforce(False)` allows everything.* An allow counts
  only with the id of a loaded rule that covers the request by plain set membership as well.
- *A malformed row is found only when it is enforced.* Rows are parsed here, with line numbers, and
  unknown names, doubled ids and zero rules are refused before casbin sees any.
- *Matchers can hold `eval`, regular expressions and wildcards.* The model is pinned word for word.
  A `*` is expanded at load, so that the space of requests is finite.
- *Building an enforcer silences casbin's loggers for the whole process.* That is undone.
- *`enforce` is slow and scans.* There are tens of rules; answers are kept for the life of the policy,
  which is the life of one bundle digest. There are at most as many as the finite space has requests.

The tenant wall stands before the rules, and in the matcher again.
"""

import logging
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self, TypeVar

import casbin

from policies.bundle import ACCESS_MODEL, ACCESS_RULES, Bundle
from policies.errors import PolicyInvalidError, RequestInvalidError
from policies.model import (
    DECISION_ISSUER,
    AccessTier,
    Action,
    Decision,
    Purpose,
    Relation,
    Request,
    Resource,
    Role,
    SystemResource,
)

MAX_RULES: Final = 500
DEFAULT_DENY: Final = "default-deny"
TENANT_WALL: Final = "tenant-wall"

_MODEL: Final = {
    "request_definition": "r = wall, role, resource, relation, action, purpose",
    "policy_definition": "p = id, role, resource, relation, action, purpose, eft",
    "policy_effect": "e = some(where (p.eft == allow))",
    "matchers": 'm = r.wall == "same" && r.role == p.role && covers(p.action, r.action) && covers(p.purpose, '
    "r.purpose) && covers(p.resource, r.resource) && covers(p.relation, r.relation)",
}
_RULE_ID: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*", re.ASCII)
_RESERVED: Final = frozenset({DEFAULT_DENY, TENANT_WALL})
_COLUMNS: Final = 8
_CASBIN_LOGGERS: Final = ("casbin", "casbin.policy", "casbin.enforcer", "casbin.role")
_Name = TypeVar("_Name")


class Wall(StrEnum):
    """Whether the thing is of the principal's own tenant."""

    SAME = "same"
    OTHER = "other"


Question = tuple[Wall, Role, Resource, Relation, Action, Purpose]
"""One point of the finite space that the rules speak of."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the rules, its `*` expanded."""

    id: str
    role: Role
    resources: frozenset[Resource]
    relations: frozenset[Relation]
    actions: frozenset[Action]
    purposes: frozenset[Purpose]

    def covers(self, question: Question) -> bool:
        """Say whether this rule answers the question, by set membership alone."""
        wall, role, resource, relation, action, purpose = question
        return (
            wall is Wall.SAME
            and role is self.role
            and resource in self.resources
            and relation in self.relations
            and action in self.actions
            and purpose in self.purposes
        )

    def row(self) -> list[str]:
        """Return the row that casbin gets: each list in one form, `|read|search|`."""
        lists = (self.resources, self.relations, self.actions, self.purposes)
        return [self.id, self.role, *("|" + "|".join(sorted(names)) + "|" for names in lists), "allow"]


class AccessPolicy:
    """The access rules of one bundle, loaded whole or not at all; may be shared by threads.

    Made by `load`. Answers are kept: there are at most as many as the finite space has questions.
    """

    def __init__(self, rules: tuple[Rule, ...], digest: str) -> None:
        self.rules: Final = rules
        self.digest: Final = digest
        self._by_id = {rule.id: rule for rule in rules}
        self._enforcer = _enforcer(rules)
        self._lock = threading.Lock()
        self._decided: dict[tuple[bool, frozenset[Role], Resource, Relation, Action, Purpose], str] = {}

    @classmethod
    def load(cls, bundle: Bundle) -> Self:
        """Read the rules of a bundle.

        Raises:
            PolicyInvalidError: with file and line, if anything in them is not as it has to be.
        """
        _check_model(bundle.text(ACCESS_MODEL))
        return cls(_parse_rules(bundle.text(ACCESS_RULES)), bundle.digest)

    def decide(self, request: Request) -> Decision:
        """Answer one request: allowed if a rule of any of the principal's roles allows it.

        Raises:
            RequestInvalidError: this is no request.
        """
        if type(request) is not Request:
            raise RequestInvalidError("expected a request of known, typed values")
        principal = request.principal
        key = (
            principal.tenant == request.tenant,
            principal.roles,
            request.resource,
            request.relation,
            request.action,
            request.purpose,
        )
        rule = self._decided.get(key)
        if rule is None:
            rule = self._decided[key] = self._rule_for(request)
        return Decision(request, rule in self._by_id, self.digest, rule, DECISION_ISSUER)

    def _rule_for(self, request: Request) -> str:
        """Name the rule that allows, or why none does."""
        if request.principal.tenant != request.tenant:
            return TENANT_WALL
        for role in sorted(request.principal.roles):
            rule = self.answer(
                (Wall.SAME, role, request.resource, request.relation, request.action, request.purpose)
            )
            if rule != DEFAULT_DENY:
                return rule
        return DEFAULT_DENY

    def answer(self, question: Question) -> str:
        """Ask casbin about one point of the space; name the rule that allows, or `default-deny`.

        Raises:
            PolicyInvalidError: casbin allows what no loaded rule covers.
        """
        with self._lock:
            allowed, row = self._enforcer.enforce_ex(*question)
        if not allowed:
            return DEFAULT_DENY
        rule = self._by_id.get(row[0]) if row else None
        if rule is None or not rule.covers(question):
            raise PolicyInvalidError("casbin allowed what no loaded rule covers: nothing is allowed")
        return rule.id


def _enforcer(rules: tuple[Rule, ...]) -> casbin.Enforcer:
    model = casbin.Model()
    model.load_model_from_text("\n".join(f"[{section}]\n{line}" for section, line in _MODEL.items()))
    loggers = [logging.getLogger(name) for name in _CASBIN_LOGGERS]
    disabled = [logger.disabled for logger in loggers]
    enforcer = casbin.Enforcer(model)
    for logger, before in zip(loggers, disabled, strict=True):
        logger.disabled = before
    # Denials go to the audit log; casbin would write each of them to standard error too.
    enforcer.logger = logging.getLogger("policies.access.casbin")
    enforcer.logger.setLevel(logging.CRITICAL)
    enforcer.add_function("covers", _covers)
    for rule in rules:
        model.add_policy("p", "p", rule.row())
    return enforcer


def _covers(names: str, name: str) -> bool:
    return f"|{name}|" in names


def _check_model(text: str) -> None:
    """Refuse any model but the pinned one."""
    lines = [line.strip() for line in text.split("\n")]
    found = [line for line in lines if line and not line.startswith("#")]
    if found != [part for section, line in _MODEL.items() for part in (f"[{section}]", line)]:
        raise PolicyInvalidError(f"{ACCESS_MODEL} is not the model that this version decides by")


def _parse_rules(text: str) -> tuple[Rule, ...]:
    rules: dict[str, Rule] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            rule = _parse_rule([cell.strip() for cell in line.split(",")])
            if rule.id in rules:
                raise PolicyInvalidError("its id stands on an earlier line too")  # noqa: TRY301  # one place adds the line
        except PolicyInvalidError as error:
            raise PolicyInvalidError(f"{ACCESS_RULES}, line {number}: {error}") from None
        rules[rule.id] = rule
    if not 1 <= len(rules) <= MAX_RULES:
        raise PolicyInvalidError(f"{ACCESS_RULES}: expected 1 to {MAX_RULES} rules, got {len(rules)}")
    return tuple(rules.values())


def _parse_rule(cells: list[str]) -> Rule:
    if len(cells) != _COLUMNS or cells[0] != "p":
        raise PolicyInvalidError(f"expected p and {_COLUMNS - 1} cells, got {len(cells)} cells")
    _, rule_id, role, resources, relations, actions, purposes, effect = cells
    if not _RULE_ID.fullmatch(rule_id) or rule_id in _RESERVED:
        raise PolicyInvalidError("expected an id of lower-case words joined by -")
    if effect != "allow":
        raise PolicyInvalidError("expected the effect allow: whatever no rule allows is denied")
    return Rule(
        id=rule_id,
        role=_one("role", role, {known.value: known for known in Role}),
        resources=_several(
            "resource", resources, {known.value: known for known in (*AccessTier, *SystemResource)}
        ),
        relations=_several("relation", relations, {known.value: known for known in Relation}),
        actions=_several("action", actions, {known.value: known for known in Action}),
        purposes=_several("purpose", purposes, {known.value: known for known in Purpose}),
    )


def _one(kind: str, name: str, known: Mapping[str, _Name]) -> _Name:
    if name not in known:
        raise PolicyInvalidError(f"expected a known {kind}")
    return known[name]


def _several(kind: str, cell: str, known: Mapping[str, _Name]) -> frozenset[_Name]:
    if cell == "*":
        return frozenset(known.values())
    names = cell.split("|")
    if len(set(names)) != len(names):
        raise PolicyInvalidError(f"expected each {kind} once")
    return frozenset(_one(kind, name, known) for name in names)
