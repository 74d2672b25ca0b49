"""Rows that are sealed anew: read whole, with what the log has to know them by, and put back in one transaction.

Owns the statements for that. It leaves finding what is due to `vault.storage.key_heads`, and opening and sealing to
`vault.reencryption`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, Table, bindparam, select, update

from audit.driver import DriverStatement
from audit.log import Leaf
from policies.model import AccessTier
from vault.crypto.sealed import Sealed
from vault.errors import ConflictError, TamperedError
from vault.storage.key_heads import OF_MEMORY, Place, RowKind
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

_CHUNK: Final = 500  # below SQLite's limit of bound parameters


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
            .select_from(EMBEDDING.join(MEMORY, OF_MEMORY))
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
