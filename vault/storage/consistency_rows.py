"""What a consistency check reads: pages of rows as they are, whatever somebody put there, and what hangs in the air.

Owns the SELECTs, each bounded, and the narrow deletes of what belongs to no memory any more. It decides nothing:
what is wrong and what may be put right is `vault.checking`'s. Content rows are removed by `vault.storage.removal`
alone; what is deleted here names a memory that that path removed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, exists, or_, select

from vault.crypto.sealed import Sealed
from vault.errors import TamperedError
from vault.storage.rows import (
    StoredEpisode,
    StoredMemory,
    episode_digest,
    row_digest,
    stored_episode,
    stored_memory,
)
from vault.storage.schema import (
    CARE_TEAM,
    CONSENT,
    EDGE,
    EMBEDDING,
    EPISODE,
    ERASURE,
    MEMORY,
    MEMORY_SUBJECT,
    QUARANTINE,
    RESTRICTION,
    REVIEW,
    SUBJECT,
    TASK,
    TOMBSTONE,
    USAGE,
)
from vault.storage.served import NOT_SERVED

_CHUNK: Final = 400  # below SQLite's limit of bound parameters


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version of a memory as it lies there."""

    memory_id: object
    version: object
    is_current: bool
    subjects: object
    told: object
    """Index of the entry that says what it is: of its last re-encryption, or of its writing."""
    digest: str
    stored: StoredMemory | None
    """None: not of the form of a memory."""


@dataclass(frozen=True, slots=True)
class EpisodeRow:
    """An episode as it lies there."""

    episode_id: object
    told: object
    digest: str
    stored: StoredEpisode | None


@dataclass(frozen=True, slots=True)
class Hanging:
    """A row that names a memory that is not there."""

    table: Table
    key: tuple[object, ...]
    """Values of its primary key behind the tenant."""
    missing: tuple[str, ...]
    """Ids of the memories."""


def memory_ids_after(connection: Connection, tenant: str, after: str, limit: int) -> list[Any]:
    """Return the next ids of memories, in their order."""
    query = select(MEMORY.c.memory_id).where(MEMORY.c.tenant_id == tenant, MEMORY.c.memory_id > after)
    return list(connection.execute(query.distinct().order_by(MEMORY.c.memory_id).limit(limit)).scalars())


def versions_of(connection: Connection, tenant: str, memory_ids: Sequence[Any]) -> list[VersionRow]:
    """Return all versions of some memories, oldest first."""
    found: list[VersionRow] = []
    for some in _pieces(memory_ids):
        query = select(MEMORY).where(MEMORY.c.tenant_id == tenant, MEMORY.c.memory_id.in_(some))
        found += map(_version, connection.execute(query.order_by(MEMORY.c.memory_id, MEMORY.c.version)))
    return found


def version_at(connection: Connection, tenant: str, memory_id: str, version: int) -> VersionRow | None:
    """Return one version as it is now."""
    query = select(MEMORY).where(
        MEMORY.c.tenant_id == tenant, MEMORY.c.memory_id == memory_id, MEMORY.c.version == version
    )
    row = connection.execute(query).first()
    return None if row is None else _version(row)


def episodes_after(connection: Connection, tenant: str, after: str, limit: int) -> list[EpisodeRow]:
    """Return the next episodes, in the order of their ids."""
    query = select(EPISODE).where(EPISODE.c.tenant_id == tenant, EPISODE.c.episode_id > after)
    return list(map(_episode, connection.execute(query.order_by(EPISODE.c.episode_id).limit(limit))))


def names_after(connection: Connection, tenant: str, after: str, limit: int) -> list[tuple[Any, Any]]:
    """Return the next subjects and their sealed names, in the order of their ids."""
    query = select(SUBJECT.c.subject_id, SUBJECT.c.name).where(
        SUBJECT.c.tenant_id == tenant, SUBJECT.c.subject_id > after
    )
    rows = connection.execute(query.order_by(SUBJECT.c.subject_id).limit(limit))
    return [(row.subject_id, row.name) for row in rows]


