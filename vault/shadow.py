"""A candidate bundle on trial: it decides beside the active one, and only where both differ does the log say so.

Owns the comparison and its entries. A trial changes no answer, fails no call and makes none wait for the log: what
differs is counted, and a thread of its own writes the counts every few seconds and when the vault is closed. What a
crash takes is what was counted since; every decision is in the log by itself, for `memvault policy replay`. It leaves
deciding to `policies.access`.
"""

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final, NamedTuple

from audit.canonical import JsonValue
from audit.event import EntryDraft, EventType
from policies.access import AccessPolicy
from policies.bundle import Bundle
from policies.facts import MEMORIES, Facts, Place, write_facts
from policies.model import (
    RESOURCES,
    Action,
    Assurance,
    Decision,
    Emergency,
    Purpose,
    Relation,
    Request,
    Role,
)
from vault.errors import VaultError
from vault.journal import Journal
from vault.parts import Parts
from vault.sweeping import Sweeper

FLUSH_SECONDS: Final = 5.0
MAX_DIFFERENCES: Final = 10_000
"""Different requests that are counted between two writings: what a caller can have a trial keep in memory."""
_ORDER: Final = {
    place: nth
    for nth, place in enumerate(
        dict.fromkeys((*MEMORIES, *((one, how) for one in RESOURCES for how in Relation)))
    )
}


class _Asker(NamedTuple):
    """What requests have in common that are told in one entry."""

    tenant: str
    principal: str
    roles: frozenset[Role]
    assurance: Assurance
    emergency: Emergency
    action: Action
    purpose: Purpose
    allowed: bool
    """What the active bundle says; the candidate says the contrary."""


class Trial:
    """Decides by the active bundle, and asks a candidate what it would have said; may be shared by threads."""

    def __init__(self, active: AccessPolicy, candidate: AccessPolicy) -> None:
        self.digest: Final = active.digest
        self.consent: Final = active.consent
        self.tells_teams: Final = active.tells_teams
        self.emergency_minutes: Final = active.emergency_minutes
        self.candidate: Final = candidate.digest
        self._active = active
        self._candidate = candidate
        self._lock = threading.Lock()
        self._differing: Counter[Request] = Counter()
        self._untold = 0

    def decide(self, request: Request) -> Decision:
        """Answer one request as the active bundle does."""
        decision = self._active.decide(request)
        try:
            if self._candidate.decide(request).allowed is not decision.allowed:
                self._count(request)
        except Exception:  # noqa: BLE001  # whatever a candidate does, nobody's call fails by it
            with self._lock:
                self._untold += 1
        return decision

    def _count(self, request: Request) -> None:
        with self._lock:
            if request in self._differing or len(self._differing) < MAX_DIFFERENCES:
                self._differing[request] += 1
            else:
                self._untold += 1

    def drafts(self, journal: Journal) -> list[EntryDraft]:
        """Draft the entries of what differed since they were drafted last."""
        with self._lock:
            differing, self._differing = self._differing, Counter()
        asked: dict[_Asker, dict[Place, int]] = {}
        for request, count in differing.items():
            who = request.principal
            asker = _Asker(
                who.tenant,
                who.id,
                who.roles,
                who.assurance,
                request.emergency,
                request.action,
                request.purpose,
                self._active.decide(request).allowed,
            )
            asked.setdefault(asker, {})[request.resource, request.relation] = count
        return [self._draft(journal, asker, places) for asker, places in asked.items()]

    def _draft(self, journal: Journal, asker: _Asker, places: dict[Place, int]) -> EntryDraft:
        over = tuple(sorted(places, key=_ORDER.__getitem__))
        facts = Facts(
            asker.roles,
            asker.assurance,
            asker.emergency,
            asker.action,
            over,
            frozenset(over if asker.allowed else ()),
        )
        payload: dict[str, JsonValue] = {
            "kind": "differs",
            "candidate": self.candidate,
            "principal": asker.principal,
            "asked": write_facts(facts),
            "count": max(places.values()),
        }
        draft = journal.event(EventType.POLICY_SHADOW, asker.tenant, payload)
        return replace(draft, action=asker.action.value, purpose=asker.purpose.value)

    def untold(self) -> int:
        """Return how many differences were too many to be told, and start to count them anew."""
        with self._lock:
            untold, self._untold = self._untold, 0
        return untold


def under_trial(active: AccessPolicy, candidate: Bundle | None) -> "AccessPolicy | Trial":
    """Return what decides: the active bundle, and beside it a candidate if there is one.

    Raises:
        PolicyInvalidError: the candidate is no bundle; whoever asks for a trial is told so before it begins.
    """
    return active if candidate is None else Trial(active, AccessPolicy.load(candidate))


def watch_trial(parts: Parts) -> Callable[[], None]:
    """Write that a trial begins, and what differs from then on, into each tenant's log; return how to end it."""
    trial = parts.policy
    if not isinstance(trial, Trial):
        return _nothing
    flushing = threading.Lock()

    def mark(kind: str, count: int | None = None) -> None:
        payload: dict[str, JsonValue] = {"kind": kind, "candidate": trial.candidate}
        if count is not None:
            payload["count"] = count
        for tenant in parts.store.tenants():
            parts.journal.write([parts.journal.event(EventType.POLICY_SHADOW, tenant, payload)])

    def flush() -> None:
        with flushing:
            drafts = trial.drafts(parts.journal)
            for tenant in {draft.tenant for draft in drafts}:
                with suppress(VaultError):  # a trial that cannot be told of ends nothing
                    parts.journal.write([draft for draft in drafts if draft.tenant == tenant])

    def end() -> None:
        sweeper.end()
        flush()
        with suppress(VaultError):
            mark("ended", count=trial.untold())

    mark("began")
    sweeper = Sweeper(flush, FLUSH_SECONDS)
    return end


def _nothing() -> None:
    """End a trial that there is not."""
