"""Updating: a new version of a memory, through the same gate, seal and log as the first.

Older versions stay: what the agent's memory held when it acted has an answer (law 9).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from audit.canonical import JsonValue
from audit.event import Outcome
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose
from policies.retention_model import Place
from vault.classification import Written, classify_again
from vault.clock import microseconds
from vault.embedding_worker import Pending
from vault.errors import (
    ConflictError,
    ErasedError,
    InputInvalidError,
    NotFoundError,
    ScreeningRefusedError,
    TamperedError,
)
from vault.grant import EVERY_MEMORY, Grant, authorise
from vault.ids import IdKind, check_vault_id
from vault.indexes import Indexed
from vault.journal import Call
from vault.model import Receipt, Screened, TrustState
from vault.opened import ScreenedAgain
from vault.parts import Parts
from vault.pipeline.annotate import annotate
from vault.pipeline.limits import check_visible
from vault.privacy.kept import with_kept_tokens
from vault.privacy.public import open_to
from vault.storage.rows import StoredMemory
from vault.storage.write_unit import WriteUnit
from vault.subject_sealer import MemoryContent, RecordPlace, SubjectSealer


@dataclass(frozen=True, slots=True)
class Change:
    """What one call of update asks for."""

    memory_id: str
    text: str = field(repr=False)
    expected_version: int | None
    purpose: Purpose
    reason: str | None = None
    """A fixed word: why it was not right, where a person asked for it to be put right."""
    trust: TrustState | None = None
    """Trust of the new version; None carries on that of the one before."""


Also = Callable[[Grant, WriteUnit, StoredMemory, Screened, Screened], dict[str, JsonValue]]
"""Adds to the unit of an update, given the version before and both texts; returns what its entry says of that."""


class UpdatePath:
    """Carries a changed text to a receipt."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def update(self, principal: Principal, change: Change, also: Also | None = None) -> Receipt:
        """Write the next version of one memory.

        Args:
            principal: Who asks.
            change: What is asked.
            also: What is done in the same transaction.

        Raises:
            DeniedError: the principal may update nothing for this purpose.
            NotFoundError: there is no such memory within reach.
            ConflictError: the memory has another version than expected, or got one meanwhile.
            InputInvalidError, ScreeningRefusedError: the text cannot be kept.
            ErasedError: the text says what was erased before.
        """
        parts = self._parts
        check_vault_id(IdKind.MEMORY, change.memory_id)
        grant, before, source = self._present(principal, change)
        check_visible("text", change.text, parts.limits.turn_chars)
        former = parts.sealers.screened_again(grant.tenant, before)
        sealer = parts.sealers.of_row(grant.tenant, before)
        text = self._screen(grant, change.text, _Former(before, source, former), sealer)
        parts.probe("screened")
        after = self._seal(grant, _Former(before, source, former), text, sealer, change.trust)
        parts.probe("sealed")
        unit = parts.store.write(grant)
        tombstones = parts.sealers.tombstones(grant.tenant)
        unit.refuse_erased(lambda: tombstones.of_write(before.subjects, [text]))
        unit.add_version(after.stored, before.trust)
        payload: dict[str, JsonValue] = {
            "memories": [change.memory_id],
            "version": after.stored.version,
            "digests": [after.stored.digest()],
        }
        if after.stored.trust is not before.trust:
            payload["trust"] = [after.stored.trust.value]
        if also is not None:
            payload |= also(grant, unit, before, former.text, text)
        if change.reason is not None:
            payload["reason"] = change.reason
        unit.entry(parts.journal.allowed(grant, payload, resource=change.memory_id))
        # By the thread that commits, so that the index takes versions in the order in which they were committed.
        try:
            leaf = unit.commit(finish=lambda: parts.indexes.replace(grant.tenant, after))[0]
        except ErasedError:
            parts.journal.note(grant, {}, resource=change.memory_id, outcome=Outcome.REFUSED)
            raise
        parts.probe("durable")
        with parts.indexes.following(grant.tenant):
            parts.embedding.put([Pending(grant.tenant, after.stored, after.embedding_text)])
        return Receipt(
            memory_ids=(change.memory_id,),
            episode_id=before.episode_id,
            log_origin=parts.origin(grant.tenant),
            leaf_index=leaf.index,
            leaf_hash=leaf.hash,
            bundle_digest=grant.bundle_digest,
        )

    def _present(self, principal: Principal, change: Change) -> tuple[Grant, StoredMemory, str]:
        call = Call(principal, Action.UPDATE, change.purpose)
        try:
            grant = authorise(self._parts.policy, principal, call.action, call.purpose, over=EVERY_MEMORY)
        except DeniedError:
            self._parts.journal.deny(call, resource=change.memory_id)
            raise
        with self._parts.store.read(grant) as unit:
            stored = unit.memories([change.memory_id]).get(change.memory_id)
            source = "" if stored is None else unit.source_of(stored.episode_id)
        if unit.damaged:
            self._parts.journal.note(grant, {"unreadable": list(unit.damaged)}, outcome=Outcome.FAILED)
            raise TamperedError(f"the row of {change.memory_id} is not of the form of a memory")
        # What was retracted is kept for the record, and written anew by nobody.
        if stored is None or stored.trust is TrustState.REVOKED:
            self._parts.journal.deny(call, resource=change.memory_id)
            raise NotFoundError("there is no such memory here")
        if change.expected_version is not None and stored.version != change.expected_version:
            self._parts.journal.note(grant, {}, resource=change.memory_id, outcome=Outcome.REFUSED)
            raise ConflictError(
                f"expected version {change.expected_version}, the memory has {stored.version}"
            )
        return grant, stored, source

    def _screen(self, grant: Grant, text: str, former: "_Former", sealer: SubjectSealer) -> Screened:
        gate = self._parts.gate
        try:
            screened = with_kept_tokens(gate.screen(text, sealer.tokens), former.content.text)
            return open_to(former.stored.access_tier, gate, screened)
        except (ScreeningRefusedError, InputInvalidError):
            self._parts.journal.note(grant, {}, outcome=Outcome.REFUSED)
            raise

    def _seal(
        self,
        grant: Grant,
        former: "_Former",
        text: Screened,
        sealer: SubjectSealer,
        trust: TrustState | None,
    ) -> Indexed:
        before, attributes = former.stored, former.content.attributes
        recorded = microseconds(self._parts.clock())
        kept = Place(grant.tenant, former.source, before.purpose, before.access_tier)
        written = Written(kept, recorded, attributes.at)
        content = MemoryContent(
            owner=attributes.owner,
            text=text,
            speaker=former.content.speaker,
            ref=former.content.ref,
            role=attributes.role,
            at=attributes.at,
            source=attributes.source,
            annotations=annotate(text.text, attributes.at),
            edited_by=grant.principal.id,
        )
        place = RecordPlace(
            memory_id=before.memory_id,
            version=before.version + 1,
            episode_id=before.episode_id,
            position=before.position,
            access_tier=before.access_tier,
            memory_tier=before.memory_tier,
            trust=trust or before.trust,
            recorded=recorded,
            purpose=before.purpose,
            retention=classify_again(self._parts.retention, written, text, before.retention),
        )
        return sealer.seal_memory(place, content)


class _Former(NamedTuple):
    """The version that an update starts from."""

    stored: StoredMemory
    source: str
    """Kind of its source."""
    content: ScreenedAgain
