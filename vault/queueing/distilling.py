"""Distilling: near-duplicates about a person become one memory, and are retired; reversible.

Owns which memories are put together, and the one transaction that does it. It leaves what is nearly the same to
`vault.pipeline.organize`, and the rows to `vault.storage.distilled_rows`.

Law 7: content is read by opening it, nothing is made of nothing, what was made is checked, and only then are the sources
retired, in one transaction with it. No model, and no word that was not said: the text is that of the one that says most.

Only memories of one owner, access tier, purpose and class of retention, about the same persons, all of them verified. The
result is about the same persons, so an erasure takes it with them, and its term begins with the latest of theirs. Retired
means revoked: kept for the record and found no more, until they expire or somebody takes the distilling back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from audit.canonical import JsonValue
from audit.event import EventType
from audit.log import Leaf
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose
from vault.clock import microseconds
from vault.embedding_worker import Pending
from vault.errors import ConflictError, KeyDestroyedError, KeyMissingError, NotFoundError, TamperedError
from vault.grant import EVERY_MEMORY, Grant, authorise
from vault.ids import IdKind, check_vault_id, new_id
from vault.indexes import Indexed
from vault.journal import Call
from vault.model import EdgeKind, MemoryTier, Retention, SourceKind, TrustState
from vault.parts import Parts
from vault.pipeline.organize import Link, Reason, Remembered, propose
from vault.pipeline.terms import terms_of
from vault.storage.beside import BESIDE
from vault.storage.distilled_rows import AddDistilled, set_trust, sources_of
from vault.storage.group_commit import WriteSet
from vault.storage.removal import expect_not_erased, has_tombstones
from vault.storage.rows import StoredEpisode, StoredMemory, episode_digest
from vault.subject_sealer import EpisodeContent, MemoryContent, RecordPlace

_SAME: Final = frozenset({Reason.EXACT_REPETITION, Reason.NEAR_REPETITION, Reason.USER_REPEATS})
_TITLE: Final = "distilled"
_SHUT: Final = (TamperedError, KeyDestroyedError, KeyMissingError)
MAX_SOURCES: Final = 100
"""Of one memory: what is over that is left for the next time."""


@dataclass(frozen=True, slots=True)
class Distilled:
    """What one call put together."""

    made: tuple[str, ...]
    """Ids of the memories that came of it."""
    retired: int
    lost: int
    """Telling words of the sources that stand in none of them."""


@dataclass(frozen=True, slots=True)
class _Source:
    row: StoredMemory
    memory: Remembered


class Distiller:
    """Distils memories of one vault."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def distil(self, principal: Principal, subject: str, purpose: Purpose) -> Distilled:
        """Put near-duplicates about a person together; done a second time it finds none.

        Raises:
            DeniedError: the principal may organize nothing for this purpose; the denial is logged.
            ConflictError: a memory was changed meanwhile: what was put together before stands, call again.
            ErasedError: it says what was erased.
        """
        parts = self._parts
        grant = self._authorise(principal, purpose)
        (subject_id,) = parts.sealers.subject_ids(grant.tenant, (subject,))
        with parts.store.read(grant) as unit:
            rows = [row for row in unit.about(subject_id) if row.trust is TrustState.VERIFIED]
        read = [one for row in rows if (one := self._read(grant, row))]
        made: list[str] = []
        retired = lost = 0
        for group in _groups(read):
            best = max(group, key=lambda one: len(terms_of(one.memory.text)))
            made.append(self._put_together(grant, best, group))
            retired += len(group)
            said = frozenset().union(*(terms_of(one.memory.text) for one in group))
            lost += len(said - terms_of(best.memory.text))
        return Distilled(tuple(made), retired, lost)

    def take_back(self, principal: Principal, memory_id: str, purpose: Purpose) -> tuple[str, ...]:
        """Have the sources of a distilled memory verified again, and revoke it; return their ids.

        Raises:
            DeniedError: the principal may organize nothing for this purpose; the denial is logged.
            NotFoundError: there is no such memory within reach, it was distilled of none that is left, or it was
                corrected, retracted, disputed or taken back since.
            ConflictError: one of them was changed meanwhile.
        """
        parts = self._parts
        check_vault_id(IdKind.MEMORY, memory_id)
        grant = self._authorise(principal, purpose)
        with parts.store.log_connection(grant.tenant) as connection:
            ids = sources_of(connection, grant.tenant, memory_id)
        with parts.store.read(grant) as unit:
            rows = unit.memories([memory_id, *ids])
        distilled = rows.pop(memory_id, None)
        sources = [row for row in rows.values() if row.trust is TrustState.REVOKED]
        # Threat: what somebody retracted, or corrected, would come back verified, as the source of something. Only what
        # stands as distilling left it retires nothing but what distilling retired.
        untouched = (1, TrustState.VERIFIED)
        if distilled is None or not sources or (distilled.version, distilled.trust) != untouched:
            parts.journal.deny(Call(principal, Action.ORGANIZE, purpose), resource=memory_id)
            raise NotFoundError("there is no such distilled memory here")

        def take_back(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            set_trust(connection, grant.tenant, distilled, TrustState.VERIFIED, TrustState.REVOKED)
            for row in sources:
                set_trust(connection, grant.tenant, row, TrustState.REVOKED, TrustState.VERIFIED)

        after = [(distilled.memory_id, TrustState.REVOKED)]
        after += [(row.memory_id, TrustState.VERIFIED) for row in sources]
        self._submit(grant, WriteSet(changes=[take_back]), after, "taken-back")
        return tuple(row.memory_id for row in sources)

    def _authorise(self, principal: Principal, purpose: Purpose) -> Grant:
        try:
            return authorise(self._parts.policy, principal, Action.ORGANIZE, purpose, over=EVERY_MEMORY)
        except DeniedError:
            self._parts.journal.deny(Call(principal, Action.ORGANIZE, purpose))
            raise

    def _read(self, grant: Grant, row: StoredMemory) -> _Source | None:
        try:
            opened = self._parts.sealers.open_memory(grant.tenant, row)
        except _SHUT:
            return None  # law 12: the reader's and the consistency job's to report
        attributes = opened.attributes
        return _Source(
            row,
            Remembered(
                id=row.memory_id,
                text=opened.text,
                role=attributes.role,
                trust=row.trust,
                episode=row.episode_id,
                position=row.position,
                at=attributes.at,
                speaker=opened.speaker,
            ),
        )

    def _put_together(self, grant: Grant, best: _Source, group: Sequence[_Source]) -> str:
        """Write one memory in the place of some, and return its id."""
        parts, tenant, row = self._parts, grant.tenant, best.row
        indexed, episode = self._sealed(grant, best, [one.row for one in group])
        memory = indexed.stored
        content = parts.sealers.screened_again(tenant, row).text
        tombstones = parts.sealers.tombstones(tenant)

        def unerased(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            if has_tombstones(connection, tenant):
                expect_not_erased(connection, tenant, tombstones.of_write(row.subjects, [content]))

        add = AddDistilled(tenant, episode, memory, [one.row for one in group])
        told: dict[str, JsonValue] = {
            "written": [memory.memory_id],
            "digests": [memory.digest()],
            "trust": memory.trust.value[0],
            "episode": episode_digest(episode.row(tenant)),
            "subjects": list(memory.subjects),
            "access_tier": memory.access_tier.value,
            "links": [[EdgeKind.DERIVED_FROM.value, memory.memory_id, one.row.memory_id] for one in group],
            "edges": len(group),
        }
        draft = parts.journal.allowed(grant, told, resource=episode.episode_id, event=EventType.MEMORY_WRITE)

        def index() -> None:
            parts.indexes.add(tenant, [indexed])

        work = WriteSet(drafts=[draft], changes=[unerased, add.change], finish=index)
        self._submit(grant, work, [(one.row.memory_id, TrustState.REVOKED) for one in group], _TITLE)
        with parts.indexes.following(tenant):
            parts.embedding.put([Pending(tenant, memory, indexed.embedding_text)])
        return memory.memory_id

    def _submit(
        self, grant: Grant, work: WriteSet, trust: Sequence[tuple[str, TrustState]], reason: str
    ) -> None:
        """Commit with the entry that says whose trust changed, behind the fence of the task that asks, if one does."""
        parts, finish = self._parts, work.finish
        told: dict[str, JsonValue] = {
            "memories": [memory_id for memory_id, _ in trust],
            "trust": [state.value for _, state in trust],
            "reasons": [reason for _ in trust],
            "edges": 0,
        }
        work.drafts.append(parts.journal.allowed(grant, told))

        def index() -> None:
            if finish is not None:
                finish()
            for memory_id, state in trust:
                parts.indexes.set_trust(grant.tenant, memory_id, state)

        work.finish = index
        beside = BESIDE.get()
        if beside is not None:
            beside(work)
        parts.store.submit(work)

    def _sealed(
        self, grant: Grant, best: _Source, rows: Sequence[StoredMemory]
    ) -> tuple[Indexed, StoredEpisode]:
        """Seal the new memory, and the episode that it is all of; see that it says what its source says.

        Raises:
            ConflictError: it does not: nothing is retired.
        """
        parts, row = self._parts, best.row
        now = parts.clock()
        again, sealer = (
            parts.sealers.screened_again(grant.tenant, row),
            parts.sealers.of_row(grant.tenant, row),
        )
        attributes = again.attributes
        episode_id, recorded = new_id(IdKind.EPISODE, now, parts.entropy), microseconds(now)
        content = MemoryContent(
            owner=row.owner,
            text=again.text,
            speaker=again.speaker,
            ref=None,
            role=attributes.role,
            at=attributes.at,
            source=attributes.source,
            annotations=attributes.annotations,
            edited_by=grant.principal.id,
        )
        if not again.text.text.strip() or again.text.text != best.memory.text:
            raise ConflictError(f"{row.memory_id} does not say what was read")
        latest = max(rows, key=lambda one: one.retention.start).retention
        place = RecordPlace(
            memory_id=new_id(IdKind.MEMORY, now, parts.entropy),
            version=1,
            episode_id=episode_id,
            position=0,
            access_tier=row.access_tier,
            memory_tier=MemoryTier.PLAINTEXT,
            trust=TrustState.VERIFIED,
            recorded=recorded,
            purpose=row.purpose,
            retention=Retention(latest.class_id, latest.rule, latest.start),
        )
        title = parts.gate.screen(_TITLE, sealer.tokens)
        name = parts.gate.screen("", sealer.tokens)
        about = EpisodeContent(row.owner, title, name, attributes.at, (), ())
        episode = StoredEpisode(
            episode_id=episode_id,
            owner=row.owner,
            access_tier=row.access_tier,
            subjects=row.subjects,
            kind=SourceKind.TEXT.value,
            recorded=recorded,
            attributes=sealer.seal_episode(episode_id, row.access_tier, about),
        )
        return sealer.seal_memory(place, content), episode


def _groups(read: Sequence[_Source]) -> list[list[_Source]]:
    """Return what says nearly the same, within one owner's memories of one kind each."""
    scopes: dict[tuple[object, ...], list[_Source]] = {}
    for one in read:
        row = one.row
        scope = (row.owner, row.access_tier, row.subjects, row.purpose, row.retention.class_id)
        scopes.setdefault(scope, []).append(one)
    found: list[list[_Source]] = []
    for some in scopes.values():
        some.sort(key=lambda one: (one.row.recorded, one.row.episode_id, one.row.position))
        by_id = {one.row.memory_id: one for one in some}
        proposed = propose([one.memory for one in some], frozenset())
        same = [one for one in proposed if isinstance(one, Link) and one.reason in _SAME]
        found += [[by_id[one] for one in group[:MAX_SOURCES]] for group in _joined(same)]
    return found


def _joined(links: Iterable[Link]) -> list[list[str]]:
    """Return the memories that links join, each group in the order in which its members were met."""
    group_of: dict[str, list[str]] = {}
    for link in links:
        first = group_of.setdefault(link.target, [link.target])
        second = group_of.setdefault(link.source, [link.source])
        if first is not second:
            first += second
            group_of.update(dict.fromkeys(second, first))
    return [group for one, group in group_of.items() if group[0] == one]
