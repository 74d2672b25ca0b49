"""The write path, in seven lines (ARCHITECTURE section 2).

1. Authorise: principal × tenant × access tier × action × purpose; a denial is logged, too.
2. Extract: raw input becomes passages with provenance down to the character span.
3. Screen: the privacy gate sees everything that will be stored or indexed.
4. Guard: each memory gets its trust; organizing over many memories is `vault.organizer`'s.
5. Seal: every field under the subjects' key, bound to its place.
6. Commit: rows and audit entry in one transaction, one durable commit for concurrent writers.
7. Receipt: ids, leaf index and hash; the memory can be found at once.

The dense vector follows from a background worker; until then words find the memory.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple

from audit.canonical import JsonValue
from audit.event import EventType, Outcome
from audit.log import Leaf
from policies.errors import DeniedError
from policies.model import AccessTier, Action, Principal, Purpose, Relation
from policies.retention_model import Place
from vault.classification import Written, classify
from vault.clock import Stock, microseconds
from vault.crypto.subject_name import normal_name
from vault.embedding_worker import Pending
from vault.errors import (
    EchoedError,
    ErasedError,
    IdentifierInvalidError,
    InputInvalidError,
    KeyDestroyedError,
    KeyMissingError,
    ScreeningRefusedError,
)
from vault.grant import Grant, authorise
from vault.ids import IdKind, new_id
from vault.indexes import Indexed
from vault.intents import Effects
from vault.journal import Call
from vault.model import Chat, MemoryTier, Passage, Receipt, Screened, Source, SourceKind, TrustState
from vault.parts import Parts
from vault.pipeline.annotate import annotate
from vault.pipeline.guard import trust_of
from vault.pipeline.segment import segment
from vault.privacy.names import screen_name
from vault.privacy.public import open_to
from vault.privacy.tokens import SubjectTokens
from vault.storage.echoes import Said, refuse_echoes
from vault.storage.rows import StoredEpisode
from vault.storage.write_unit import WriteUnit
from vault.subject_sealer import EpisodeContent, MemoryContent, RecordPlace, SubjectSealer, TokenScope
from vault.tombstones import EchoScope

KEY_MAKING: Final = "key.create"
"""Kind of the effect by which subjects' keys come to be."""
SELF: Final = "self:"
"""What the subject of a principal's own notes begins with; nobody else writes under it."""


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """What one call of extract asks for."""

    source: Source
    subjects: tuple[str, ...]
    """The caller's names of the persons this is about; several make a joint key."""
    access_tier: AccessTier
    purpose: Purpose


class _Screens(NamedTuple):
    """Everything of one source that was screened."""

    texts: tuple[Screened, ...]
    speakers: Mapping[str, Screened]
    refs: Mapping[str, Screened]
    title: Screened
    name: Screened
    tags: tuple[Screened, ...]
    metadata: tuple[tuple[Screened, Screened], ...]


@dataclass(slots=True)
class _Work:
    """One source on its way from the gate to the commit."""

    grant: Grant
    request: WriteRequest
    passages: tuple[Passage, ...]
    screens: _Screens
    sealer: SubjectSealer
    stock: Stock
    episode_id: str
    recorded: datetime
    written: list[Indexed] = field(default_factory=list)
    """Its memories, once they are sealed."""
    echoes: frozenset[int] = frozenset()
    """Places of memories that say what was taken back after it was said."""


