"""Rows under older keys: finding them, and counting that none is left.

Owns the statements that look at the heads of sealed values, which name the key versions in clear, and those that
read what is to be sealed anew and put it back. It leaves opening and sealing to `vault.reencryption`. A head is not authenticated: one that lies is found when its value is opened, and until
then counts as what it says.

Each kind of row is walked in the order of its key, page by page, so that a run can be cut off and go on.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, Select, Table, and_, bindparam, func, select, tuple_, update

from audit.driver import DriverStatement
from audit.event import EventType
from audit.evidence import StoredEntry
from audit.log import Leaf
from audit.store import LEAF
from policies.model import AccessTier
from vault.crypto.aead import MAX_SUBJECTS, header, key_versions
from vault.crypto.sealed import Sealed
from vault.errors import ConflictError, TamperedError
from vault.storage.rows import (
    StoredEpisode,
    StoredMemory,
    episode_digest,
    row_digest,
    split_subjects,
    stored_episode,
    stored_memory,
)
from vault.storage.schema import EMBEDDING, EPISODE, MEMORY, SUBJECT

HEAD_BYTES: Final = 2 + 4 * MAX_SUBJECTS
"""Longest clear head of a sealed value."""
_CHUNK: Final = 500  # below SQLite's limit of bound parameters
_PAGE: Final = 4_096


class RowKind(StrEnum):
    """What is sealed under subjects' keys, in the order in which it is sealed anew."""

    NAME = "name"
    EPISODE = "episode"
    MEMORY = "memory"
    EMBEDDING = "embedding"


class Place(NamedTuple):
    """A row, by id and version; the version of what has none is 0."""

    row_id: str
    version: int


START: Final = Place("", -1)


@dataclass(slots=True)
class Newest:
    """The newest living key version of each subject of a tenant: what rows are to lie under.

    Args:
        versions: By subject. A subject that is not among them has no key that lives.
        destroyed: Subjects whose key was destroyed: what is about them opens nowhere, whatever it lies under.
    """

    versions: Mapping[str, int]
    destroyed: frozenset[str] = frozenset()
    _heads: dict[str, bytes | None] = field(default_factory=dict)

    def is_due(self, subjects: object, head: object) -> bool:
        """Say whether a row about these subjects lies under an older key than the newest, and can be moved."""
        about = str(subjects)
        if about not in self._heads:
            self._heads[about] = self._head(split_subjects(about))
        wanted = self._heads[about]
        if wanted is None or (isinstance(head, bytes) and head.startswith(wanted)):
            return False
        try:
            named = key_versions(Sealed(head if isinstance(head, bytes) else b""))
        except TamperedError:
            return True  # to be looked at, and told of as what cannot be opened
        newest = (self.versions.get(subject, 0) for subject in split_subjects(about))
        return any(version < least for version, least in zip(named, newest, strict=False))

    def _head(self, subjects: tuple[str, ...]) -> bytes | None:
        """Return how a value about these subjects begins that is not due; None where one of them was shredded."""
        if not self.destroyed.isdisjoint(subjects):
            return None
        fits = 1 <= len(subjects) <= MAX_SUBJECTS
        return header(tuple(self.versions.get(subject, 0) for subject in subjects)) if fits else b"none"


class MemoryRead(NamedTuple):
    """A version of a memory as it was read, and what the log has to know it by."""

    stored: StoredMemory
    resealed: int | None
    digest: str

    @property
    def row_id(self) -> str:
        """Id of the row."""
        return self.stored.memory_id

    @property
    def value(self) -> tuple[tuple[str, ...], Sealed]:
        """Subjects, and the sealed value whose head names the keys of all its fields."""
        return self.stored.subjects, self.stored.text

    @property
    def told_at(self) -> int:
        """Index of the entry that named its digest last."""
        return self.stored.leaf_index if self.resealed is None else self.resealed


class EpisodeRead(NamedTuple):
    """An episode as it was read, and what the log has to know it by."""

    stored: StoredEpisode
    leaf_index: int
    resealed: int | None
    digest: str

    @property
    def row_id(self) -> str:
        """Id of the row."""
        return self.stored.episode_id

    @property
    def value(self) -> tuple[tuple[str, ...], Sealed]:
        """Subjects, and what is sealed under their keys."""
        return self.stored.subjects, self.stored.attributes

    @property
    def told_at(self) -> int:
        """Index of the entry that named its digest last."""
        return self.leaf_index if self.resealed is None else self.resealed


