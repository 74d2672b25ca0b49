"""Who may do what: the access rules, decided by Casbin behind a wall of our own.

Owns every `Decision` there is. The only module that imports casbin. It leaves the vocabulary to
`policies.model`, the form of rules to `policies.rule` and the files to `policies.bundle`.

Casbin is asked, and not trusted. Each of its traps is closed here:

- *An empty policy allows an empty request; `enable_enforce(False)` allows everything.* An allow counts
  only with a loaded rule that covers the request by plain set membership, and none that forbids it.
- *A malformed row is found only when it is enforced.* Rows are parsed before, with line and column, and
  unknown names, doubled ids and zero rules are refused before casbin sees any.
- *Matchers can hold `eval`, regular expressions and wildcards.* The model is pinned word for word.
  A `*` is expanded at load, so that the space of requests is finite.
- *Building an enforcer silences casbin's loggers for the whole process.* That is undone.
- *`enforce` is slow and scans.* There are tens of rules, each role has an enforcer of those that speak of
  it, and answers are kept for the life of the policy, which is the life of one bundle digest. There are at
  most as many as the finite space has requests.

The tenant wall stands before the rules, and in the matcher again. A rule that denies overrides all that
allow, of whichever role of the principal.
"""

import logging
import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Self

import casbin

from policies.bundle import ACCESS_MODEL, ACCESS_RULES, PRIVACY_RULES, Bundle
from policies.errors import PolicyInvalidError, RequestInvalidError
from policies.model import (
    DECISION_ISSUER,
    Action,
    Assurance,
    Decision,
    Emergency,
    Purpose,
    Relation,
    Request,
    Resource,
    Role,
)
from policies.privacy import parse_privacy_rules
from policies.rule import DEFAULT_DENY, TENANT_WALL, Effect, Question, Rule, Wall, parse_rules

_MODEL: Final = {
    "request_definition": "r = wall, role, resource, relation, assurance, emergency, action, purpose",
    "policy_definition": "p = id, roles, resources, relations, assurances, emergencies, actions, purposes, eft",
    "policy_effect": "e = some(where (p.eft == allow)) && !some(where (p.eft == deny))",
    "matchers": 'm = r.wall == "same" && covers(p.actions, r.action) && covers(p.purposes, r.purpose) && '
    "covers(p.resources, r.resource) && covers(p.relations, r.relation) && covers(p.assurances, r.assurance) && "
    "covers(p.emergencies, r.emergency) && covers(p.roles, r.role)",
}
_CASBIN_LOGGERS: Final = ("casbin", "casbin.policy", "casbin.enforcer", "casbin.role")
_Key = tuple[bool, frozenset[Role], Resource, Relation, Assurance, Emergency, Action, Purpose]


class AccessPolicy:
    """The access rules of one bundle, loaded whole or not at all; may be shared by threads.

    Made by `load`. Answers are kept: there are at most as many as the finite space has questions.
    """

    def __init__(
        self,
        rules: tuple[Rule, ...],
        digest: str,
        consent: frozenset[Purpose] = frozenset(),
        emergency_minutes: Mapping[Role, int] = MappingProxyType({}),
    ) -> None:
        self.rules: Final = rules
        self.digest: Final = digest
        self.consent: Final = consent
        """Purposes for which only what is about persons who consented is used; see `policies.privacy`."""
        self.emergency_minutes: Final = emergency_minutes
        """How long emergencies last at most, by role; see `policies.emergencies`."""
        self.tells_teams: Final = any(
            (Relation.CARE_TEAM in rule.relations) is not (Relation.INSTITUTION in rule.relations)
            for rule in rules
        )
        """Whether any rule tells a care team from the rest of the institution."""
        self._of_role = {role: tuple(rule for rule in rules if role in rule.roles) for role in Role}
        self._enforcers = {role: _enforcer(of_role) for role, of_role in self._of_role.items()}
        self._lock = threading.Lock()
        self._decided: dict[_Key, tuple[bool, str]] = {}

    @classmethod
    def load(cls, bundle: Bundle) -> Self:
        """Read the rules of a bundle.

        Raises:
            PolicyInvalidError: with file and line, if anything in them is not as it has to be.
        """
        check_model(bundle.text(ACCESS_MODEL))
        privacy = parse_privacy_rules(bundle.text(PRIVACY_RULES))
        rules = parse_rules(bundle.text(ACCESS_RULES), ACCESS_RULES)
        return cls(rules, bundle.digest, frozenset(privacy.consent), privacy.emergency_minutes)

    def decide(self, request: Request) -> Decision:
        """Answer one request: allowed if a rule of any of the principal's roles allows it and none denies it.

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
            principal.assurance,
            request.emergency,
            request.action,
            request.purpose,
        )
        decided = self._decided.get(key)
        if decided is None:
            decided = self._decided[key] = self._decide(request)
        allowed, rule = decided
        return Decision(request, allowed, self.digest, rule, DECISION_ISSUER)

    def _decide(self, request: Request) -> tuple[bool, str]:
        """Say whether it is allowed, and name the rule that allows or denies, or why none does."""
        principal = request.principal
        if principal.tenant != request.tenant or request.relation is Relation.OTHER:
            return False, TENANT_WALL
        allowing = DEFAULT_DENY
        for role in sorted(principal.roles):
            question = Question(
                Wall.SAME,
                role,
                request.resource,
                request.relation,
                principal.assurance,
                request.emergency,
                request.action,
                request.purpose,
            )
            answer, rule = self.answer(question)
            if answer is Effect.DENY:
                return False, rule
            if answer is Effect.ALLOW and allowing == DEFAULT_DENY:
                allowing = rule
        return allowing != DEFAULT_DENY, allowing

    def answer(self, question: Question) -> tuple[Effect | None, str]:
        """Ask casbin about one point of the space; name the rule that decides, or `default-deny` with no effect.

        Raises:
            PolicyInvalidError: casbin allows what no loaded rule covers, or a rule denies.
        """
        with self._lock:
            allowed, row = self._enforcers[question.role].enforce_ex(*question)
        covering = [rule for rule in self._of_role[question.role] if rule.covers(question)]
        denying = next((rule for rule in covering if rule.effect is Effect.DENY), None)
        if not allowed:
            return (None, DEFAULT_DENY) if denying is None else (Effect.DENY, denying.id)
        # Casbin names the last rule that matched, unless it was switched off and allows everything.
        if denying is not None or not covering or row[:1] != [covering[-1].id]:
            raise PolicyInvalidError("casbin allowed what no loaded rule covers: nothing is allowed")
        return Effect.ALLOW, covering[0].id


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


def check_model(text: str) -> None:
    """Refuse any model but the pinned one.

    Raises:
        PolicyInvalidError: with the first line that differs.
    """
    expected = [part for section, line in _MODEL.items() for part in (f"[{section}]", line)]
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), start=1)]
    found = [(number, line) for number, line in lines if line and not line.startswith("#")]
    reason = "this is not the model that this version decides by"
    for (number, line), wanted in zip(found, expected, strict=False):
        if line != wanted:
            raise PolicyInvalidError(reason, file=ACCESS_MODEL, line=number, column=1)
    if len(found) != len(expected):
        raise PolicyInvalidError(reason, file=ACCESS_MODEL, line=len(lines))
