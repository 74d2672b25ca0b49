"""Reading a stored log: entries, checkpoints and proofs, without any key.

Owns every SELECT over the log's tables. It leaves appending to `audit.log` and judging to
`audit.verify`: what is read here is evidence, not truth. Nothing is kept between calls: proofs come
from tiles, each is held against the head, and the truth is what the transaction sees.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Final, TypeVar

from sqlalchemy import Connection, bindparam, select, union

from audit.checkpoint import Checkpoint, SignedCheckpoint
from audit.driver import DriverStatement
from audit.errors import LogDamagedError, MalformedError, RangeInvalidError, VerificationError
from audit.evidence import SYSTEM_LOG, LogEvidence, StoredCosignature, StoredEntry
from audit.merkle import HASH_SIZE, CompactRange, verify_consistency, verify_inclusion
from audit.note import parse_note
from audit.signing import VerifierKey
from audit.store import CHECKPOINT, COSIGNATURE, HEAD, LEAF
from audit.tile_store import StoredTiles
from audit.tiles import TILE_WIDTH, KeptTiles, TileTree, encode_entry_bundle, grow, tile_width
from audit.verify import Report, verify_logs

PAGE_SIZE: Final = 1000
_CHECKED_AT_ONCE: Final = 16 * TILE_WIDTH

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
_READ_HEADERS: Final = DriverStatement(select(LEAF.c.header).where(*_IN_RANGE).order_by(LEAF.c.leaf_index))
_READ_COSIGNATURES: Final = (
    select(COSIGNATURE.c.tree_size, COSIGNATURE.c.witness, COSIGNATURE.c.line)
    .where(COSIGNATURE.c.tenant_id == bindparam("tenant"))
    .order_by(COSIGNATURE.c.tree_size, COSIGNATURE.c.witness)
)
_READ_NOTES: Final = (
    select(CHECKPOINT.c.note)
    .where(CHECKPOINT.c.tenant_id == bindparam("tenant"))
    .order_by(CHECKPOINT.c.tree_size)
)
_READ_TENANTS: Final = select(HEAD.c.tenant_id)
_READ_ALL_TENANTS: Final = union(_READ_TENANTS, select(LEAF.c.tenant_id), select(CHECKPOINT.c.tenant_id))


class LogReader:
    """Reads every tenant's log through the caller's connection."""

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
            tiles = StoredTiles(connection, tenant)
            yield LogEvidence(
                tenant,
                self.checkpoints(connection, tenant),
                entries,
                head,
                cosignatures=self.cosignatures(connection, tenant),
                tiles=tiles.shown_tile,
                subtrees=tiles.shown_subtrees,
            )

    def cosignatures(
        self, connection: Connection, tenant: str, size: int | None = None
    ) -> tuple[StoredCosignature, ...]:
        """Return what witnesses signed of a tenant's checkpoints, smallest tree first, not verified.

        Args:
            connection: Through which to read.
            tenant: Whose log.
            size: Tree size of the one checkpoint that is asked about; None is all.
        """
        statement = _READ_COSIGNATURES
        if size is not None:
            statement = statement.where(COSIGNATURE.c.tree_size == size)
        rows = connection.execute(statement, {"tenant": tenant}).all()
        return tuple(
            StoredCosignature(_kept(size, int, -1), _kept(witness, str, ""), _kept(line, str, ""))
            for size, witness, line in rows
        )

    def cosigned(self, connection: Connection, tenant: str, signed: SignedCheckpoint) -> bytes:
        """Return a checkpoint's note with the lines of the witnesses that cosigned it.

        Lines that are not of their form, which somebody else must have put there, are left out.
        """
        note = signed.note
        for one in self.cosignatures(connection, tenant, signed.checkpoint.size):
            line = one.line.removesuffix("\n").encode() + b"\n"
            with suppress(MalformedError):
                parse_note(note + line)
                note += line
        return note

    def tile(self, connection: Connection, tenant: str, level: int, index: int, width: int) -> bytes:
        """Return the first `width` hashes of a tile, joined: full ones as stored, others from rows.

        Raises:
            RangeInvalidError: the tenant's tree has no such tile, or it is not so wide yet.
            LogDamagedError: it is not there whole.
        """
        self._check_tile(connection, tenant, level, index, width)
        hashes = StoredTiles(connection, tenant).tile(level, index, width)
        if len(hashes) != width * HASH_SIZE:
            raise LogDamagedError(
                f"tile {index} of level {level} of log {tenant}",
                expected=f"{width} hashes",
                got=f"{len(hashes)} bytes",
            )
        return hashes

    def entry_bundle(self, connection: Connection, tenant: str, index: int, width: int) -> bytes:
        """Return the first `width` entries of a bundle, as C2SP tlog-tiles frames them: headers alone.

        Raises:
            RangeInvalidError: the tenant's log has no such bundle, or it is not so wide yet.
            LogDamagedError: it is not there whole.
        """
        self._check_tile(connection, tenant, 0, index, width)
        start = index * TILE_WIDTH
        rows = _READ_HEADERS.rows(connection, {"tenant": tenant, "start": start, "stop": start + width})
        if len(rows) != width:
            raise LogDamagedError(
                f"entries of log {tenant} from {start}", expected=str(width), got=str(len(rows))
            )
        return encode_entry_bundle([_kept(header, str, "").encode() for (header,) in rows])

    def _check_tile(self, connection: Connection, tenant: str, level: int, index: int, width: int) -> None:
        if (
            level < 0
            or index < 0
            or not 0 < width <= tile_width(level, index, self.head(connection, tenant).size)
        ):
            raise RangeInvalidError(f"log {tenant}: expected a tile that its tree has")

    def check_head(self, connection: Connection, tenant: str, checkpoint: Checkpoint | None) -> None:
        """Hold a log against its head and a checkpoint, without reading what older tiles stand for.

        The tree's edge before the tile in which the checkpoint ends comes from tiles; from there on every
        leaf hash is read, and tiles, subtrees and head have to be what they give. What stands under older
        tiles is for `audit.verify`: it cannot alter what is signed from here on.

        Raises:
            LogDamagedError: the log is shorter than the checkpoint, or has another root at its size; or its
                head is missing or another, or tiles are.
        """
        head, stored = self.head(connection, tenant), StoredTiles(connection, tenant)
        signed = 0 if checkpoint is None else checkpoint.size
        start = signed // TILE_WIDTH * TILE_WIDTH
        edge = TileTree(stored, start).edge()
        if checkpoint is not None:
            tree = edge.extended(_leaves(stored, start, signed))
            if (tree.size, tree.root()) != (checkpoint.size, checkpoint.root):
                raise LogDamagedError(
                    f"log {tenant} at its last checkpoint",
                    expected=f"size {checkpoint.size}, root {checkpoint.root.hex()}",
                    got=f"size {tree.size}, root {tree.root().hex()}",
                )
        while leaves := _leaves(stored, edge.size, edge.size + _CHECKED_AT_ONCE):
            growth = grow(edge, leaves, stored.hashes)
            stored.check(growth.tiles)
            edge = growth.edge
        if edge != head:
            raise LogDamagedError(
                f"head of log {tenant}",
                expected=f"size {edge.size}",
                got=f"size {head.size}, or another edge",
            )
        stored.check_last(head.size)

    def inclusion_proof(self, connection: Connection, tenant: str, index: int, size: int) -> list[bytes]:
        """Return the proof that entry `index` is in the tenant's tree of `size`.

        Raises:
            RangeInvalidError: not index < size <= the log's size.
            LogDamagedError: tiles, leaf hash and head contradict each other.
        """
        tree, root = self._tree(connection, tenant, size)
        proof = tree.inclusion_proof(index)
        leaf = StoredTiles(connection, tenant).hashes(0, index, index + 1)
        try:
            verify_inclusion(index, size, leaf, proof, root)
        except VerificationError as error:
            raise _damaged(tenant, error) from None
        return proof

    def consistency_proof(self, connection: Connection, tenant: str, first: int, second: int) -> list[bytes]:
        """Return the proof that the tenant's tree of `second` extends that of `first`.

        Raises:
            RangeInvalidError: not 0 < first <= second <= the log's size.
            LogDamagedError: tiles and head contradict each other.
        """
        tree, root = self._tree(connection, tenant, second)
        proof = tree.consistency_proof(first)
        try:
            verify_consistency(first, second, proof, tree.range_hash(0, first), root)
        except VerificationError as error:
            raise _damaged(tenant, error) from None
        return proof

    def _tree(self, connection: Connection, tenant: str, size: int) -> tuple[TileTree, bytes]:
        """Return the tree of `size`, and its root as held against the head's."""
        head = self.head(connection, tenant)
        if not 0 <= size <= head.size:
            raise RangeInvalidError(f"log {tenant}: expected a tree size of at most {head.size}, got {size}")
        tiles = KeptTiles(StoredTiles(connection, tenant), head.size)
        if size in {0, head.size}:
            return TileTree(tiles, size), CompactRange().root() if size == 0 else head.root()
        whole, tree = TileTree(tiles, head.size), TileTree(tiles, size)
        root = tree.root()
        try:
            verify_consistency(size, head.size, whole.consistency_proof(size), root, head.root())
        except VerificationError as error:
            raise _damaged(tenant, error) from None
        return tree, root


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


def _leaves(stored: StoredTiles, start: int, stop: int) -> list[bytes]:
    hashes = stored.hashes(0, start, stop)
    return [hashes[at : at + HASH_SIZE] for at in range(0, len(hashes), HASH_SIZE)]


def _damaged(tenant: str, error: VerificationError) -> LogDamagedError:
    return LogDamagedError(f"tiles of log {tenant}: {error.check}", expected=error.expected, got=error.got)


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
