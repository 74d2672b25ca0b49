"""From calls to audit entries: what each event says, and that a denial is written before it is answered.

Owns the mapping from a grant or a denied call to `audit.event.EntryDraft`. No field of an entry holds
content: ids, counts, versions and keyed digests only.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from audit.canonical import JsonValue
from audit.event import EntryDraft, EventType, Outcome, Verdict
from audit.log import Leaf
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose
from vault.clock import Clock
from vault.grant import Decider, Grant
from vault.storage.group_commit import WriteSet
from vault.storage.store import Store

VAULT_PRINCIPAL: Final = "memvault"
"""The vault itself, for entries that no call caused."""

EVENTS: Final[Mapping[Action, EventType]] = {
    Action.WRITE: EventType.MEMORY_WRITE,
    Action.READ: EventType.MEMORY_READ,
    Action.SEARCH: EventType.MEMORY_SEARCH,
    Action.REVEAL: EventType.MEMORY_REVEAL,
    Action.UPDATE: EventType.MEMORY_UPDATE,
    Action.ORGANIZE: EventType.MEMORY_ORGANIZE,
    Action.AUDIT: EventType.AUDIT_READ,
    Action.ADMINISTER: EventType.VAULT_READ,
    Action.ERASE: EventType.SUBJECT_ERASE,
    Action.HOLD: EventType.HOLD_PLACE,
    Action.DISCLOSE: EventType.SUBJECT_REPORT,
    Action.RESTRICT: EventType.SUBJECT_RESTRICT,
    Action.PROMOTE: EventType.MEMORY_PROMOTE,
    Action.EXPORT: EventType.AUDIT_EXPORT,
    Action.BREAK_GLASS: EventType.EMERGENCY_START,
    Action.REVIEW: EventType.EMERGENCY_REVIEW,
}


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks for what and why, before anything is decided."""

    principal: Principal
    action: Action
    purpose: Purpose
    emergency: str | None = None
    """Id of the emergency that the caller says it is in."""


class Journal:
    """Writes the entries of one vault."""

    def __init__(self, store: Store, policy: Decider, clock: Clock) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock

    def allowed(
        self,
        grant: Grant,
        payload: Mapping[str, JsonValue],
        *,
        resource: str | None = None,
        outcome: Outcome = Outcome.OK,
        event: EventType | None = None,
    ) -> EntryDraft:
        """Draft the entry of something that a grant allowed; `event` where it is not the action's own."""
        return EntryDraft(
            event=event or EVENTS[grant.action],
            time=self._clock(),
            principal=grant.principal.id,
            tenant=grant.tenant,
            action=grant.action.value,
            decision=Verdict.ALLOWED,
            policy=grant.bundle_digest,
            outcome=outcome,
            resource=resource,
            purpose=grant.purpose.value,
            payload=_under(payload, grant.asked, None if grant.emergency is None else grant.emergency.id),
        )

    def deny(self, call: Call, *, resource: str | None = None, event: EventType | None = None) -> Leaf:
        """Write the entry of a denial and return where it stands; the denial is answered only after it.

        What was asked is told by the denial that is being answered: the one that is handled when this is called.
        """
        denial = sys.exception()
        asked = denial.asked if isinstance(denial, DeniedError) else None
        draft = EntryDraft(
            event=event or EVENTS[call.action],
            time=self._clock(),
            principal=call.principal.id,
            tenant=call.principal.tenant,
            action=call.action.value,
            decision=Verdict.DENIED,
            policy=self._policy.digest,
            outcome=Outcome.DENIED,
            resource=resource,
            purpose=call.purpose.value,
            payload=_under({}, asked, call.emergency),
        )
        return self._submit(draft)

    def note(
        self,
        grant: Grant,
        payload: Mapping[str, JsonValue],
        *,
        resource: str | None = None,
        outcome: Outcome = Outcome.OK,
        event: EventType | None = None,
    ) -> Leaf:
        """Write an entry of its own, durably, and return where it stands."""
        return self._submit(self.allowed(grant, payload, resource=resource, outcome=outcome, event=event))

    def event(
        self,
        event: EventType,
        tenant: str,
        payload: Mapping[str, JsonValue],
        *,
        principal: str = VAULT_PRINCIPAL,
    ) -> EntryDraft:
        """Draft an entry of something that the vault itself did."""
        return EntryDraft(
            event=event,
            time=self._clock(),
            principal=principal,
            tenant=tenant,
            action=event.value.partition(".")[2],
            decision=Verdict.ALLOWED,
            policy=self._policy.digest,
            outcome=Outcome.OK,
            payload=payload,
        )

    def write(self, drafts: Sequence[EntryDraft]) -> list[Leaf]:
        """Write entries durably and return where they stand."""
        return self._store.submit(WriteSet(drafts=list(drafts)))

    def _submit(self, draft: EntryDraft) -> Leaf:
        return self.write([draft])[0]


def _under(
    payload: Mapping[str, JsonValue], asked: str | None, emergency: str | None
) -> Mapping[str, JsonValue]:
    """Return a payload with what was asked, and the emergency under which it was."""
    told: dict[str, JsonValue] = dict(payload)
    if asked:
        told["asked"] = asked
    if emergency is not None:
        told["emergency"] = emergency
    return told
