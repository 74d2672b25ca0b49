"""Promotion: a memory is opened to the next wider access tier, after a look at its content.

    receipt = Promotions(vault.parts).promote(agent, Promotion(memory_id, AccessTier.INSTITUTIONAL))
    receipt = Promotions(vault.parts).promote(officer, Promotion(memory_id, AccessTier.PUBLIC, purpose=Purpose.LEGAL))

Private goes to institutional, institutional to public: one step at a time, each decided by the rules about the tier
that it goes to, each a new version under the new tier's seal; the older ones stay in theirs. What the memory says is
screened afresh from its originals, so its tokens are those of the new tier and lead back to none of the old. What
becomes public has neither originals nor tokens, and is refused where personal data of any kind stands readable in it
(`vault.privacy.public`). Title, tags and metadata belong to the episode and do not go along.

Owns that order. There is no way back: what others have read is not taken back by a seal, it is erased.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from audit.canonical import JsonValue
from audit.event import Outcome
from policies.errors import DeniedError
from policies.model import AccessTier, Action, Principal, Purpose, Relation
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
from vault.grant import Grant, authorise
from vault.guarding.labels import labels_of
from vault.ids import IdKind, check_vault_id
from vault.indexes import Indexed
from vault.journal import Call
from vault.model import Receipt, Screened
from vault.opened import ScreenedAgain
from vault.parts import Parts
from vault.pipeline.annotate import annotate
from vault.privacy.names import screen_name
from vault.privacy.public import open_to
from vault.storage.rows import StoredMemory
from vault.subject_sealer import MemoryContent, RecordPlace, SubjectSealer
from vault.tombstones import original_text


@dataclass(frozen=True, slots=True)
class Promotion:
    """What one call of promote asks for."""

    memory_id: str
    to: AccessTier
    expected_version: int | None = None
    purpose: Purpose = Purpose.OPERATIONS


class _Present(NamedTuple):
    """The version that a promotion starts from."""

    stored: StoredMemory
    source: str
    """Kind of its source."""
    content: ScreenedAgain


class Promotions:
    """Opens memories of one vault wider."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def promote(self, principal: Principal, promotion: Promotion) -> Receipt:
        """Open a memory to the next wider tier, as its next version.

        Raises:
            DeniedError: nothing may be promoted to that tier for this purpose; the denial is logged.
            InputInvalidError: nothing is promoted to that tier.
            NotFoundError: there is no such memory in the tier below and within reach.
            ConflictError: it has another version than expected, or got one meanwhile.
            ErasedError: an erasure of whom it is about was begun, or what it says was erased; the refusal is logged.
            ScreeningRefusedError: it would be public, and personal data stands readable in it; or the rules refuse it.
        """
        parts = self._parts
        check_vault_id(IdKind.MEMORY, promotion.memory_id)
        if promotion.to is AccessTier.PRIVATE:
            raise InputInvalidError("expected the access tier institutional or public")
        grant, present = self._present(principal, promotion)
        wider = replace(present.stored, access_tier=promotion.to)
        sealer = parts.sealers.of_row(grant.tenant, wider)
        try:
            content = self._screened(grant, promotion.to, present, sealer)
        except (ScreeningRefusedError, InputInvalidError):
            parts.journal.note(grant, {}, resource=promotion.memory_id, outcome=Outcome.REFUSED)
            raise
        self._expect_unlabelled(grant, promotion, content)
        after = self._sealed(grant, promotion.to, present, content, sealer)
        unit = parts.store.write(grant)
        tombstones = parts.sealers.tombstones(grant.tenant)
        unit.refuse_erased(lambda: tombstones.of_write(present.stored.subjects, [content.text]))
        unit.add_version(after.stored)
        payload: dict[str, JsonValue] = {
            "memories": [promotion.memory_id],
            "version": after.stored.version,
            "digests": [after.stored.digest()],
            "access_tier": promotion.to.value,
        }
        unit.entry(parts.journal.allowed(grant, payload, resource=promotion.memory_id))
        # By the thread that commits, so that the index takes versions in the order in which they were committed.
        try:
            leaf = unit.commit(finish=lambda: parts.indexes.replace(grant.tenant, after))[0]
        except ErasedError:
            parts.journal.note(grant, {}, resource=promotion.memory_id, outcome=Outcome.REFUSED)
            raise
        with parts.indexes.following(grant.tenant):
            parts.embedding.put([Pending(grant.tenant, after.stored, after.embedding_text)])
        return Receipt(
            memory_ids=(promotion.memory_id,),
            episode_id=after.stored.episode_id,
            log_origin=parts.origin(grant.tenant),
            leaf_index=leaf.index,
            leaf_hash=leaf.hash,
            bundle_digest=grant.bundle_digest,
        )

    def _expect_unlabelled(self, grant: Grant, promotion: Promotion, content: MemoryContent) -> None:
        """See that nothing that looks like an injection is opened to other principals' agents.

        Raises:
            ScreeningRefusedError: it does; the refusal is logged.
        """
        labels = labels_of(original_text(content.text))
        if labels:
            told: dict[str, JsonValue] = {"reasons": [label.value for label in labels]}
            self._parts.journal.note(grant, told, resource=promotion.memory_id, outcome=Outcome.REFUSED)
            raise ScreeningRefusedError("it looks like an instruction to a model, and is opened no wider")

    def _present(self, principal: Principal, promotion: Promotion) -> tuple[Grant, _Present]:
        parts, call = self._parts, Call(principal, Action.PROMOTE, promotion.purpose)
        over = [
            (promotion.to, relation)
            for relation in (Relation.OWNER, Relation.CARE_TEAM, Relation.INSTITUTION)
        ]
        try:
            grant = authorise(parts.policy, principal, call.action, call.purpose, over=over)
        except DeniedError:
            parts.journal.deny(call, resource=promotion.memory_id)
            raise
        with parts.store.read(grant) as unit:
            stored = unit.memories([promotion.memory_id]).get(promotion.memory_id)
            source = "" if stored is None else unit.source_of(stored.episode_id)
        if unit.damaged:
            parts.journal.note(grant, {"unreadable": list(unit.damaged)}, outcome=Outcome.FAILED)
            raise TamperedError(f"the row of {promotion.memory_id} is not of the form of a memory")
        if stored is None:
            parts.journal.deny(call, resource=promotion.memory_id)
            raise NotFoundError("there is no such memory here")
        if promotion.expected_version not in {None, stored.version}:
            parts.journal.note(grant, {}, resource=promotion.memory_id, outcome=Outcome.REFUSED)
            raise ConflictError(
                f"expected version {promotion.expected_version}, the memory has {stored.version}"
            )
        return grant, _Present(stored, source, parts.sealers.screened_again(grant.tenant, stored))

    def _screened(
        self, grant: Grant, to: AccessTier, present: _Present, sealer: SubjectSealer
    ) -> MemoryContent:
        """Screen afresh what the memory says, from its originals; what was redacted stays redacted."""
        former, attributes = present.content, present.content.attributes
        speaker = original_text(former.speaker)
        gate, tokens = self._parts.gate.knowing([speaker]), sealer.tokens

        def again(before: Screened) -> Screened:
            return open_to(to, gate, gate.screen(original_text(before), tokens))

        text = again(former.text)
        return MemoryContent(
            owner=attributes.owner,
            text=text,
            speaker=open_to(to, gate, screen_name(gate, speaker, tokens)),
            ref=None if former.ref is None else again(former.ref),
            role=attributes.role,
            at=attributes.at,
            source=attributes.source,
            annotations=annotate(text.text, attributes.at),
            edited_by=grant.principal.id,
        )

    def _sealed(
        self,
        grant: Grant,
        to: AccessTier,
        present: _Present,
        content: MemoryContent,
        sealer: SubjectSealer,
    ) -> Indexed:
        before, recorded = present.stored, microseconds(self._parts.clock())
        kept = Place(grant.tenant, present.source, before.purpose, to)
        written = Written(kept, recorded, content.at)
        place = RecordPlace(
            memory_id=before.memory_id,
            version=before.version + 1,
            episode_id=before.episode_id,
            position=before.position,
            access_tier=to,
            memory_tier=before.memory_tier,
            trust=before.trust,
            recorded=recorded,
            purpose=before.purpose,
            retention=classify_again(self._parts.retention, written, content.text, before.retention),
        )
        return sealer.seal_memory(place, content)
