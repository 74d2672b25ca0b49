"""Until when the terms and floors of `retention.yaml` keep memories, as bounds that a query takes.

Owns the step from calendar terms to microseconds, and the floors that depend on what a memory holds: for those the
memory is opened. It leaves what happens to what is over to `vault.expiry` and `vault.review`.

A floor counts from the writing, whatever the class counts from: an event that is said to lie far back undercuts
none. It holds for memories that got their class from older rules, too, and for what a former version holds: that
goes with the memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from policies.privacy import EntityType
from policies.retention import floors_over, kept_until
from policies.retention_model import EndAction, RetentionClass, StartPoint
from vault.clock import from_microseconds, microseconds
from vault.errors import KeyAccessError, RootUnusableError, TamperedError
from vault.parts import Parts
from vault.storage.consistency_rows import versions_of
from vault.storage.due import ANY_LEAF, Due, DueRow, first_after, written_after
from vault.storage.rows import StoredMemory

_ANY_TIME: Final = 2**62


@dataclass(slots=True)
class LetGo:
    """What floors let go, and what they do not."""

    free: list[DueRow] = field(default_factory=list)
    floored: int = 0
    unreadable: int = 0


class TermBounds:
    """Bounds of one vault's terms."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._looked_for: dict[tuple[str, int, int], int] = {}

    def due(self, connection: Connection, one: RetentionClass, tenant: str, now: datetime) -> Due | None:
        """Return what of a class is over; None where its term never is, or nothing can be yet."""
        started = None if one.term is None else one.term.latest_start(now)
        if started is None or microseconds(started) < 0:
            return None
        recorded = _ANY_TIME
        if one.then in (EndAction.EXPIRE, EndAction.REDACT):
            for floor in floors_over(self._parts.retention, one.id, tenant):
                latest = floor.at_least.latest_start(now) if floor.entities is None else now
                recorded = min(recorded, -1 if latest is None else microseconds(latest))
        begun = microseconds(started)
        # An event may lie before its writing; whatever else a term runs from does not.
        written = recorded if one.start is StartPoint.EVENT else min(begun, recorded)
        leaf = self._first_after(connection, tenant, written, now)
        return Due(
            tenant,
            one.id,
            begun,
            recorded,
            by_use=one.start is StartPoint.LAST_USED,
            leaf=leaf,
            used_leaf=self._first_after(connection, tenant, begun, now)
            if one.start is StartPoint.LAST_USED
            else ANY_LEAF,
            unasked=one.then is EndAction.ASK,
        )

    def let_go(self, one: RetentionClass, tenant: str, now: datetime, rows: Sequence[DueRow]) -> LetGo:
        """Return what floors over kinds of personal data let go."""
        asking = [
            latest
            for floor in floors_over(self._parts.retention, one.id, tenant)
            if floor.entities is not None
            for latest in (floor.at_least.latest_start(now),)
        ]
        if not asking:
            return LetGo(list(rows))
        bound = min(-1 if latest is None else microseconds(latest) for latest in asking)
        with self._parts.store.log_connection(tenant) as connection:
            leaf = self._first_after(connection, tenant, bound, now)
        old = [row for row in rows if row.recorded <= bound and row.leaf_index <= leaf]
        young = {row.memory_id: row for row in rows if row.recorded > bound or row.leaf_index > leaf}
        found = LetGo(old)
        if young:
            self._open(tenant, now, young, found)
        return found

    def kept_by_floor(
        self, tenant: str, stored: StoredMemory, kinds: frozenset[EntityType], now: datetime
    ) -> datetime | None:
        """Return until when floors keep a memory; None: no floor does.

        They run from its writing as the log has it, where its row says that it is older.
        """
        floors = floors_over(self._parts.retention, stored.retention.class_id, tenant)
        until = kept_until(floors, kinds, from_microseconds(stored.recorded))
        if until is None or until > now:
            return until
        with self._parts.store.log_connection(tenant) as connection:
            starts = [floor.at_least.latest_start(now) for floor in floors if floor.speaks_of_kinds(kinds)]
            bounds = [-1 if start is None else microseconds(start) for start in starts]
            if all(stored.leaf_index <= self._first_after(connection, tenant, one, now) for one in bounds):
                return until
            written = written_after(connection, tenant, stored.leaf_index, microseconds(now))
        return kept_until(floors, kinds, from_microseconds(max(stored.recorded, written)))

    def _first_after(self, connection: Connection, tenant: str, bound: int, now: datetime) -> int:
        """Return the first entry after a bound; looked for once a run, for it goes through the log."""
        key = tenant, bound, microseconds(now)
        if key not in self._looked_for:
            self._looked_for[key] = first_after(connection, *key)
        return self._looked_for[key]

    def kinds(self, tenant: str, stored: StoredMemory) -> frozenset[EntityType] | None:
        """Return the kinds of personal data in a memory; None where it cannot be opened."""
        try:
            marks = self._parts.sealers.open_memory(tenant, stored).attributes.text_marks
            return frozenset(EntityType(mark.entity_type) for mark in marks)
        except RootUnusableError:
            raise  # says nothing of the row
        except (TamperedError, KeyAccessError, ValueError, TypeError):
            return None

    def _open(self, tenant: str, now: datetime, young: dict[str, DueRow], found: LetGo) -> None:
        with self._parts.store.log_connection(tenant) as connection:
            versions: dict[str, list[StoredMemory | None]] = {}
            for version in versions_of(connection, tenant, list(young)):
                versions.setdefault(str(version.memory_id), []).append(version.stored)
        stored = [one for of_one in versions.values() for one in of_one if one is not None]
        self._parts.sealers.lease(tenant, [(one.subjects, one.text) for one in stored])
        for memory_id, row in young.items():
            verdicts = [self._floored(tenant, one, now) for one in versions.get(memory_id, [None])]
            if None in verdicts:
                found.unreadable += 1
            elif any(verdicts):
                found.floored += 1
            else:
                found.free.append(row)

    def _floored(self, tenant: str, stored: StoredMemory | None, now: datetime) -> bool | None:
        """Say whether a floor keeps a version; None where it is no row, or cannot be opened."""
        kinds = None if stored is None else self.kinds(tenant, stored)
        if stored is None or kinds is None:
            return None
        until = self.kept_by_floor(tenant, stored, kinds, now)
        return until is not None and until > now