class VectorRead(NamedTuple):
    """A dense vector as it was read."""

    row_id: str
    """Id of its memory."""
    version: int
    subjects: tuple[str, ...]
    access_tier: AccessTier
    vector: Sealed

    @property
    def value(self) -> tuple[tuple[str, ...], Sealed]:
        """Subjects, and what is sealed under their keys."""
        return self.subjects, self.vector


class NameRead(NamedTuple):
    """A subject's sealed name as it was read."""

    row_id: str
    """Vault id of the subject."""
    name: Sealed

    @property
    def value(self) -> tuple[tuple[str, ...], Sealed]:
        """Subjects, and what is sealed under their keys."""
        return (self.row_id,), self.name


RowRead = MemoryRead | EpisodeRead | VectorRead | NameRead


_OF_MEMORY: Final = and_(
    MEMORY.c.tenant_id == EMBEDDING.c.tenant_id,
    MEMORY.c.memory_id == EMBEDDING.c.memory_id,
    MEMORY.c.version == EMBEDDING.c.version,
)


def _heads(kind: RowKind) -> Select[Any]:
    """Return the statement for id, version, subjects and head of rows of a kind, from after a place."""
    sealed, table = _SEALED[kind], _SEALED[kind].table
    assert isinstance(table, Table)  # noqa: S101  # narrows
    head = func.substr(sealed, 1, HEAD_BYTES)
    tenant = table.c.tenant_id == bindparam("tenant")
    if kind in {RowKind.NAME, RowKind.EPISODE}:
        key = table.c.subject_id if kind is RowKind.NAME else table.c.episode_id
        about = table.c.subject_id if kind is RowKind.NAME else table.c.subjects
        query = select(key, func.abs(0), about, head).where(tenant, key > bindparam("after_id"))
        return query.order_by(key).limit(bindparam("limit"))
    keys = (table.c.memory_id, table.c.version)
    query = select(*keys, MEMORY.c.subjects, head)
    if kind is RowKind.EMBEDDING:
        query = query.select_from(EMBEDDING.join(MEMORY, _OF_MEMORY))
    after = tuple_(bindparam("after_id"), bindparam("after_version"))
    return query.where(tenant, tuple_(*keys) > after).order_by(*keys).limit(bindparam("limit"))


_SEALED: Final = {
    RowKind.NAME: SUBJECT.c.name,
    RowKind.EPISODE: EPISODE.c.attributes,
    RowKind.MEMORY: MEMORY.c.text,
    RowKind.EMBEDDING: EMBEDDING.c.vector,
}
_HEADS: Final = {kind: _heads(kind) for kind in RowKind}


def due_page(
    connection: Connection, tenant: str, kind: RowKind, newest: Newest, after: Place
) -> tuple[list[Place], Place | None]:
    """Return those of the next rows of a kind that are due, and the place to go on from; None at the end."""
    values = {"tenant": tenant, "after_id": after.row_id, "after_version": after.version, "limit": _PAGE}
    if kind in {RowKind.NAME, RowKind.EPISODE}:
        del values["after_version"]
    rows = connection.execute(_HEADS[kind], values).all()
    due = [
        Place(row_id, version) for row_id, version, subjects, head in rows if newest.is_due(subjects, head)
    ]
    return due, Place(rows[-1][0], rows[-1][1]) if len(rows) == _PAGE else None


def count_due(connection: Connection, tenant: str, newest: Newest) -> int:
    """Count the rows of all kinds that are due; within a transaction, that is what it leaves."""
    count = 0
    for kind in RowKind:
        after: Place | None = START
        while after is not None:
            due, after = due_page(connection, tenant, kind, newest, after)
            count += len(due)
    return count


def _memories_at(
    connection: Connection, tenant: str, places: Sequence[Place]
) -> Iterator[MemoryRead | Place]:
    ids = sorted({place.row_id for place in places})
    wanted = set(places)
    for start in range(0, len(ids), _CHUNK):
        query = select(MEMORY).where(
            MEMORY.c.tenant_id == tenant, MEMORY.c.memory_id.in_(ids[start : start + _CHUNK])
        )
        for row in connection.execute(query):
            place = Place(row.memory_id, row.version)
            if place not in wanted:
                continue
            try:
                stored = stored_memory(row)
            except TamperedError:
                yield place
                continue
            yield MemoryRead(stored, row.resealed, row_digest(_columns(MEMORY, row)))


