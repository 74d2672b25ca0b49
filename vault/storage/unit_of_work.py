"""Units of work: the only way to rows, opened for a grant.

`ReadUnit` filters by tenant and by the tiers and relations that the grant allows, in SQL; `WriteUnit`
collects rows and audit entries of the grant's tenant and makes them durable together. Neither seals
or opens anything: content comes and goes as `Sealed`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import sha256
from typing import Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    false,
    or_,
    select,
    update,
)

from audit.event import EntryDraft
from audit.log import Leaf
from policies.errors import DeniedError
from policies.model import AccessTier, Action, Relation
from vault.clock import from_microseconds
from vault.crypto.sealed import Sealed
from vault.errors import ConflictError, TamperedError
from vault.grant import Grant
from vault.model import EdgeKind, MemoryTier, TrustState
from vault.storage.group_commit import GroupCommit, WriteSet
from vault.storage.group_commit import Row as StoreRow
from vault.storage.schema import EDGE, EMBEDDING, EPISODE, MEMORY, MEMORY_SUBJECT, SUBJECT

_CHUNK: Final = 500  # below SQLite's limit of bound parameters
_FIXED: Final = (
    "memory_id",
    "version",
    "episode_id",
    "position",
    "owner",
    "access_tier",
    "subjects",
    "recorded",
    "detector",
    "text",
    "attributes",
    "originals",
    "terms",
)
_EPISODE_FIXED: Final = ("episode_id", "owner", "access_tier", "subjects", "kind", "recorded", "attributes")


@dataclass(frozen=True, slots=True)
class StoredMemory:
    """One version of a memory as it lies in the store: content sealed."""

    memory_id: str
    version: int
    episode_id: str
    position: int
    owner: str
    access_tier: AccessTier
    memory_tier: MemoryTier
    trust: TrustState
    subjects: tuple[str, ...]
    recorded: int
    """Microseconds since 1970 UTC."""
    leaf_index: int
    detector: str
    text: Sealed
    attributes: Sealed
    originals: Sealed | None
    terms: Sealed

    def digest(self) -> str:
        """Return the hex digest of all that never changes in the row, by which the log knows it again."""
        return row_digest(self.row(""))

    def row(self, tenant: str) -> dict[str, object]:
        """Return the row to insert; its leaf index is filled in by the commit."""
        return {
            "tenant_id": tenant,
            "memory_id": self.memory_id,
            "version": self.version,
            "is_current": 1,
            "episode_id": self.episode_id,
            "position": self.position,
            "owner": self.owner,
            "access_tier": self.access_tier.value,
            "memory_tier": self.memory_tier.value,
            "trust": self.trust.value,
            "subjects": join_subjects(self.subjects),
            "recorded": self.recorded,
            "leaf_index": -1,
            "detector": self.detector,
            "text": self.text,
            "attributes": self.attributes,
            "originals": self.originals,
            "terms": self.terms,
        }


@dataclass(frozen=True, slots=True)
class StoredEpisode:
    """An episode as it lies in the store."""

    episode_id: str
    owner: str
    access_tier: AccessTier
    subjects: tuple[str, ...]
    kind: str
    recorded: int
    attributes: Sealed

    def digest(self) -> str:
        """Return the hex digest of the row, none of which ever changes."""
        return episode_digest(self.row(""))

    def row(self, tenant: str) -> dict[str, object]:
        """Return the row to insert; its leaf index is filled in by the commit."""
        return {
            "tenant_id": tenant,
            "episode_id": self.episode_id,
            "owner": self.owner,
            "access_tier": self.access_tier.value,
            "subjects": join_subjects(self.subjects),
            "kind": self.kind,
            "recorded": self.recorded,
            "leaf_index": -1,
            "attributes": self.attributes,
        }


def row_digest(row: Mapping[str, object]) -> str:
    """Return the hex digest of a row's fixed columns: all but tenant, leaf index, trust, tier and currency.

    Each part stands behind its kind and length, so that no two rows have the same bytes. Takes whatever
    the database gives: a row that somebody wrote by hand has a digest, too, only another one.
    """
    return _digest(row, _FIXED)


def episode_digest(row: Mapping[str, object]) -> str:
    """Return the hex digest of an episode's row: all but tenant and leaf index, as `row_digest` does it."""
    return _digest(row, _EPISODE_FIXED)