def about_of(connection: Connection, tenant: str, memory_ids: Sequence[Any]) -> dict[Any, set[Any]]:
    """Return by memory whom `memory_subject` says that it is about."""
    found: dict[Any, set[Any]] = {}
    for some in _pieces(memory_ids):
        query = select(MEMORY_SUBJECT.c.memory_id, MEMORY_SUBJECT.c.subject_id).where(
            MEMORY_SUBJECT.c.tenant_id == tenant, MEMORY_SUBJECT.c.memory_id.in_(some)
        )
        for row in connection.execute(query):
            found.setdefault(row.memory_id, set()).add(row.subject_id)
    return found


def set_about(
    connection: Connection, tenant: str, memory_id: str, missing: Sequence[str], extra: Sequence[object]
) -> None:
    """Let `memory_subject` say of a memory what its own row says."""
    mine = and_(MEMORY_SUBJECT.c.tenant_id == tenant, MEMORY_SUBJECT.c.memory_id == memory_id)
    known = set(connection.execute(select(MEMORY_SUBJECT.c.subject_id).where(mine)).scalars())
    if extra:
        # By what stays: a damaged id does not find its row again.
        stays = MEMORY_SUBJECT.c.subject_id.in_(known.difference(extra))
        connection.execute(MEMORY_SUBJECT.delete().where(mine, ~stays))
    rows = [
        {"tenant_id": tenant, "subject_id": one, "memory_id": memory_id}
        for one in missing
        if one not in known
    ]
    if rows:
        connection.execute(MEMORY_SUBJECT.insert(), rows)


def vectors_of(
    connection: Connection, tenant: str, memory_ids: Sequence[Any]
) -> dict[tuple[Any, Any], Sealed]:
    """Return the sealed vectors of some memories, by id and version."""
    found: dict[tuple[Any, Any], Sealed] = {}
    for some in _pieces(memory_ids):
        query = select(EMBEDDING.c.memory_id, EMBEDDING.c.version, EMBEDDING.c.vector).where(
            EMBEDDING.c.tenant_id == tenant, EMBEDDING.c.memory_id.in_(some)
        )
        found.update({(row.memory_id, row.version): row.vector for row in connection.execute(query)})
    return found


def quarantined(
    connection: Connection, tenant: str, memory_ids: Sequence[Any] | None = None
) -> dict[tuple[str, int], str]:
    """Return the reasons of what is quarantined, by id and version; None asks for all."""
    query = select(QUARANTINE.c.memory_id, QUARANTINE.c.version, QUARANTINE.c.reason).where(
        QUARANTINE.c.tenant_id == tenant
    )
    queries = (
        [query]
        if memory_ids is None
        else [query.where(QUARANTINE.c.memory_id.in_(some)) for some in _pieces(memory_ids)]
    )
    return {(row.memory_id, row.version): row.reason for one in queries for row in connection.execute(one)}


def tombstoned(connection: Connection, tenant: str, digests: Mapping[bytes, str]) -> set[str]:
    """Return which of some ids have a tombstone.

    Args:
        connection: A reading one, of the tenant.
        tenant: Whose.
        digests: Ids by the digest of their tombstone.
    """
    found: set[str] = set()
    for some in _pieces(list(digests)):
        query = select(TOMBSTONE.c.digest).where(
            TOMBSTONE.c.tenant_id == tenant, TOMBSTONE.c.digest.in_(some)
        )
        found.update(digests[digest] for digest in connection.execute(query).scalars())
    return found


