"""The unit of work for reading: rows within a grant, and no others (law 2).

Owns the condition that repeats tenant, tiers and relations of the grant in SQL. What an answer is opened
from is `vault.storage.found`'s, the form of rows `vault.storage.rows`'.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
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
)

from policies.model import AccessTier, Purpose, Relation
from vault.errors import TamperedError
from vault.grant import Grant
from vault.model import EdgeKind
from vault.storage.care_rows import ON_TEAM
from vault.storage.restricting import usable
from vault.storage.rows import StoredMemory, stored_memory
from vault.storage.schema import EDGE, EPISODE, MEMORY, MEMORY_SUBJECT
from vault.storage.served import NOT_SERVED

_CHUNK: Final = 500  # below SQLite's limit of bound parameters


class ReadUnit:
    """Reads what a grant reaches, and nothing else."""

    def __init__(self, connection: Connection, grant: Grant) -> None:
        self._connection = connection
        self._grant = grant
        self.damaged: Final[list[str]] = []
        """Ids of rows within reach that are not of the form of a memory: left out, for the caller to log."""

    def memories(self, memory_ids: Sequence[str]) -> dict[str, StoredMemory]:
        """Return the current versions of those memories that are within reach."""
        query = _memories_within(self._grant.reach, self._grant.purpose, consent=self._grant.consent)
        found: dict[str, StoredMemory] = {}
        for start in range(0, len(memory_ids), _CHUNK):
            rows = self._select(query, memory_ids[start : start + _CHUNK])
            found.update((stored.memory_id, stored) for stored in self._whole(rows))
        return found

    def versions(self, memory_id: str) -> list[StoredMemory]:
        """Return all versions of one memory, oldest first."""
        query = self._memory_query().where(MEMORY.c.memory_id == memory_id).order_by(MEMORY.c.version)
        return list(self._whole(self._select(query)))

    def first_versions(self, episode_id: str, start: int, limit: int) -> list[StoredMemory]:
        """Return the memories of an episode as they were first written, from a position on, in their order."""
        query = (
            self._memory_query()
            .where(MEMORY.c.episode_id == episode_id, MEMORY.c.version == 1, MEMORY.c.position >= start)
            .order_by(MEMORY.c.position, MEMORY.c.memory_id)
            .limit(limit)
        )
        return list(self._whole(self._select(query)))

    def source_of(self, episode_id: str) -> str:
        """Return the kind of the source that an episode was; empty where it is not there."""
        query = select(EPISODE.c.kind).where(
            EPISODE.c.tenant_id == self._grant.tenant, EPISODE.c.episode_id == episode_id
        )
        return str(self._connection.execute(query).scalar() or "")

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

    def derived_from(self, memory_ids: Sequence[str]) -> list[str]:
        """Return the ids of what was derived from these memories; `memories` says which of it is within reach."""
        found: set[str] = set()
        for start in range(0, len(memory_ids), _CHUNK):
            query = select(EDGE.c.source_id).where(
                EDGE.c.tenant_id == self._grant.tenant,
                EDGE.c.kind == EdgeKind.DERIVED_FROM.value,
                EDGE.c.target_id.in_(memory_ids[start : start + _CHUNK]),
            )
            found.update(self._connection.execute(query).scalars())
        return sorted(found)

    def reaches(self, subject_id: str) -> bool:
        """Say whether any current memory about a subject is within reach."""
        grant = self._grant
        return bool(
            self._select(_about_within(grant.reach, grant.purpose, consent=grant.consent), [subject_id])
        )

    def _whole(self, rows: Iterable[Row[tuple[object, ...]]]) -> Iterator[StoredMemory]:
        for row in rows:
            try:
                yield stored_memory(row)
            except TamperedError:
                self.damaged.append(str(row.memory_id))

    def _memory_query(self) -> Select[tuple[object, ...]]:
        reached = within(self._grant.reach, MEMORY.c.access_tier, MEMORY.c.owner)
        return select(MEMORY).where(
            MEMORY.c.tenant_id == bindparam("tenant"),
            reached,
            usable(self._grant.purpose, consent=self._grant.consent),
            ~NOT_SERVED,
        )

    def _select(
        self, query: Select[tuple[object, ...]], ids: Sequence[str] = ()
    ) -> Sequence[Row[tuple[object, ...]]]:
        bound = {"tenant": self._grant.tenant, "me": self._grant.principal.id, "ids": list(ids)}
        return self._connection.execute(query, bound).all()


Reach = frozenset[tuple[AccessTier, Relation]]


@lru_cache
def _memories_within(reach: Reach, purpose: Purpose, *, consent: bool) -> Select[tuple[object, ...]]:
    """Return the statement for current memories by id; building it anew takes longer than running it."""
    return select(MEMORY).where(
        MEMORY.c.tenant_id == bindparam("tenant"),
        MEMORY.c.memory_id.in_(bindparam("ids", expanding=True)),
        MEMORY.c.is_current == 1,
        within(reach, MEMORY.c.access_tier, MEMORY.c.owner),
        usable(purpose, consent=consent),
        ~NOT_SERVED,
    )


@lru_cache
def _about_within(reach: Reach, purpose: Purpose, *, consent: bool) -> Select[tuple[object, ...]]:
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
            usable(purpose, consent=consent),
        )
        .limit(1)
    )


def within(
    reach: Reach, tier: ColumnElement[str], owner: ColumnElement[str], on_team: ColumnElement[bool] = ON_TEAM
) -> ColumnElement[bool]:
    """Return the condition under which a row is within reach of the principal bound as `me`.

    Args:
        reach: Kinds of memory.
        tier: Of the row.
        owner: Of the row.
        on_team: Whether the principal is on the care team of everyone that the row is about; a statement asks for it
            only where reach tells a care team from the rest of the institution.
    """
    me: BindParameter[str] = bindparam("me")
    kinds = []
    for access_tier in AccessTier:
        relations = {relation for reached, relation in reach if reached is access_tier}
        whose = []
        if Relation.OWNER in relations:
            whose.append(owner == me)
        if {Relation.CARE_TEAM, Relation.INSTITUTION} <= relations:
            whose.append(owner != me)
        elif Relation.CARE_TEAM in relations:
            whose.append(and_(owner != me, on_team))
        elif Relation.INSTITUTION in relations:
            whose.append(and_(owner != me, ~on_team))
        kinds += [and_(tier == access_tier.value, one) for one in whose]
    return or_(*kinds) if kinds else false()