def _digest(row: Mapping[str, object], names: Sequence[str]) -> str:
    parts: list[bytes] = []
    for name in names:
        value = row[name]
        kind, data = (b"s", value.data) if isinstance(value, Sealed) else (b"c", str(value).encode())
        parts += (kind, len(data).to_bytes(8), data)
    return sha256(b"".join(parts)).hexdigest()


def join_subjects(subjects: Sequence[str]) -> str:
    """Write subject ids as one column; ids contain no space."""
    return " ".join(subjects)


def split_subjects(column: str) -> tuple[str, ...]:
    """Invert `join_subjects`."""
    return tuple(column.split())


def stored_memory(row: Row[tuple[object, ...]]) -> StoredMemory:
    """Make the value from a row of the memory table.

    Raises:
        TamperedError: a column holds what the vault never writes there.
    """
    try:
        from_microseconds(row.recorded)
        _expect_whole_numbers(row.version, row.position, row.leaf_index)
        return StoredMemory(
            memory_id=row.memory_id,
            version=row.version,
            episode_id=row.episode_id,
            position=row.position,
            owner=row.owner,
            access_tier=AccessTier(row.access_tier),
            memory_tier=MemoryTier(row.memory_tier),
            trust=TrustState(row.trust),
            subjects=split_subjects(row.subjects),
            recorded=row.recorded,
            leaf_index=row.leaf_index,
            detector=row.detector,
            text=row.text,
            attributes=row.attributes,
            originals=row.originals,
            terms=row.terms,
        )
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise TamperedError("a row of the memory table is not of the form of one") from None


def _expect_whole_numbers(*values: object) -> None:
    """SQLite keeps whatever type was put into a column of numbers."""
    if any(type(value) is not int or value < 0 for value in values):
        raise TypeError("expected whole numbers")


def stored_episode(row: Row[tuple[object, ...]]) -> StoredEpisode:
    """Make the value from a row of the episode table.

    Raises:
        TamperedError: a column holds what the vault never writes there.
    """
    try:
        _expect_whole_numbers(row.recorded)
        return StoredEpisode(
            episode_id=row.episode_id,
            owner=row.owner,
            access_tier=AccessTier(row.access_tier),
            subjects=split_subjects(row.subjects),
            kind=row.kind,
            recorded=row.recorded,
            attributes=row.attributes,
        )
    except (ValueError, TypeError, AttributeError):
        raise TamperedError("a row of the episode table is not of the form of one") from None


class ReadUnit:
    """Reads what a grant reaches, and nothing else."""

    def __init__(self, connection: Connection, grant: Grant) -> None:
        self._connection = connection
        self._grant = grant
        self.damaged: Final[list[str]] = []
        """Ids of rows within reach that are not of the form of a memory: left out, for the caller to log."""

    def memories(self, memory_ids: Sequence[str]) -> dict[str, StoredMemory]:
        """Return the current versions of those memories that are within reach."""
        query = _memories_within(self._grant.reach)
        found: dict[str, StoredMemory] = {}
        for start in range(0, len(memory_ids), _CHUNK):
            rows = self._select(query, memory_ids[start : start + _CHUNK])
            found.update((stored.memory_id, stored) for stored in self._whole(rows))
        return found

    def versions(self, memory_id: str) -> list[StoredMemory]:
        """Return all versions of one memory, oldest first."""
        query = self._memory_query().where(MEMORY.c.memory_id == memory_id).order_by(MEMORY.c.version)
        return list(self._whole(self._select(query)))

    def about(self, subject_id: str) -> list[StoredMemory]:
        """Return the current memories about a subject, in the order in which they were recorded."""
        query = (
            self._memory_query()
            .join(
                MEMORY_SUBJECT,
                and_(
                    MEMORY_SUBJECT.c.tenant_id == MEMORY.c.tenant_id,
                    MEMORY_SUBJECT.c.memory_id == MEMORY.c.memory_id,
                ),
            )
            .where(MEMORY_SUBJECT.c.subject_id == subject_id, MEMORY.c.is_current == 1)
            .order_by(MEMORY.c.memory_id)
        )
        return list(self._whole(self._select(query)))

    def edges(self, memory_ids: Sequence[str]) -> list[tuple[str, str, str]]:
        """Return kind, source and target of the edges that start at these memories, which the caller has read."""
        found: list[tuple[str, str, str]] = []
        for start in range(0, len(memory_ids), _CHUNK):
            wanted = EDGE.c.source_id.in_(memory_ids[start : start + _CHUNK])
            query = select(EDGE.c.kind, EDGE.c.source_id, EDGE.c.target_id).where(
                EDGE.c.tenant_id == self._grant.tenant, wanted
            )
            found.extend((row.kind, row.source_id, row.target_id) for row in self._connection.execute(query))
        return found

    def reaches(self, subject_id: str) -> bool:
        """Say whether any current memory about a subject is within reach."""
        return bool(self._select(_about_within(self._grant.reach), [subject_id]))

    def _whole(self, rows: Iterable[Row[tuple[object, ...]]]) -> Iterator[StoredMemory]:
        for row in rows:
            try:
                yield stored_memory(row)
            except TamperedError:
                self.damaged.append(str(row.memory_id))

    def _memory_query(self) -> Select[tuple[object, ...]]:
        reached = within(self._grant.reach, MEMORY.c.access_tier, MEMORY.c.owner)
        return select(MEMORY).where(MEMORY.c.tenant_id == bindparam("tenant"), reached)

    def _select(
        self, query: Select[tuple[object, ...]], ids: Sequence[str] = ()
    ) -> Sequence[Row[tuple[object, ...]]]:
        bound = {"tenant": self._grant.tenant, "me": self._grant.principal.id, "ids": list(ids)}
        return self._connection.execute(query, bound).all()