def _episodes_at(
    connection: Connection, tenant: str, places: Sequence[Place]
) -> Iterator[EpisodeRead | Place]:
    ids = [place.row_id for place in places]
    for start in range(0, len(ids), _CHUNK):
        query = select(EPISODE).where(
            EPISODE.c.tenant_id == tenant, EPISODE.c.episode_id.in_(ids[start : start + _CHUNK])
        )
        for row in connection.execute(query):
            try:
                stored = stored_episode(row)
            except TamperedError:
                yield Place(row.episode_id, 0)
                continue
            yield EpisodeRead(stored, row.leaf_index, row.resealed, episode_digest(_columns(EPISODE, row)))


def _vectors_at(connection: Connection, tenant: str, places: Sequence[Place]) -> Iterator[VectorRead | Place]:
    ids, wanted = sorted({place.row_id for place in places}), set(places)
    columns = (MEMORY.c.subjects, MEMORY.c.access_tier, EMBEDDING.c.vector)
    for start in range(0, len(ids), _CHUNK):
        query = (
            select(EMBEDDING.c.memory_id, EMBEDDING.c.version, *columns)
            .select_from(EMBEDDING.join(MEMORY, _OF_MEMORY))
            .where(EMBEDDING.c.tenant_id == tenant, EMBEDDING.c.memory_id.in_(ids[start : start + _CHUNK]))
        )
        for memory_id, version, subjects, tier, vector in connection.execute(query):
            place = Place(memory_id, version)
            if place not in wanted:
                continue
            try:
                yield VectorRead(memory_id, version, split_subjects(subjects), AccessTier(tier), vector)
            except (TypeError, ValueError):
                yield place


def rows_at(
    connection: Connection, tenant: str, kind: RowKind, places: Sequence[Place]
) -> Iterator[RowRead | Place]:
    """Yield the rows of a kind at those places; of one that is not of the form of one, its place."""
    yield from _READERS[kind](connection, tenant, places)


def _names_at(connection: Connection, tenant: str, places: Sequence[Place]) -> Iterator[NameRead]:
    ids = [place.row_id for place in places]
    for start in range(0, len(ids), _CHUNK):
        query = select(SUBJECT.c.subject_id, SUBJECT.c.name).where(
            SUBJECT.c.tenant_id == tenant, SUBJECT.c.subject_id.in_(ids[start : start + _CHUNK])
        )
        for row in connection.execute(query):
            yield NameRead(*row)


_READERS: Final[Mapping[RowKind, Callable[[Connection, str, Sequence[Place]], Iterator[RowRead | Place]]]] = {
    RowKind.NAME: _names_at,
    RowKind.EPISODE: _episodes_at,
    RowKind.MEMORY: _memories_at,
    RowKind.EMBEDDING: _vectors_at,
}


def entries_at(connection: Connection, tenant: str, indexes: Sequence[int]) -> Iterator[StoredEntry]:
    """Yield entries of a log by their indexes."""
    for start in range(0, len(indexes), _CHUNK):
        some = list(indexes[start : start + _CHUNK])
        query = select(*_ENTRY).where(LEAF.c.tenant_id == tenant, LEAF.c.leaf_index.in_(some))
        for row in connection.execute(query):
            yield StoredEntry(*row)


def last_entry_of(connection: Connection, tenant: str, event: EventType) -> StoredEntry | None:
    """Return the newest entry of an event."""
    query = select(*_ENTRY).where(LEAF.c.tenant_id == tenant, LEAF.c.event == event.value)
    row = connection.execute(query.order_by(LEAF.c.leaf_index.desc()).limit(1)).first()
    return None if row is None else StoredEntry(*row)


_ENTRY: Final = (
    LEAF.c.leaf_index,
    LEAF.c.header,
    LEAF.c.salt,
    LEAF.c.payload,
    LEAF.c.leaf_hash,
    LEAF.c.event,
    LEAF.c.time_us,
    LEAF.c.erased_by,
)