class WritePath:
    """Carries raw input to a receipt."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._effects = Effects(parts)

    def extract(self, principal: Principal, request: WriteRequest) -> Receipt:
        """Write one source as one episode.

        Raises:
            DeniedError: the principal may not write to this access tier for this purpose.
            InputInvalidError: or one of its kinds: the source cannot be kept as it is.
            ScreeningRefusedError: the privacy rules refuse it; an entry says so.
            ErasedError, KeyDestroyedError: it, or whom it is about, was erased before; an entry says so.
            KeyAccessError, StorageError: nothing was written.
        """
        parts = self._parts
        # 1. Authorise
        grant = self._authorise(principal, request)
        parts.probe("authorised")
        # 2. Extract
        passages = segment(request.source, parts.limits)
        parts.probe("segmented")
        # 3. Screen
        stock = Stock(parts.entropy)
        subjects = parts.sealers.named(grant.tenant, _subjects(principal, request.subjects))
        try:
            sealer = self._sealer(grant, subjects, TokenScope(request.access_tier, principal.id), stock)
        except KeyDestroyedError:  # whom it is about was erased
            parts.journal.note(grant, {}, outcome=Outcome.REFUSED)
            raise
        screens = self._screen(grant, request, passages, sealer.tokens)
        parts.probe("screened")
        now = parts.clock()
        work = _Work(
            grant, request, passages, screens, sealer, stock, new_id(IdKind.EPISODE, now, stock), now
        )
        # 4. Guard, 5. Seal, 6. Commit, by whichever writer leads: for all who wait, one after another
        try:
            leaf = self._commit(work)
        except (ErasedError, KeyDestroyedError):
            parts.journal.note(grant, {}, outcome=Outcome.REFUSED)
            raise
        # 7. Receipt
        return Receipt(
            memory_ids=tuple([item.stored.memory_id for item in work.written]),
            episode_id=work.episode_id,
            log_origin=parts.origin(grant.tenant),
            leaf_index=leaf.index,
            leaf_hash=leaf.hash,
            bundle_digest=grant.bundle_digest,
        )

    def _commit(self, work: _Work) -> Leaf:
        """Commit a source; again, where the transaction sees that some of it was taken back, with that disputed."""
        while True:
            unit = self._parts.store.write(work.grant)
            try:
                (leaf,) = unit.commit(
                    prepare=partial(self._seal, unit, work), finish=lambda: self._index(work)
                )
            except EchoedError as echoed:
                if echoed.places <= work.echoes:
                    raise
                work.echoes |= echoed.places
            else:
                return leaf

    def _authorise(self, principal: Principal, request: WriteRequest) -> Grant:
        over = ((request.access_tier, Relation.OWNER),)
        try:
            return authorise(self._parts.policy, principal, Action.WRITE, request.purpose, over=over)
        except DeniedError:
            self._parts.journal.deny(Call(principal, Action.WRITE, request.purpose))
            raise

    def _sealer(
        self, grant: Grant, subjects: Mapping[str, str], scope: TokenScope, stock: Stock
    ) -> SubjectSealer:
        """Return what seals this write; keys that are missing are made, between an intent and its outcome."""
        sealers, journal = self._parts.sealers, self._parts.journal
        keyless = self._keyless(grant, subjects)
        if not keyless:
            return sealers.for_writing(grant.tenant, subjects, scope, stock)
        named: dict[str, JsonValue] = {"subjects": list(keyless)}
        with self._effects.intended(grant, KEY_MAKING, None, named) as effect:
            sealer = sealers.for_writing(grant.tenant, subjects, scope, stock)
            made = journal.allowed(grant, {**named, "keys": len(keyless)})
            effect.also.append(replace(made, event=EventType.KEY_CREATE))
        return sealer

    def _keyless(self, grant: Grant, subjects: Iterable[str]) -> list[str]:
        """Return the subjects that have no key yet, and see that none of them had one.

        Threat: `keys.db` restored from an older copy. A new key beside the lost one would shut the old
        rows for ever, also when the right copy is found.

        Raises:
            KeyMissingError: rows of the subject exist, and its key does not.
        """
        keyless = self._parts.sealers.keyless(grant.tenant, subjects)
        for subject_id in keyless:
            if self._parts.store.has_subject(grant.tenant, subject_id):
                raise KeyMissingError(
                    f"the key of {subject_id} is lost: restore keys.db before writing about it"
                )
        return keyless

    def _screen(
        self, grant: Grant, request: WriteRequest, passages: Sequence[Passage], tokens: SubjectTokens
    ) -> _Screens:
        source, gate = request.source, self._parts.gate.knowing([passage.speaker for passage in passages])

        def kept(screened: Screened) -> Screened:
            return open_to(request.access_tier, gate, screened)

        def screen(text: str) -> Screened:
            return kept(gate.screen(text, tokens))

        try:
            speakers = {name: kept(screen_name(gate, name, tokens)) for name in {p.speaker for p in passages}}
            refs = {ref: screen(ref) for ref in {p.ref for p in passages} if ref is not None}
            texts = gate.screen_many([passage.text for passage in passages], tokens)
            return _Screens(
                texts=tuple(kept(text) for text in texts),
                speakers=speakers,
                refs=refs,
                title=screen(source.title),
                name=screen("" if isinstance(source, Chat) else source.name),
                tags=tuple(kept(tag) for tag in gate.screen_many(source.tags, tokens)),
                metadata=tuple((screen(key), screen(value)) for key, value in source.metadata.items()),
            )
        except (ScreeningRefusedError, InputInvalidError):
            self._parts.journal.note(grant, {}, outcome=Outcome.REFUSED)
            raise

    def _seal_episode(self, work: _Work) -> StoredEpisode:
        source, owner, screens = work.request.source, work.grant.principal.id, work.screens
        content = EpisodeContent(
            owner=owner,
            title=screens.title,
            name=screens.name,
            at=source.started if isinstance(source, Chat) else source.written,
            tags=screens.tags,
            metadata=screens.metadata,
        )
        return StoredEpisode(
            episode_id=work.episode_id,
            owner=owner,
            access_tier=work.request.access_tier,
            subjects=work.sealer.subjects,
            kind=kind_of(source).value,
            recorded=microseconds(work.recorded),
            attributes=work.sealer.seal_episode(work.episode_id, work.request.access_tier, content),
        )

    def _seal_memory(self, work: _Work, kept: Place, passage: Passage, screened: Screened) -> Indexed:
        recorded = microseconds(work.recorded)
        content = MemoryContent(
            owner=work.grant.principal.id,
            text=screened,
            speaker=work.screens.speakers[passage.speaker],
            ref=None if passage.ref is None else work.screens.refs[passage.ref],
            role=passage.role,
            at=passage.at,
            source=passage.source,
            annotations=annotate(screened.text, passage.at),
        )
        place = RecordPlace(
            memory_id=new_id(IdKind.MEMORY, work.recorded, work.stock),
            version=1,
            episode_id=work.episode_id,
            position=passage.position,
            access_tier=work.request.access_tier,
            memory_tier=MemoryTier.PLAINTEXT,
            trust=TrustState.DISPUTED
            if passage.position in work.echoes
            else trust_of(
                passage, kind_of(work.request.source), screened.text, content.annotations.statements
            ),
            recorded=recorded,
            purpose=work.request.purpose,
            retention=classify(self._parts.retention, Written(kept, recorded, passage.at), screened),
        )
        return work.sealer.seal_memory(place, content)

    def _seal(self, unit: WriteUnit, work: _Work) -> None:
        """Add to a unit all that one source becomes, sealed, and its entry."""
        parts, grant, request = self._parts, work.grant, work.request
        episode = self._seal_episode(work)
        kept = Place(grant.tenant, kind_of(request.source).value, request.purpose, request.access_tier)
        work.written[:] = [
            self._seal_memory(work, kept, passage, screened)
            for passage, screened in zip(work.passages, work.screens.texts, strict=True)
        ]
        memories = [item.stored for item in work.written]
        unit.refuse_erased(
            lambda: parts.sealers.tombstones(grant.tenant).of_write(work.sealer.subjects, work.screens.texts)
        )
        unit.also(refuse_echoes(grant.tenant, partial(self._said, work)))
        for subject_id, name in parts.sealers.unrecorded(grant.tenant, work.sealer).items():
            unit.add_subject(subject_id, name, microseconds(work.recorded))
        payload: dict[str, JsonValue] = {
            "written": [memory.memory_id for memory in memories],
            "digests": [unit.add_memory(memory) for memory in memories],
            "trust": "".join(memory.trust.value[0] for memory in memories),
            "episode": unit.add_episode(episode),
            "subjects": list(work.sealer.subjects),
            "access_tier": episode.access_tier.value,
        }
        unit.entry(parts.journal.allowed(grant, payload, resource=episode.episode_id))
        parts.probe("sealed")

    def _said(self, work: _Work) -> dict[bytes, list[Said]]:
        """Return what each statement would be known by if it had been taken back; not of what is disputed as such."""
        tombstones, made = (
            self._parts.sealers.tombstones(work.grant.tenant),
            defaultdict[bytes, list[Said]](list),
        )
        scope = EchoScope(work.request.access_tier, work.grant.principal.id)
        for passage, text in zip(work.passages, work.screens.texts, strict=True):
            if passage.position not in work.echoes:
                said = Said(passage.position, None if passage.at is None else microseconds(passage.at))
                for one in tombstones.echoes(scope, work.sealer.subjects, text):
                    made[one.digest].append(said)
        return made

    def _index(self, work: _Work) -> None:
        """Let words find at once what is durable, and queue it for its vector."""
        parts, tenant = self._parts, work.grant.tenant
        parts.probe("durable")
        parts.sealers.note_recorded(tenant, work.sealer)
        parts.indexes.add(tenant, work.written)
        with parts.indexes.following(tenant):
            parts.embedding.put([Pending(tenant, item.stored, item.embedding_text) for item in work.written])
        parts.probe("indexed")


def kind_of(source: Source) -> SourceKind:
    """Return what a source is."""
    return SourceKind.CHAT if isinstance(source, Chat) else source.kind


def own_subject(principal: Principal) -> str:
    """Return the subject of a memory that names none: the principal's own notes."""
    return f"{SELF}{principal.id}"


def _subjects(principal: Principal, named: tuple[str, ...]) -> tuple[str, ...]:
    """Return the subjects of a write; nobody's own notes but the principal's.

    Raises:
        IdentifierInvalidError: a name is another principal's own subject, or not acceptable.
    """
    own = own_subject(principal)
    for name in named:
        normal = normal_name(name)
        if normal.startswith(SELF) and normal != own:
            raise IdentifierInvalidError("expected no other principal's own subject")
    return named or (own,)
