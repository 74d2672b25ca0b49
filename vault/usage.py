"""When each memory was last used, as the log tells it: the read path pays nothing for it.

Owns the way from entries of searches, reads and reveals to the `usage` table, from where the last run came to. It
leaves what follows from disuse to `vault.expiry` and `vault.staleness`. An entry whose payload was erased tells of
no use; one of a memory that is gone is passed over.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Column, Connection, Select, bindparam, func, select, update

from audit.canonical import parse_canonical
from audit.errors import MalformedError
from audit.event import EventType
from audit.log import Leaf
from audit.store import LEAF
from vault.storage.group_commit import Change, WriteSet
from vault.storage.retention_state import SaveState, load_state
from vault.storage.schema import MEMORY, USAGE
from vault.storage.store import Store

PAGE: Final = 1_000
"""Entries that are read at once."""
_MEMORIES: Final = 400
"""Memories that one transaction notes: writers wait for no longer than that takes."""
_USES: Final = tuple(
    event.value for event in (EventType.MEMORY_SEARCH, EventType.MEMORY_READ, EventType.MEMORY_REVEAL)
)
_LATER: Final = (
    update(USAGE)
    .where(
        USAGE.c.tenant_id == bindparam("of"),
        USAGE.c.memory_id == bindparam("id"),
        USAGE.c.last_used < bindparam("at"),
    )
    .values(last_used=bindparam("at"))
)


@dataclass(slots=True)
class _Read:
    """What a stretch of the log tells."""

    start: int
    until: int
    """Leaf index after the last entry read."""
    complete: bool
    """Whether that is the end of the log."""
    uses: dict[str, int] = field(default_factory=dict)

    @property
    def worth_saving(self) -> bool:
        """Whether reading the same again would cost something."""
        return bool(self.uses) or self.until - self.start >= PAGE


class Usage:
    """Keeps the `usage` table of one vault up to date."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def catch_up(self, tenant: str, fence: Change | None = None) -> int:
        """Read the log to its present end, and return how many uses were noted.

        Raises:
            LeaseLostError: the fence refused.
            StorageError: or one of its kinds; what was noted before stays noted.
        """
        noted = 0
        while True:
            with self._store.log_connection(tenant) as connection:
                found = _read(connection, tenant, load_state(connection, tenant).read)
            uses = sorted(found.uses.items())
            for start in range(0, len(uses), _MEMORIES):
                self._submit(fence, _Note(tenant, dict(uses[start : start + _MEMORIES])).change)
            if found.worth_saving:
                self._submit(fence, SaveState(tenant, read=found.until).change)
            noted += len(uses)
            if found.complete:
                return noted

    def note_behind(self, tenant: str, leaf: int, bound: int, fence: Change | None = None) -> int:
        """Note uses that are younger than a bound by the order of the log, and not by their time; return how many.

        Threat: the clock stands years back while something is used, and is put right: by its time the use is old.

        Args:
            tenant: Whose.
            leaf: Entries behind this one were made after the bound.
            bound: Microseconds since 1970 UTC.
            fence: As for `catch_up`.

        Raises:
            LeaseLostError, StorageError: as for `catch_up`.
        """
        noted = 0
        while True:
            query = (
                select(LEAF.c.leaf_index, LEAF.c.payload)
                .where(
                    LEAF.c.tenant_id == tenant,
                    LEAF.c.leaf_index > leaf,
                    LEAF.c.time_us <= bound,
                    LEAF.c.event.in_(_USES),
                )
                .order_by(LEAF.c.leaf_index)
                .limit(PAGE)
            )
            with self._store.log_connection(tenant) as connection:
                rows = connection.execute(query).all()
            ids = sorted({memory_id for row in rows for memory_id in _memories(row.payload)})
            for start in range(0, len(ids), _MEMORIES):
                used = dict.fromkeys(ids[start : start + _MEMORIES], bound + 1)
                self._submit(fence, _Note(tenant, used).change)
            noted += len(ids)
            if len(rows) < PAGE:
                return noted
            leaf = rows[-1].leaf_index

    def _submit(self, fence: Change | None, change: Change) -> None:
        self._store.submit(WriteSet(changes=[change] if fence is None else [fence, change]))


def note_newest(connection: Connection, tenant: str) -> None:
    """Note what came since the last catching up, in the caller's transaction: so no use is overlooked by it."""
    while True:
        found = _read(connection, tenant, load_state(connection, tenant).read)
        _Note(tenant, found.uses).change(connection, ())
        if found.worth_saving:
            SaveState(tenant, read=found.until).change(connection, ())
        if found.complete:
            return


@dataclass(frozen=True, slots=True)
class _Note:
    tenant: str
    uses: Mapping[str, int]

    def change(self, connection: Connection, _leaves: Sequence[Leaf]) -> None:
        """Note uses of memories that are there; an earlier time never replaces a later one."""
        if not self.uses:
            return
        values = [{"of": self.tenant, "id": one, "at": at} for one, at in self.uses.items()]
        connection.execute(_LATER, values)
        ids = list(self.uses)
        there = set(connection.execute(_ids(MEMORY.c.memory_id, self.tenant, ids)).scalars())
        noted = set(connection.execute(_ids(USAGE.c.memory_id, self.tenant, ids)).scalars())
        rows = [
            {"tenant_id": self.tenant, "memory_id": one, "last_used": self.uses[one]}
            for one in sorted(there - noted)
        ]
        if rows:
            connection.execute(USAGE.insert(), rows)


def _read(connection: Connection, tenant: str, start: int) -> _Read:
    """Read what stands in the log from an index on, at most a page of uses."""
    query = (
        select(LEAF.c.leaf_index, LEAF.c.time_us, LEAF.c.payload)
        .where(LEAF.c.tenant_id == tenant, LEAF.c.leaf_index >= start, LEAF.c.event.in_(_USES))
        .order_by(LEAF.c.leaf_index)
        .limit(PAGE)
    )
    rows = connection.execute(query).all()
    if len(rows) == PAGE:
        found = _Read(start, rows[-1].leaf_index + 1, complete=False)
    else:
        last = connection.execute(
            select(func.max(LEAF.c.leaf_index)).where(LEAF.c.tenant_id == tenant)
        ).scalar()
        found = _Read(start, start if last is None else int(last) + 1, complete=True)
    for row in rows:
        for memory_id in _memories(row.payload):
            found.uses[memory_id] = max(found.uses.get(memory_id, 0), row.time_us)
    return found


def _memories(payload: str | None) -> Iterator[str]:
    """Yield the ids that an entry of a use names; none where it does not say or was erased."""
    try:
        told = None if payload is None else parse_canonical(payload)
    except MalformedError:
        return  # the log's own check says so
    named = told.get("memories") if isinstance(told, Mapping) else None
    yield from (one for one in (named if isinstance(named, list) else ()) if isinstance(one, str))


def _ids(column: Column[str], tenant: str, memory_ids: Sequence[str]) -> Select[str]:
    """Return the query for which of these ids a table has."""
    return select(column).where(column.table.c.tenant_id == tenant, column.in_(memory_ids)).distinct()