@dataclass(frozen=True, slots=True)
class Resealing:
    """Rows that one transaction puts in the place of those that were read: the same content under newer keys.

    Add `change` to a write set whose first entry names memories, versions and digests. A memory or an episode that
    is not the one that was read refuses the whole transaction, since the entry names what was to be. A vector or a
    name that is another by now is passed over: the log knows neither by a digest.

    Args:
        tenant: Whose.
        memories: What was read, and what takes its place.
        episodes: The same of episodes.
        vectors: What was read, and the same vector sealed anew.
        names: What was read, and the same name sealed anew.
    """

    tenant: str
    memories: Sequence[tuple[MemoryRead, StoredMemory]] = ()
    episodes: Sequence[tuple[EpisodeRead, StoredEpisode]] = ()
    vectors: Sequence[tuple[VectorRead, Sealed]] = ()
    names: Sequence[tuple[NameRead, Sealed]] = ()

    def change(self, connection: Connection, leaves: Sequence[Leaf]) -> None:
        """Write in the caller's transaction; a `vault.storage.group_commit.Change`.

        Raises:
            ConflictError: a row is not the one that was read any more; nothing is written.
        """
        index = leaves[0].index
        changed = [self._memory(connection, read, after, index) for read, after in self.memories]
        changed += [self._episode(connection, it, after, index) for it, after in self.episodes]
        if changed.count(1) != len(changed):
            raise ConflictError("a row was changed meanwhile: read it again")
        for vector, data in self.vectors:
            place = {"id": vector.row_id, "number": vector.version}
            was = {"of": self.tenant, "was_vector": vector.vector.data}
            _REPLACE_VECTOR.change(connection, {**place, **was, "new_vector": data.data})
        for about, data in self.names:
            was = {"of": self.tenant, "id": about.row_id, "was_name": about.name.data}
            _REPLACE_NAME.change(connection, {**was, "new_name": data.data})

    def _memory(self, connection: Connection, read: MemoryRead, after: StoredMemory, index: int) -> int:
        was = read.stored
        values = {
            "of": self.tenant,
            "id": was.memory_id,
            "number": was.version,
            "was_text": was.text.data,
            "was_resealed": read.resealed,
            "new_text": after.text.data,
            "new_attributes": after.attributes.data,
            "new_originals": None if after.originals is None else after.originals.data,
            "new_terms": after.terms.data,
            "new_resealed": index,
        }
        return _REPLACE_MEMORY.change(connection, values)

    def _episode(self, connection: Connection, read: EpisodeRead, after: StoredEpisode, index: int) -> int:
        values = {
            "of": self.tenant,
            "id": read.stored.episode_id,
            "was_attributes": read.stored.attributes.data,
            "was_resealed": read.resealed,
            "new_attributes": after.attributes.data,
            "new_resealed": index,
        }
        return _REPLACE_EPISODE.change(connection, values)


def _columns(table: Table, row: Row[Any]) -> dict[str, object]:
    return dict(zip(_NAMES[table.name], row, strict=True))


_NAMES: Final = {table.name: tuple(table.c.keys()) for table in (MEMORY, EPISODE)}


def _replacing(table: Table, keys: Sequence[str], was: Sequence[str], new: Sequence[str]) -> DriverStatement:
    """Return the statement that writes `new` where the row still has what `was` names: compare and swap."""
    named = zip(keys, ("of", "id", "number"), strict=False)
    same = [table.c[key] == bindparam(name) for key, name in named]
    # IS: a row that was never sealed anew has none.
    same += [table.c[name].is_not_distinct_from(bindparam(f"was_{name}")) for name in was]
    return DriverStatement(
        update(table).where(*same).values({name: bindparam(f"new_{name}") for name in new})
    )


_OF: Final = ("tenant_id", "memory_id", "version")
_REPLACE_MEMORY: Final = _replacing(
    MEMORY, _OF, ("text", "resealed"), ("text", "attributes", "originals", "terms", "resealed")
)
_REPLACE_EPISODE: Final = _replacing(
    EPISODE, ("tenant_id", "episode_id"), ("attributes", "resealed"), ("attributes", "resealed")
)
_REPLACE_VECTOR: Final = _replacing(EMBEDDING, _OF, ("vector",), ("vector",))
_REPLACE_NAME: Final = _replacing(SUBJECT, ("tenant_id", "subject_id"), ("name",), ("name",))