def persons(connection: Connection, tenant: str) -> dict[str, list[str]]:
    """Return whom rows are about, with the names of their tables; without those whose erasure is under way."""
    under_way = select(ERASURE.c.subject_id).where(ERASURE.c.tenant_id == tenant, ERASURE.c.state != "done")
    found: dict[str, list[str]] = {}
    for table in (SUBJECT, MEMORY_SUBJECT, RESTRICTION, CARE_TEAM, CONSENT, TASK):
        about = table.c.subject_id
        query = select(about).distinct().where(table.c.tenant_id == tenant, about.not_in(under_way))
        for one in connection.execute(query).scalars():
            found.setdefault(str(one), []).append(table.name)
    return found


def hanging(connection: Connection, tenant: str, limit: int) -> list[Hanging]:
    """Return rows of derived tables that name a memory that is not there."""
    found: list[Hanging] = []
    source, target = _there(EDGE, EDGE.c.source_id), _there(EDGE, EDGE.c.target_id)
    edges = select(
        EDGE.c.source_id, EDGE.c.kind, EDGE.c.target_id, source.label("from_"), target.label("to_")
    )
    for row in connection.execute(
        edges.where(EDGE.c.tenant_id == tenant, or_(~source, ~target)).limit(limit)
    ):
        ends = ((row.source_id, row.from_), (row.target_id, row.to_))
        missing = tuple(str(end) for end, there in ends if not there)
        found.append(Hanging(EDGE, (row.source_id, row.kind, row.target_id), missing))
    for table in (MEMORY_SUBJECT, EMBEDDING, USAGE, REVIEW, QUARANTINE):
        keys = list(table.primary_key.columns)[1:]
        query = select(*keys).where(table.c.tenant_id == tenant, ~_there(table, table.c.memory_id))
        place = [key.name for key in keys].index("memory_id")
        rows = connection.execute(query.limit(limit))
        found += [Hanging(table, tuple(values), (str(values[place]),)) for values in rows]
    return found


def delete_hanging(connection: Connection, tenant: str, rows: Sequence[Hanging]) -> None:
    """Delete those rows; one whose memory is there by now stays."""
    for row in rows:
        keys = list(row.table.primary_key.columns)[1:]
        same = [key == value for key, value in zip(keys, row.key, strict=True)]
        ends = (EDGE.c.source_id, EDGE.c.target_id) if row.table is EDGE else (row.table.c.memory_id,)
        hangs = or_(*(~_there(row.table, end) for end in ends))
        connection.execute(row.table.delete().where(row.table.c.tenant_id == tenant, *same, hangs))


def current_ids(connection: Connection, tenant: str, among: Sequence[str] | None = None) -> list[Any]:
    """Return the ids of current memories that are not quarantined: of some, or of all."""
    query = select(MEMORY.c.memory_id).where(
        MEMORY.c.tenant_id == tenant, MEMORY.c.is_current == 1, ~NOT_SERVED
    )
    if among is None:
        return list(connection.execute(query).scalars())
    pieces = (query.where(MEMORY.c.memory_id.in_(some)) for some in _pieces(among))
    return [one for piece in pieces for one in connection.execute(piece).scalars()]


def _there(table: Table, column: ColumnElement[Any]) -> ColumnElement[bool]:
    return exists().where(MEMORY.c.tenant_id == table.c.tenant_id, MEMORY.c.memory_id == column)


def _version(row: Row[Any]) -> VersionRow:
    values = {column.name: row[place] for place, column in enumerate(MEMORY.c)}
    try:
        stored = stored_memory(row)
    except TamperedError:
        stored = None
    told = row.leaf_index if row.resealed is None else row.resealed
    return VersionRow(
        row.memory_id, row.version, row.is_current == 1, row.subjects, told, row_digest(values), stored
    )


def _episode(row: Row[Any]) -> EpisodeRow:
    values = {column.name: row[place] for place, column in enumerate(EPISODE.c)}
    try:
        stored = stored_episode(row)
    except TamperedError:
        stored = None
    told = row.leaf_index if row.resealed is None else row.resealed
    return EpisodeRow(row.episode_id, told, episode_digest(values), stored)


def _pieces(values: Sequence[Any]) -> list[Sequence[Any]]:
    return [values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK)]
