"""Memories that nothing bears out: derived ones whose numbers, dates, names or negation no source of theirs has.

Owns holding them back, showing what is held back, and letting one go by a person's word, each with an entry. A memory
that is held back is served to nobody: found by no search, read by no id (`vault.storage.served`). The consistency job
lets go of what is what was written; of these it does not, for nothing is wrong with their rows.

Whoever lets one go answers for it as for a decision about a memory under review (`vault.review`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from audit.canonical import JsonValue
from audit.event import EventType, Outcome
from audit.log import Leaf
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, SystemResource
from vault.clock import from_microseconds, microseconds
from vault.errors import ConflictError, KeyAccessError, NotFoundError, TamperedError
from vault.grant import Grant, authorise
from vault.guarding.grounding import Ground, Missing, ungrounded
from vault.ids import IdKind, check_vault_id
from vault.journal import Call
from vault.parts import Parts
from vault.quarantine import RELEASED, QuarantineReason
from vault.storage.group_commit import WriteSet
from vault.storage.held_rows import HeldRow, held_rows, release_row
from vault.storage.rows import StoredMemory
from vault.storage.schema import QUARANTINE

_UNSUPPORTED: Final = QuarantineReason.UNSUPPORTED.value
_EVENT: Final = EventType.MEMORY_QUARANTINE
_VAULT: Final = SystemResource.VAULT.value


@dataclass(frozen=True, slots=True)
class Held:
    """A memory that is held back."""

    memory_id: str
    version: int
    since: str
    """ISO 8601."""


class HeldBack:
    """What is held back in one vault."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def look_at(
        self, grant: Grant, derived: StoredMemory, sources: Sequence[StoredMemory]
    ) -> tuple[Missing, ...]:
        """Hold a derived memory back where its sources do not bear it out; return what they lack.

        Args:
            grant: Under which it is linked to them; it covers them all.
            derived: The memory.
            sources: What it is derived from.
        """
        try:
            text = self._ground(grant, derived).text
            missing = ungrounded(text, [self._ground(grant, one) for one in sources])
        except (TamperedError, KeyAccessError):
            missing = (Missing.WORDS,)  # fail closed: what cannot be compared is borne out by nothing
        if missing:
            self._hold(grant, derived, missing)
        return missing

    def waiting(self, principal: Principal, purpose: Purpose) -> list[Held]:
        """Return what is held back: ids, no content.

        Raises:
            DeniedError: not allowed; the denial is logged.
        """
        grant = self._authorise(principal, purpose, None)
        with self._parts.store.log_connection(grant.tenant) as connection:
            found = held_rows(connection, grant.tenant, _UNSUPPORTED)
        told: dict[str, JsonValue] = {"count": len(found), "kind": _UNSUPPORTED}
        self._parts.journal.note(grant, told, resource=_VAULT, event=EventType.VAULT_READ)
        return [Held(row.memory_id, row.version, from_microseconds(row.since).isoformat()) for row in found]

    def release(self, principal: Principal, purpose: Purpose, memory_id: str) -> Leaf:
        """Serve a memory that was held back; its trust stays what it was.

        Raises:
            DeniedError: not allowed; the denial is logged.
            NotFoundError: no such memory is held back for that; the entry says so.
            ConflictError: somebody let it go, or it was removed, meanwhile.
        """
        check_vault_id(IdKind.MEMORY, memory_id)
        grant, parts = self._authorise(principal, purpose, memory_id), self._parts
        with parts.store.log_connection(grant.tenant) as connection:
            found = [
                row for row in held_rows(connection, grant.tenant, _UNSUPPORTED) if row.memory_id == memory_id
            ]
        if not found:
            parts.journal.note(grant, {}, resource=memory_id, outcome=Outcome.NOT_FOUND, event=_EVENT)
            raise NotFoundError("no such memory is held back")
        row: HeldRow = found[0]

        def let_go(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            if not release_row(connection, grant.tenant, row):
                raise ConflictError("somebody let this memory go meanwhile")

        told: dict[str, JsonValue] = {"memories": [memory_id], "version": row.version, "reason": RELEASED}
        draft = parts.journal.allowed(grant, told, resource=memory_id, event=_EVENT)
        (leaf,) = parts.store.submit(WriteSet(drafts=[draft], changes=[let_go]))
        parts.indexes.distrust(grant.tenant)
        return leaf

    def _ground(self, grant: Grant, row: StoredMemory) -> Ground:
        opened = self._parts.sealers.open_memory(grant.tenant, row)
        return Ground(row.memory_id, opened.text, opened.speaker)

    def _hold(self, grant: Grant, derived: StoredMemory, missing: Sequence[Missing]) -> None:
        parts, tenant = self._parts, grant.tenant
        row = {
            "tenant_id": tenant,
            "memory_id": derived.memory_id,
            "version": derived.version,
            "reason": _UNSUPPORTED,
            "since": microseconds(parts.clock()),
            "leaf_index": -1,
        }
        told: dict[str, JsonValue] = {
            "memories": [derived.memory_id],
            "version": derived.version,
            "reason": _UNSUPPORTED,
            "reasons": [one.value for one in missing],
        }
        draft = parts.journal.allowed(grant, told, resource=derived.memory_id, event=_EVENT)
        parts.store.submit(WriteSet(drafts=[draft], rows=[(QUARANTINE, row)]))
        parts.indexes.remove(tenant, [derived.memory_id])
        parts.embedding.forget(tenant, [derived.memory_id])

    def _authorise(self, principal: Principal, purpose: Purpose, memory_id: str | None) -> Grant:
        over = ((SystemResource.VAULT, Relation.INSTITUTION),)
        try:
            return authorise(self._parts.policy, principal, Action.ERASE, purpose, over=over)
        except DeniedError:
            call = Call(principal, Action.ERASE, purpose)
            self._parts.journal.deny(call, resource=memory_id or _VAULT, event=_EVENT)
            raise
