"""Reading a stored log: entries, checkpoints and proofs, without any key.

Owns every SELECT over the log's tables. It leaves appending to `audit.log` and judging to
`audit.verify`: what is read here is evidence, not truth. Between calls only hashes for proofs are
kept, and they are checked against the head each time: the truth is what the transaction sees.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from threading import Lock
from typing import Final, TypeVar

from sqlalchemy import Connection, bindparam, select, union

from audit.checkpoint import Checkpoint
from audit.driver import DriverStatement
from audit.errors import LogDamagedError, MalformedError, RangeInvalidError
from audit.evidence import SYSTEM_LOG, LogEvidence, StoredEntry
from audit.merkle import MAX_TREE_SIZE, CompactRange
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
        LEAF.c.erased_by,
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

        Raises:
            LogDamagedError: what is stored there is no right edge.
        """
        rows = (_LOCK_HEAD if lock else _HEAD_NOW).rows(connection, {"tenant": tenant})
        if not rows:
            return CompactRange()
        ((size, nodes),) = rows
        try:
            return CompactRange.decode(size, nodes)
        except (MalformedError, TypeError, AttributeError):
            raise LogDamagedError(f"head of log {tenant}", expected="a right edge", got="no such") from None

    def entries(
        self, connection: Connection, tenant: str, start: int = 0, stop: int | None = None
    ) -> Iterator[StoredEntry]:
        """Yield stored entries with index in `[start, stop)`, in order, read page by page."""
        stop = self.head(connection, tenant).size if stop is None else stop
        while start < stop:
            page = connection.execute(_READ_ENTRIES, {"tenant": tenant, "start": start, "stop": stop}).all()
            yield from (_stored(*row) for row in page)
            start = page[-1].leaf_index + 1 if len(page) == PAGE_SIZE else stop

    def checkpoints(self, connection: Connection, tenant: str) -> tuple[bytes, ...]:
        """Return all stored checkpoint notes of a tenant, smallest tree first, not verified."""
        notes: Iterable[object] = connection.execute(_READ_NOTES, {"tenant": tenant}).scalars()
        return tuple(_kept(note, str, "").encode() for note in notes)

    def evidence(self, connection: Connection, tenants: Iterable[str] | None = None) -> Iterator[LogEvidence]:
        """Yield the evidence of the logs named, or of all, the system log first.

        Call it in a transaction that sees one state of the database, and read each log's entries
        before asking for the next.
        """
        chosen = connection.execute(_READ_ALL_TENANTS).scalars().all() if tenants is None else tenants
        for tenant in sorted(chosen, key=_system_first):
            row = connection.execute(_READ_HEAD, {"tenant": tenant}).one_or_none()
            head = (0, b"") if row is None else (_kept(row.size, int, 0), _kept(row.nodes, bytes, b""))
            # One beyond the head is read on purpose: an entry there shows that the head was set back.
            entries = self.entries(connection, tenant, 0, head[0] + 1)
            yield LogEvidence(tenant, self.checkpoints(connection, tenant), entries, head)

    def check_head(self, connection: Connection, tenant: str, checkpoint: Checkpoint | None) -> None:
        """Recompute a log's tree from its leaf hashes and hold it against its head and a checkpoint.

        Raises:
            LogDamagedError: the log is shorter than the checkpoint, or has another root at its size; or its
                head is missing or another.
        """
        head, tree = self.head(connection, tenant), CompactRange()
        if checkpoint is not None:
            tree = _extended(connection, tenant, tree, checkpoint.size)
            if (tree.size, tree.root()) != (checkpoint.size, checkpoint.root):
                raise LogDamagedError(
                    f"log {tenant} at its last checkpoint",
                    expected=f"size {checkpoint.size}, root {checkpoint.root.hex()}",
                    got=f"size {tree.size}, root {tree.root().hex()}",
                )
        tree = _extended(connection, tenant, tree, MAX_TREE_SIZE)
        if tree != head:
            raise LogDamagedError(
                f"head of log {tenant}",
                expected=f"size {tree.size}",
                got=f"size {head.size}, or another edge",
            )

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


_Kept = TypeVar("_Kept", int, str, bytes)


def _kept(value: object, kind: type[_Kept], otherwise: _Kept) -> _Kept:
    """Return a column's value, or, where somebody put another type there, one that no check passes."""
    return value if isinstance(value, kind) else otherwise


def _stored(index: int, *columns: object) -> StoredEntry:
    header, salt, payload, leaf, event, time, eraser = columns
    return StoredEntry(
        index=index,
        header=_kept(header, str, ""),
        salt=None if salt is None else _kept(salt, bytes, b""),
        payload=None if payload is None else _kept(payload, str, ""),
        leaf_hash=_kept(leaf, bytes, b""),
        event=_kept(event, str, ""),
        time_us=_kept(time, int, -1),
        erased_by=None if eraser is None else _kept(eraser, int, -1),
    )


def _system_first(tenant: str) -> tuple[bool, str]:
    return tenant != SYSTEM_LOG, tenant


def _extended(connection: Connection, tenant: str, tree: CompactRange, stop: int) -> CompactRange:
    span = {"tenant": tenant, "start": tree.size, "stop": stop}
    found = connection.execute(_READ_HASHES, span, execution_options={"yield_per": PAGE_SIZE}).scalars()
    return tree.extended(_kept(leaf, bytes, b"") for leaf in found)


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
