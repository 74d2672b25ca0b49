"""Putting the rows of a snapshot back: one transaction that makes the tables of content those of an earlier state.

Owns the statements, and the check of legal holds before them. It leaves which rows stay and which come from the
snapshot to `vault.restore_plan`, and the entries that tell of it to `vault.restoring`.

This is the second path on which content goes, beside `vault.storage.removal`: rows that were written since the
snapshot. They are not erased, so they get no tombstone, and a later snapshot may bring them back. Every one of them
is held against the legal holds in the transaction, as there.

The snapshot's tables are read through a wall of their own, tenant by tenant, from a file that was verified.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, Table, and_, exists, or_, select, tuple_, update

from vault.storage.engine import reading
from vault.storage.removal import expect_not_held
from vault.storage.run_rows import forget
from vault.storage.schema import (
    CARE_TEAM,
    CONSENT,
    EDGE,
    EMBEDDING,
    EPISODE,
    MEMORY,
    MEMORY_SUBJECT,
    QUARANTINE,
    RESTRICTION,
    REVIEW,
    SUBJECT,
    TASK,
    USAGE,
)

_PIECE: Final = 200
"""Ids of one statement."""
_One = TypeVar("_One")
Edge = tuple[str, str, str]
"""Source, kind and target."""


class VersionPlace(NamedTuple):
    """A version of a memory."""

    memory_id: str
    version: int


class Standing(NamedTuple):
    """What changes in a row although it is not written anew."""

    is_current: int
    trust: str
    memory_tier: str


@dataclass(slots=True)
class Replacement:
    """What one tenant's tables lack, and what they have beyond the snapshot."""

    tenant: str
    dropped: list[VersionPlace] = field(default_factory=list)
    """Versions that go: they are not in the snapshot."""
    suppressed: list[VersionPlace] = field(default_factory=list)
    """Versions that go although the snapshot has them: they were removed for good."""
    put: list[VersionPlace] = field(default_factory=list)
    """Versions that come from the snapshot; one that is there is replaced."""
    vectors: list[VersionPlace] = field(default_factory=list)
    """Those of them whose vector comes with them."""
    standing: list[tuple[VersionPlace, Standing]] = field(default_factory=list)
    """Versions that stay, but for what changes in a row."""
    episodes_dropped: list[str] = field(default_factory=list)
    episodes_put: list[str] = field(default_factory=list)
    edges_dropped: list[Edge] = field(default_factory=list)
    edges_put: list[Edge] = field(default_factory=list)
    subjects_put: list[str] = field(default_factory=list)
    subjects_dropped: list[str] = field(default_factory=list)
    """Persons who were erased."""

    def apply(self, connection: Connection, snapshot: Engine) -> None:
        """Change the tables in the caller's transaction.

        Raises:
            HeldError: what would go is under a hold; nothing is changed.
        """
        tenant = self.tenant
        for ids in _pieces(sorted({place.memory_id for place in self.dropped})):
            expect_not_held(connection, tenant, ids)
        self._drop(connection)
        with reading(snapshot, tenant) as source:
            self._put(connection, source)
        self._link(connection)
        forget(connection, tenant, sorted({place.memory_id for place in (*self.dropped, *self.suppressed)}))
        for table in (USAGE, REVIEW, QUARANTINE, EMBEDDING, MEMORY_SUBJECT):
            connection.execute(table.delete().where(table.c.tenant_id == tenant, ~_has_memory(table)))

    def _drop(self, connection: Connection) -> None:
        going = [*self.dropped, *self.suppressed, *self.put]
        for places in _pieces(going):
            connection.execute(MEMORY.delete().where(_of(MEMORY, self.tenant, places)))
        for places in _pieces([*going, *self.vectors, *(place for place, _ in self.standing)]):
            connection.execute(EMBEDDING.delete().where(_of(EMBEDDING, self.tenant, places)))
        for ids in _pieces([*self.episodes_dropped, *self.episodes_put]):
            connection.execute(
                EPISODE.delete().where(EPISODE.c.tenant_id == self.tenant, EPISODE.c.episode_id.in_(ids))
            )
        for ids in _pieces(self.subjects_dropped):
            for table in (SUBJECT, RESTRICTION, CARE_TEAM, CONSENT, TASK):
                connection.execute(
                    table.delete().where(table.c.tenant_id == self.tenant, table.c.subject_id.in_(ids))
                )
        for edges in _pieces(self.edges_dropped):
            connection.execute(EDGE.delete().where(_edges(self.tenant, edges)))
        for place, standing in self.standing:
            connection.execute(
                update(MEMORY).where(_of(MEMORY, self.tenant, [place])).values(standing._asdict())
            )

    def _put(self, connection: Connection, source: Connection) -> None:
        for table, places in ((MEMORY, self.put), (EMBEDDING, self.vectors)):
            for some in _pieces(places):
                _copy(connection, source, table, _of(table, self.tenant, some))
        for ids in _pieces(self.episodes_put):
            _copy(
                connection,
                source,
                EPISODE,
                and_(EPISODE.c.tenant_id == self.tenant, EPISODE.c.episode_id.in_(ids)),
            )
        for edges in _pieces(self.edges_put):
            _copy(connection, source, EDGE, _edges(self.tenant, edges))
        for ids in _pieces(self.subjects_put):
            _copy(
                connection,
                source,
                SUBJECT,
                and_(SUBJECT.c.tenant_id == self.tenant, SUBJECT.c.subject_id.in_(ids)),
            )

    def _link(self, connection: Connection) -> None:
        """Write anew whom the memories that were put back are about, as their own rows say."""
        for ids in _pieces(sorted({place.memory_id for place in self.put})):
            about = and_(MEMORY_SUBJECT.c.tenant_id == self.tenant, MEMORY_SUBJECT.c.memory_id.in_(ids))
            connection.execute(MEMORY_SUBJECT.delete().where(about))
            query = select(MEMORY.c.memory_id, MEMORY.c.subjects).where(
                MEMORY.c.tenant_id == self.tenant, MEMORY.c.memory_id.in_(ids)
            )
            rows = {
                (subject, memory_id)
                for memory_id, subjects in connection.execute(query)
                for subject in str(subjects).split()
            }
            if rows:
                values = [
                    {"tenant_id": self.tenant, "subject_id": subject, "memory_id": memory_id}
                    for subject, memory_id in sorted(rows)
                ]
                connection.execute(MEMORY_SUBJECT.insert(), values)


def _copy(connection: Connection, source: Connection, table: Table, which: ColumnElement[bool]) -> None:
    rows = source.execute(select(table).where(which)).all()
    if rows:
        names = [column.name for column in table.c]
        connection.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in rows])


def _of(table: Table, tenant: str, places: Sequence[VersionPlace]) -> ColumnElement[bool]:
    return and_(
        table.c.tenant_id == tenant,
        tuple_(table.c.memory_id, table.c.version).in_([tuple(place) for place in places]),
    )


def _edges(tenant: str, edges: Sequence[Edge]) -> ColumnElement[bool]:
    return and_(
        EDGE.c.tenant_id == tenant,
        or_(
            *(
                and_(EDGE.c.source_id == source, EDGE.c.kind == kind, EDGE.c.target_id == target)
                for source, kind, target in edges
            )
        ),
    )


def _has_memory(table: Table) -> ColumnElement[bool]:
    return exists().where(MEMORY.c.tenant_id == table.c.tenant_id, MEMORY.c.memory_id == table.c.memory_id)


def _pieces(values: Sequence[_One]) -> Iterator[Sequence[_One]]:
    for start in range(0, len(values), _PIECE):
        yield values[start : start + _PIECE]