Reach = frozenset[tuple[AccessTier, Relation]]


@lru_cache
def _memories_within(reach: Reach) -> Select[tuple[object, ...]]:
    """Return the statement for current memories by id; building it anew takes longer than running it."""
    return select(MEMORY).where(
        MEMORY.c.tenant_id == bindparam("tenant"),
        MEMORY.c.memory_id.in_(bindparam("ids", expanding=True)),
        MEMORY.c.is_current == 1,
        within(reach, MEMORY.c.access_tier, MEMORY.c.owner),
    )


@lru_cache
def _about_within(reach: Reach) -> Select[tuple[object, ...]]:
    """Return the statement for one memory about any of some subjects."""
    about = and_(
        MEMORY_SUBJECT.c.tenant_id == MEMORY.c.tenant_id, MEMORY_SUBJECT.c.memory_id == MEMORY.c.memory_id
    )
    return (
        select(MEMORY.c.memory_id)
        .join(MEMORY_SUBJECT, about)
        .where(
            MEMORY_SUBJECT.c.tenant_id == bindparam("tenant"),
            MEMORY_SUBJECT.c.subject_id.in_(bindparam("ids", expanding=True)),
            MEMORY.c.is_current == 1,
            within(reach, MEMORY.c.access_tier, MEMORY.c.owner),
        )
        .limit(1)
    )


