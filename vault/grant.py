"""A grant: what a principal was allowed to do, as the storage takes it.

Made from allowed decisions only. Storage filters by it and writes under it; there is no way to read
or write a row without one (ARCHITECTURE law 2).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol
from weakref import WeakKeyDictionary

from policies.access import AccessPolicy
from policies.errors import DeniedError
from policies.facts import Facts, write_facts
from policies.model import (
    AccessTier,
    Action,
    Decision,
    Emergency,
    Principal,
    Purpose,
    Relation,
    Request,
    Resource,
    Role,
)


class Decider(Protocol):
    """The part of the access policy that a grant needs."""

    @property
    def digest(self) -> str:
        """Digest of the bundle in force."""
        ...

    @property
    def consent(self) -> frozenset[Purpose]:
        """Purposes for which only what is about persons who consented is used."""
        ...

    @property
    def tells_teams(self) -> bool:
        """Whether any rule tells a care team from the rest of the institution."""
        ...

    @property
    def emergency_minutes(self) -> Mapping[Role, int]:
        """How long emergencies last at most, by role; see `policies.emergencies`."""
        ...

    def decide(self, request: Request) -> Decision:
        """Answer one request."""
        ...


@dataclass(frozen=True, slots=True)
class InForce:
    """An emergency that is in force for a call, as `vault.emergencies` found; nobody else makes one."""

    id: str


@dataclass(frozen=True, slots=True)
class Grant:
    """The allowed share of the request space for one call.

    Raises:
        DeniedError: there is no decision, one of them is a denial, or they speak of different calls.
    """

    principal: Principal
    action: Action
    purpose: Purpose
    decisions: tuple[Decision, ...]
    emergency: InForce | None = None
    """Under which it was asked; each entry of the grant names it."""
    consent: bool = False
    """Whether it covers only what is about persons who consented to its purpose."""
    asked: str = ""
    """What was asked and what of it was allowed, as `policies.facts` writes it; each entry of the grant says so."""

    def __post_init__(self) -> None:
        if not self.decisions:
            raise DeniedError(f"{self.action} for {self.purpose} is not allowed")
        for decision in self.decisions:
            request = decision.require().request
            if (request.principal, request.action, request.purpose) != (
                self.principal,
                self.action,
                self.purpose,
            ):
                raise DeniedError("expected decisions about one principal, action and purpose")
            if request.tenant != self.principal.tenant:
                raise DeniedError("expected decisions about the principal's own tenant")
            if (request.emergency is Emergency.DECLARED) != (self.emergency is not None):
                raise DeniedError("expected decisions about the emergency that the call is under")

    @property
    def tenant(self) -> str:
        """The tenant that every row of this grant belongs to."""
        return self.principal.tenant

    @property
    def bundle_digest(self) -> str:
        """Digest of the bundle that decided."""
        return self.decisions[0].bundle_digest

    @property
    def reach(self) -> frozenset[tuple[AccessTier, Relation]]:
        """The kinds of memory it covers; of a promotion, which is asked of where it goes, those that it takes from."""
        promoting = self.action is Action.PROMOTE
        return frozenset(
            (tier, decision.request.relation)
            for decision in self.decisions
            for tier in (_below(decision.request.resource) if promoting else decision.request.resource,)
            if isinstance(tier, AccessTier)
        )

    def covers(self, access_tier: AccessTier, owner: str, team: Collection[str] = ()) -> bool:
        """Say whether a memory of that tier, owner and care team is within reach."""
        return (access_tier, relation_of(self.principal, owner, team)) in self.reach


def _below(resource: Resource) -> AccessTier | None:
    """Return the access tier from which a memory is promoted to another: one step at a time, and none to private."""
    steps: dict[Resource, AccessTier] = {
        AccessTier.INSTITUTIONAL: AccessTier.PRIVATE,
        AccessTier.PUBLIC: AccessTier.INSTITUTIONAL,
    }
    return steps.get(resource)


def relation_of(principal: Principal, owner: str, team: Collection[str] = ()) -> Relation:
    """Say how a principal stands to what `owner` of its institution owns.

    Args:
        principal: Who.
        owner: Id of a principal of the same institution.
        team: Ids of those who are on the care teams of everyone that it is about.
    """
    if principal.id == owner:
        return Relation.OWNER
    return Relation.CARE_TEAM if principal.id in team else Relation.INSTITUTION


def authorise(
    policy: Decider,
    principal: Principal,
    action: Action,
    purpose: Purpose,
    *,
    over: Iterable[tuple[Resource, Relation]],
    emergency: InForce | None = None,
) -> Grant:
    """Ask for each kind of thing and keep what is allowed.

    Raises:
        DeniedError: nothing is.
    """
    wanted = tuple(over)
    if emergency is not None or type(policy) is not AccessPolicy:
        return _authorised(policy, principal, action, purpose, wanted, emergency)
    granted = _GRANTED.setdefault(policy, {})
    question = (principal, action, purpose, wanted)
    grant = granted.get(question)
    if grant is None:
        grant = _authorised(policy, principal, action, purpose, wanted, None)
        if len(granted) >= _MAX_GRANTED:
            granted.clear()
        granted[question] = grant
    return grant


def _authorised(  # noqa: PLR0917  # as `authorise`
    policy: Decider,
    principal: Principal,
    action: Action,
    purpose: Purpose,
    wanted: tuple[tuple[Resource, Relation], ...],
    emergency: InForce | None,
) -> Grant:
    declared = Emergency.NONE if emergency is None else Emergency.DECLARED
    asked = [
        policy.decide(Request(principal, principal.tenant, resource, relation, action, purpose, declared))
        for resource, relation in wanted
    ]
    allowed = tuple(decision for decision in asked if decision.allowed)
    reached = frozenset((decision.request.resource, decision.request.relation) for decision in allowed)
    deciding = tuple(dict.fromkeys(decision.rule for decision in allowed or asked))
    asked_for = write_facts(
        Facts(principal.roles, principal.assurance, declared, action, wanted, reached, deciding)
    )
    if not allowed:
        raise DeniedError(f"{action} for {purpose} is not allowed", asked_for)
    return Grant(
        principal, action, purpose, allowed, emergency, consent=purpose in policy.consent, asked=asked_for
    )


_Question = tuple[Principal, Action, Purpose, tuple[tuple[Resource, Relation], ...]]
_MAX_GRANTED: Final = 4_096
_GRANTED: Final[WeakKeyDictionary[AccessPolicy, dict[_Question, Grant]]] = WeakKeyDictionary()
"""Grants of each policy in use: rules that never change answer a question the same way each time.

Not of a policy that is watched while it decides, nor of an emergency, which ends; a denial is worked out anew.
"""
EVERY_MEMORY: tuple[tuple[AccessTier, Relation], ...] = tuple(
    (tier, relation)
    for tier in AccessTier
    for relation in (Relation.OWNER, Relation.CARE_TEAM, Relation.INSTITUTION)
)
