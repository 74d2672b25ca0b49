"""Reading a stored log: entries, checkpoints and proofs, without any key.

Owns every SELECT over the log's tables. It leaves appending to `audit.log` and judging to
`audit.verify`: what is read here is evidence, not truth. Between calls only hashes for proofs are
kept, and they are checked against the head each time: the truth is what the transaction sees.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from threading import Lock
from typing import Final

from sqlalchemy import Connection, bindparam, select, union

from audit.driver import DriverStatement
from audit.errors import LogDamagedError, RangeInvalidError
from audit.evidence import SYSTEM_LOG, LogEvidence, StoredEntry
from audit.merkle import CompactRange
from audit.signing import VerifierKey
from audit.store import CHECKPOINT, HEAD, LEAF
from audit.tree import Tree
from audit.verify import Report, verify_logs

PAGE_SIZE: Final = 1000

_READ_HEAD: Final = select(HEAD.c.size, HEAD.c.nodes).where(HEAD.c.tenant_id == bindparam("tenant"))
_HEAD_NOW: Final = DriverStatement(_READ_HEAD)
_LOCK_HEAD: Final = DriverStatement(_READ_HEAD.with_for_update())
_IN_RANGE: Final = (
    LEAF.c.tenant_id == bindparam("tenant"),
    LEAF.c.leaf_index >= bindparam("start"),
    LEAF.c.leaf_index < bindparam("stop"),
)
_READ_ENTRIES: Final = (
    select(
        LEAF.c.leaf_index,
        LEAF.c.header,
        LEAF.c.salt,
        LEAF.c.payload,
        LEAF.c.leaf_hash,
        LEAF.c.event,
        LEAF.c.time_us,
    )
    .where(*_IN_RANGE)
    .order_by(LEAF.c.leaf_index)
    .limit(PAGE_SIZE)
)
_READ_HASHES: Final = select(LEAF.c.leaf_hash).where(*_IN_RANGE).order_by(LEAF.c.leaf_index)
_READ_NOTES: Final = (
    select(CHECKPOINT.c.note)
    .where(CHECKPOINT.c.tenant_id == bindparam("tenant"))
    .order_by(CHECKPOINT.c.tree_size)
)
_READ_TENANTS: Final = select(HEAD.c.tenant_id)
_READ_ALL_TENANTS: Final = union(_READ_TENANTS, select(LEAF.c.tenant_id), select(CHECKPOINT.c.tenant_id))


class LogReader:
    """Reads every tenant's log through the caller's connection."""

    def __init__(self) -> None:
        self._trees: dict[str, Tree] = {}
        self._trees_lock = Lock()

    def tenants(self, connection: Connection) -> list[str]:
        """Return the ids of all logs that have entries, the system log first."""
        return sorted(connection.execute(_READ_TENANTS).scalars(), key=_system_first)

    def head(self, connection: Connection, tenant: str, *, lock: bool = False) -> CompactRange:
        """Return size and right edge of a tenant's tree; size 0 where there are no entries.

        With `lock`, the row stays locked until the transaction ends, where the database has row locks.
        """
        rows = (_LOCK_HEAD if lock else _HEAD_NOW).rows(connection, {"tenant": tenant})
        if not rows:
            return CompactRange()
        ((size, nodes),) = rows
        return CompactRange.decode(size, nodes)

    def entries(
        self, connection: Connection, tenant: str, start: int = 0, stop: int | None = None
    ) -> Iterator[StoredEntry]:
        """Yield stored entries with index in `[start, stop)`, in order, read page by page."""
        stop = self.head(connection, tenant).size if stop is None else stop
        while start < stop:
            page = connection.execute(_READ_ENTRIES, {"tenant": tenant, "start": start, "stop": stop}).all()
            yield from (StoredEntry(*row) for row in page)
            start = page[-1].leaf_index + 1 if len(page) == PAGE_SIZE else stop

    def checkpoints(self, connection: Connection, tenant: str) -> tuple[bytes, ...]:
        """Return all stored checkpoint notes of a tenant, smallest tree first, not verified."""
        notes: Iterable[str] = connection.execute(_READ_NOTES, {"tenant": tenant}).scalars()
        return tuple(note.encode() for note in notes)

    def evidence(self, connection: Connection, tenants: Iterable[str] | None = None) -> Iterator[LogEvidence]:
        """Yield the evidence of the logs named, or of all, the system log first.

        Call it in a transaction that sees one state of the database, and read each log's entries
        before asking for the next.
        """
        chosen = connection.execute(_READ_ALL_TENANTS).scalars().all() if tenants is None else tenants
        for tenant in sorted(chosen, key=_system_first):
            row = connection.execute(_READ_HEAD, {"tenant": tenant}).one_or_none()
            head = (0, b"") if row is None else (row.size, row.nodes)
            # One beyond the head is read on purpose: an entry there shows that the head was set back.
            entries = self.entries(connection, tenant, 0, head[0] + 1)
            yield LogEvidence(tenant, self.checkpoints(connection, tenant), entries, head)

    def inclusion_proof(self, connection: Connection, tenant: str, index: int, size: int) -> list[bytes]:
        """Return the proof that entry `index` is in the tenant's tree of `size`.

        Raises:
            RangeInvalidError: not index < size <= the log's size.
            LogDamagedError: the stored leaf hashes do not give the head's root.
        """
        with self._trees_lock:
            return self._tree(connection, tenant, size).inclusion_proof(index, size)

    def consistency_proof(self, connection: Connection, tenant: str, first: int, second: int) -> list[bytes]:
        """Return the proof that the tenant's tree of `second` extends that of `first`.

        Raises:
            RangeInvalidError: not 0 < first <= second <= the log's size.
            LogDamagedError: the stored leaf hashes do not give the head's root.
        """
        with self._trees_lock:
            return self._tree(connection, tenant, second).consistency_proof(first, second)

    def _tree(self, connection: Connection, tenant: str, size: int) -> Tree:
        head = self.head(connection, tenant)
        if size > head.size:
            raise RangeInvalidError(f"log {tenant}: expected a tree size of at most {head.size}, got {size}")
        tree = self._trees.pop(tenant, Tree())
        # A tree filled inside a transaction that was rolled back holds hashes that never came to be:
        # it is dropped and filled once more.
        if not _fill(connection, tenant, tree, head):
            tree = Tree()
            if not _fill(connection, tenant, tree, head):
                raise LogDamagedError(f"tree of log {tenant}", expected=head.root().hex(), got="another root")
        self._trees[tenant] = tree
        return tree


def _system_first(tenant: str) -> tuple[bool, str]:
    return tenant != SYSTEM_LOG, tenant


def _fill(connection: Connection, tenant: str, tree: Tree, head: CompactRange) -> bool:
    span = {"tenant": tenant, "start": tree.size, "stop": head.size}
    tree.extend(connection.execute(_READ_HASHES, span).scalars())
    return tree.size == head.size and tree.root(head.size) == head.root()


def verify_stored(
    connection: Connection,
    key: VerifierKey,
    *,
    remembered: Iterable[bytes] = (),
    now: datetime | None = None,
    unsigned_allowed: bool = False,
) -> Report:
    """Verify all logs of a database from their rows; see `audit.verify.verify_logs`."""
    logs = LogReader().evidence(connection)
    return verify_logs(
        logs, key, remembered=remembered, now=now, complete=True, unsigned_allowed=unsigned_allowed
    )
