"""Which memories have come to the end of their term, found by the index and seen again in the transaction.

Owns the queries over class, start, last use and review, and their order. It leaves the bounds, which are calendar
arithmetic, and what becomes of what is due to `vault.expiry`. Only current versions are looked at: a memory's
former ones go with it.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, bindparam, exists, func, or_, select, tuple_

from audit.driver import ListStatement
from audit.store import LEAF
from vault.errors import TamperedError
from vault.storage.rows import StoredMemory, row_digest, stored_memory
from vault.storage.schema import MEMORY, REVIEW, USAGE

KEPT: Final = "kept"
"""Reason of a review row that says: somebody decided to keep it."""
ANY_LEAF: Final = 2**62
FIRST: Final = (-1, "")
"""The place before every row."""


_CURRENT: Final = ListStatement(
    lambda ids: select(
        MEMORY.c.memory_id,
        MEMORY.c.retention,
        MEMORY.c.term_start,
        MEMORY.c.recorded,
        MEMORY.c.leaf_index,
    ).where(
        MEMORY.c.tenant_id == bindparam("tenant"),
        MEMORY.c.memory_id.in_(ids),
        MEMORY.c.is_current == bindparam("current"),
    )
)


@dataclass(frozen=True, slots=True)
class Due:
    """What of one class is over; all bounds are inclusive, in microseconds since 1970 UTC."""

    tenant: str
    class_id: str
    started: int
    """Terms that began then or earlier are over."""
    recorded: int
    """What floors let go: written then or earlier."""
    by_use: bool = False
    """Whether the term runs from the last use."""
    leaf: int = ANY_LEAF
    """Written with this entry of the log or before it: what comes later was written after the bounds, whatever
    its row says. See `first_after`."""
    used_leaf: int = ANY_LEAF
    """Uses by entries of the log behind this one are younger than `started`, whatever their time says."""
    unasked: bool = False
    """Whether what somebody was asked about, or decided to keep within a term, is left out."""


class DueRow(NamedTuple):
    """A memory whose term is over."""

    term_start: int
    memory_id: str
    version: int
    recorded: int
    leaf_index: int

    @property
    def place(self) -> tuple[int, str]:
        """Where it stands in the order of ends."""
        return self.term_start, self.memory_id


def due_page(connection: Connection, due: Due, after: tuple[int, str], limit: int) -> list[DueRow]:
    """Return what is due after a place, in the order in which the terms began."""
    columns = (
        MEMORY.c.term_start,
        MEMORY.c.memory_id,
        MEMORY.c.version,
        MEMORY.c.recorded,
        MEMORY.c.leaf_index,
    )
    query = (
        select(*columns)
        .where(_over(due), tuple_(MEMORY.c.term_start, MEMORY.c.memory_id) > after)
        .order_by(MEMORY.c.term_start, MEMORY.c.memory_id)
        .limit(limit)
    )
    return [DueRow(*row) for row in connection.execute(query)]


def count_due(connection: Connection, due: Due) -> int:
    """Return how many are due."""
    return int(connection.execute(select(func.count()).select_from(MEMORY).where(_over(due))).scalar_one())


def still_due(connection: Connection, due: Due, memory_ids: Sequence[str]) -> set[str]:
    """Return which of these are due as the caller's transaction sees it.

    By their ids alone: asked for ids and terms together, SQLite goes through all that is over.
    """
    ids = list(memory_ids)
    rows = _CURRENT.rows(connection, {"tenant": due.tenant, "current": 1}, ids)
    found: set[str] = {
        memory_id
        for memory_id, retention, term_start, recorded, leaf_index in rows
        if retention == due.class_id
        and term_start <= due.started
        and recorded <= due.recorded
        and leaf_index <= due.leaf
    }
    if due.by_use:
        used = select(USAGE.c.memory_id).where(
            USAGE.c.tenant_id == due.tenant, USAGE.c.memory_id.in_(ids), USAGE.c.last_used > due.started
        )
        found.difference_update(connection.execute(used).scalars())
    if due.unasked:
        asked = select(REVIEW.c.memory_id).where(
            REVIEW.c.tenant_id == due.tenant,
            REVIEW.c.memory_id.in_(ids),
            or_(REVIEW.c.reason != KEPT, REVIEW.c.since > due.started),
        )
        found.difference_update(connection.execute(asked).scalars())
    return found


def first_after(connection: Connection, tenant: str, bound: int, now: int) -> int:
    """Return the index of the first entry that was made after a bound, `ANY_LEAF` where there is none.

    Threat: the clock stands years back while something is written, and is put right. By its row the memory is old,
    and would be removed at the next run. But an entry that stands before it in the log is younger than the bound:
    so the memory was written after the bound, too. Entries from after now are of a clock that was ahead, and say
    nothing.

    Args:
        connection: To read on.
        tenant: Whose log.
        bound: Microseconds since 1970 UTC.
        now: The same, of the run.
    """
    query = select(func.min(LEAF.c.leaf_index)).where(
        LEAF.c.tenant_id == tenant, LEAF.c.time_us > bound, LEAF.c.time_us <= now
    )
    found = connection.execute(query).scalar()
    return ANY_LEAF if found is None else int(found)


def written_after(connection: Connection, tenant: str, leaf_index: int, now: int) -> int:
    """Return the time of the youngest entry before this one, by any clock that was not ahead of now: see `first_after`."""
    query = select(func.max(LEAF.c.time_us)).where(
        LEAF.c.tenant_id == tenant, LEAF.c.leaf_index < leaf_index, LEAF.c.time_us <= now
    )
    return int(connection.execute(query).scalar() or 0)


def count_behind(connection: Connection, due: Due) -> int:
    """Return how many would be due by their rows, and were written later by the log."""
    if due.leaf == ANY_LEAF:
        return 0
    query = select(func.count()).select_from(MEMORY)
    by_row = _over(replace(due, leaf=ANY_LEAF))
    return int(connection.execute(query.where(by_row, MEMORY.c.leaf_index > due.leaf)).scalar_one())


def count_classes(connection: Connection, tenant: str) -> dict[str, int]:
    """Return how many current memories have which class."""
    query = (
        select(MEMORY.c.retention, func.count())
        .where(MEMORY.c.tenant_id == tenant, MEMORY.c.is_current == 1)
        .group_by(MEMORY.c.retention)
    )
    return {str(name): int(count) for name, count in connection.execute(query)}


def last_used(connection: Connection, tenant: str, memory_id: str) -> int | None:
    """Return when a memory was last used, as far as the log was read."""
    query = select(USAGE.c.last_used).where(USAGE.c.tenant_id == tenant, USAGE.c.memory_id == memory_id)
    found = connection.execute(query).scalar()
    return None if found is None else int(found)


def current_rows(connection: Connection, tenant: str, memory_ids: Sequence[str]) -> list[StoredMemory]:
    """Return the current versions of these memories; one that is not of the form of a row is left out (law 12)."""
    query = select(MEMORY).where(
        MEMORY.c.tenant_id == tenant, MEMORY.c.memory_id.in_(list(memory_ids)), MEMORY.c.is_current == 1
    )
    found: list[StoredMemory] = []
    for row in connection.execute(query):
        with suppress(TamperedError):
            found.append(stored_memory(row))
    return found


class VersionRead(NamedTuple):
    """A version of a memory as it was read, and what the log has to know it by."""

    stored: StoredMemory
    is_current: bool
    told_at: int
    """Index of the entry that named its digest last."""
    digest: str


def all_versions(connection: Connection, tenant: str, memory_ids: Sequence[str]) -> list[VersionRead]:
    """Return all versions of these memories, oldest first.

    Raises:
        TamperedError: a row is not of the form of one: nothing may be left out of what is to be redacted.
    """
    query = select(MEMORY).where(MEMORY.c.tenant_id == tenant, MEMORY.c.memory_id.in_(list(memory_ids)))
    rows = connection.execute(query.order_by(MEMORY.c.memory_id, MEMORY.c.version))
    return [
        VersionRead(
            stored_memory(row),
            row.is_current == 1,
            row.leaf_index if row.resealed is None else row.resealed,
            row_digest({column.name: row[place] for place, column in enumerate(MEMORY.c)}),
        )
        for row in rows
    ]


def _over(due: Due) -> ColumnElement[bool]:
    """Return the condition on a row of the memory table that says it is due."""
    over = and_(
        MEMORY.c.tenant_id == due.tenant,
        MEMORY.c.retention == due.class_id,
        MEMORY.c.is_current == 1,
        MEMORY.c.term_start <= due.started,
        MEMORY.c.recorded <= due.recorded,
        MEMORY.c.leaf_index <= due.leaf,
    )
    if due.by_use:
        same = and_(USAGE.c.tenant_id == MEMORY.c.tenant_id, USAGE.c.memory_id == MEMORY.c.memory_id)
        over = and_(over, ~exists().where(same, USAGE.c.last_used > due.started))
    if due.unasked:
        same = and_(REVIEW.c.tenant_id == MEMORY.c.tenant_id, REVIEW.c.memory_id == MEMORY.c.memory_id)
        stands = or_(REVIEW.c.reason != KEPT, REVIEW.c.since > due.started)
        over = and_(over, ~exists().where(same, stands))
    return over