def within(reach: Reach, tier: ColumnElement[str], owner: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition under which a row is within reach of the principal bound as `me`."""
    me: BindParameter[str] = bindparam("me")
    kinds = [
        and_(tier == reached.value, owner == me if relation is Relation.OWNER else owner != me)
        for reached, relation in sorted(reach)
    ]
    return or_(*kinds) if kinds else false()


class WriteUnit:
    """Collects what one call writes, then commits it with its entries."""

    def __init__(self, commit: GroupCommit, grant: Grant) -> None:
        self._commit = commit
        self._grant = grant
        self._work = WriteSet()

    def entry(self, draft: EntryDraft) -> None:
        """Add an audit entry.

        Raises:
            ConflictError: it is of another tenant than the grant.
        """
        if draft.tenant != self._grant.tenant:
            raise ConflictError("expected an entry of the grant's tenant")
        self._work.drafts.append(draft)

    def _expect(self, action: Action) -> None:
        """See that the grant is for what is done under it (law 2).

        Raises:
            DeniedError: it is for another action.
        """
        if self._grant.action is not action:
            raise DeniedError(f"a grant to {self._grant.action} is none to {action}")

    def add_subject(self, subject_id: str, name: Sealed, created: int) -> None:
        """Add a subject; one that is there already, by another thread, is left as it is."""
        self._expect(Action.WRITE)
        row = {"tenant_id": self._grant.tenant, "subject_id": subject_id, "name": name, "created": created}

        def insert_once(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            connection.execute(SUBJECT.insert().prefix_with("OR IGNORE", dialect="sqlite"), [row])

        self._work.changes.append(insert_once)

    def add_episode(self, episode: StoredEpisode) -> str:
        """Add an episode and return its digest, which the entry is to name."""
        self._expect(Action.WRITE)
        row = episode.row(self._grant.tenant)
        self._work.rows.append((EPISODE, row))
        return episode_digest(row)

    def add_memory(self, memory: StoredMemory) -> str:
        """Add the first version of a memory and return its digest, which the entry is to name."""
        self._expect(Action.WRITE)
        tenant, row = self._grant.tenant, memory.row(self._grant.tenant)
        self._work.rows.append((MEMORY, row))
        for subject in memory.subjects:
            about: StoreRow = {"tenant_id": tenant, "subject_id": subject, "memory_id": memory.memory_id}
            self._work.rows.append((MEMORY_SUBJECT, about))
        return row_digest(row)

    def add_version(self, memory: StoredMemory) -> None:
        """Add a later version, which replaces the one before it as the current one.

        Threat: a memory is disputed or revoked while its new version is being sealed. A version is
        written only if the one before it still has the trust that the new one carries on.
        """
        self._expect(Action.UPDATE)
        trusted = MEMORY.c.trust == memory.trust.value
        before = and_(self._current(memory.memory_id, memory.version - 1), trusted)

        def retire(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            retired = update(MEMORY).where(before).values(is_current=0)
            if connection.execute(retired, self._me()).rowcount != 1:
                raise ConflictError("the memory was changed meanwhile: read it again")
            connection.execute(
                EMBEDDING.delete().where(
                    EMBEDDING.c.tenant_id == self._grant.tenant, EMBEDDING.c.memory_id == memory.memory_id
                )
            )

        self._work.changes.append(retire)
        self._work.rows.append((MEMORY, memory.row(self._grant.tenant)))

    def set_trust(self, memory_id: str, version: int, trust: TrustState) -> None:
        """Change how far a memory may be relied on."""
        self._expect(Action.ORGANIZE)
        current = self._current(memory_id, version)

        def change(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            changed = update(MEMORY).where(current).values(trust=trust.value)
            if connection.execute(changed, self._me()).rowcount != 1:
                raise ConflictError("the memory was changed meanwhile: read it again")

        self._work.changes.append(change)

    def add_edge(self, source_id: str, kind: EdgeKind, target_id: str) -> None:
        """Add a typed edge; one that is there already stays."""
        self._expect(Action.ORGANIZE)
        row = {
            "tenant_id": self._grant.tenant,
            "source_id": source_id,
            "kind": kind.value,
            "target_id": target_id,
        }

        def insert_once(connection: Connection, leaves: Sequence[Leaf]) -> None:
            statement = EDGE.insert().prefix_with("OR IGNORE", dialect="sqlite")
            connection.execute(statement, [{**row, "leaf_index": leaves[0].index}])

        self._work.changes.append(insert_once)

    def commit(
        self, *, prepare: Callable[[], None] | None = None, finish: Callable[[], None] | None = None
    ) -> list[Leaf]:
        """Make everything durable together with its entries.

        Args:
            prepare: Adds what is to be written, in the thread that commits; run again from the start if
                that is interrupted.
            finish: Run when all is durable, by that thread or this one.

        Raises:
            ConflictError: there is no entry: nothing unlogged happens; or a row changed meanwhile.
            StorageError: nothing was written.
        """
        if prepare is not None:
            self._work.prepare = partial(self._fill, prepare)
        else:
            self._expect_entry()
        self._work.finish = finish
        return self._commit.submit(self._work)

    def _fill(self, prepare: Callable[[], None]) -> None:
        work = self._work
        for part in (work.drafts, work.rows, work.changes):
            part.clear()
        prepare()
        self._expect_entry()

    def _expect_entry(self) -> None:
        if not self._work.drafts:
            raise ConflictError("expected at least one audit entry")

    def _current(self, memory_id: str, version: int) -> ColumnElement[bool]:
        return and_(
            MEMORY.c.tenant_id == self._grant.tenant,
            MEMORY.c.memory_id == memory_id,
            MEMORY.c.version == version,
            MEMORY.c.is_current == 1,
            within(self._grant.reach, MEMORY.c.access_tier, MEMORY.c.owner),
        )

    def _me(self) -> dict[str, str]:
        return {"me": self._grant.principal.id}
