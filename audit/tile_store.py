"""Tiles of the log's tables: full ones as stored, partial ones from leaves and subtrees.

Owns the SELECTs and INSERTs over `audit_tile` and `audit_subtree`, and reading hashes of leaves. It
leaves when a tile is full to `audit.tiles`, and the tables to `audit.store`.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, func, select

from audit.driver import BatchInsert, DriverStatement
from audit.errors import LogDamagedError
from audit.merkle import HASH_SIZE
from audit.store import LEAF, SUBTREE, TILE
from audit.tiles import TILE_HEIGHT, TILE_WIDTH, FullTile

_ADD_TILES: Final = BatchInsert(TILE)
_ADD_SUBTREES: Final = BatchInsert(SUBTREE)
_READ_TILE: Final = DriverStatement(
    select(TILE.c.hashes).where(
        TILE.c.tenant_id == bindparam("tenant"),
        TILE.c.level == bindparam("level"),
        TILE.c.tile_index == bindparam("index"),
    )
)
_READ_LEAVES: Final = DriverStatement(
    select(LEAF.c.leaf_hash)
    .where(
        LEAF.c.tenant_id == bindparam("tenant"),
        LEAF.c.leaf_index >= bindparam("start"),
        LEAF.c.leaf_index < bindparam("stop"),
    )
    .order_by(LEAF.c.leaf_index)
)
_READ_SUBTREES: Final = DriverStatement(
    select(SUBTREE.c.hash)
    .where(
        SUBTREE.c.tenant_id == bindparam("tenant"),
        SUBTREE.c.level == bindparam("level"),
        SUBTREE.c.position >= bindparam("start"),
        SUBTREE.c.position < bindparam("stop"),
    )
    .order_by(SUBTREE.c.position)
)
_LAST_TILE: Final = DriverStatement(
    select(func.max(TILE.c.tile_index)).where(
        TILE.c.tenant_id == bindparam("tenant"), TILE.c.level == bindparam("level")
    )
)
_LAST_SUBTREE: Final = DriverStatement(
    select(func.max(SUBTREE.c.position)).where(
        SUBTREE.c.tenant_id == bindparam("tenant"), SUBTREE.c.level == bindparam("level")
    )
)
_LAST_LEAF: Final = DriverStatement(
    select(func.max(LEAF.c.leaf_index)).where(LEAF.c.tenant_id == bindparam("tenant"))
)
_LEVELS: Final = range(TILE_HEIGHT)
"""Levels that a tree of at most 2^63 - 1 entries can have."""


class StoredTiles:
    """One log's tiles, through the caller's connection. A `TileSource`."""

    def __init__(self, connection: Connection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    def tile(self, level: int, index: int, width: int) -> bytes:
        """Return the first `width` hashes of a tile; fewer where the tables hold fewer."""
        full = self.full(level, index)
        if full is not None or width == TILE_WIDTH:
            return (full or b"")[: width * HASH_SIZE]
        return self.hashes(level, index * TILE_WIDTH, index * TILE_WIDTH + width)

    def full(self, level: int, index: int) -> bytes | None:
        """Return a full tile as it was stored; None where none was."""
        place = {"tenant": self._tenant, "level": level, "index": index}
        for (hashes,) in _READ_TILE.rows(self._connection, place):
            return _bytes(hashes)
        return None

    def hashes(self, level: int, start: int, stop: int) -> bytes:
        """Return the hashes `[start, stop)` of a level from their rows, joined; fewer where rows are missing."""
        span = {"tenant": self._tenant, "level": level, "start": start, "stop": stop}
        rows = (
            _READ_SUBTREES.rows(self._connection, span)
            if level
            else _READ_LEAVES.rows(self._connection, span)
        )
        return b"".join([_bytes(value) for (value,) in rows])

    def shown_tile(self, level: int, index: int, width: int) -> bytes | None:
        """Return what `tile` does, None where there is nothing: an `audit.evidence.HashReader`."""
        return self.tile(level, index, width) or None

    def shown_subtrees(self, level: int, index: int, width: int) -> bytes | None:
        """Return a tile's hashes from their own rows: an `audit.evidence.HashReader`."""
        start = index * TILE_WIDTH
        return (self.hashes(level, start, start + width) or None) if level else None

    def add(self, tiles: Sequence[FullTile]) -> None:
        """Store tiles that became full, with their roots."""
        rows = [
            {"tenant_id": self._tenant, "level": tile.level, "tile_index": tile.index, "hashes": tile.hashes}
            for tile in tiles
        ]
        subtrees = [
            {"tenant_id": self._tenant, "level": tile.level + 1, "position": tile.index, "hash": tile.root}
            for tile in tiles
        ]
        _ADD_TILES.add(self._connection, rows)
        _ADD_SUBTREES.add(self._connection, subtrees)

    def check(self, tiles: Sequence[FullTile]) -> None:
        """Hold tiles that were computed from leaves against the stored ones.

        Raises:
            LogDamagedError: one is missing or another, or its root is.
        """
        for tile in tiles:
            if self.full(tile.level, tile.index) != tile.hashes:
                raise LogDamagedError(
                    f"tile {tile.index} of level {tile.level} of log {self._tenant}",
                    expected=f"hashes of root {tile.root.hex()}",
                    got="others",
                )
            if self.hashes(tile.level + 1, tile.index, tile.index + 1) != tile.root:
                raise LogDamagedError(
                    f"subtree {tile.index} of level {tile.level + 1} of log {self._tenant}",
                    expected=tile.root.hex(),
                    got="another",
                )

    def check_last(self, size: int) -> None:
        """See that leaves, tiles and subtrees end where those of a log of `size` do.

        Raises:
            LogDamagedError: there are fewer or more.
        """
        leaves = self._last(_LAST_LEAF, 0)
        if leaves != size - 1:
            raise LogDamagedError(
                f"entries of log {self._tenant}", expected=f"size {size}", got=f"size {leaves + 1}"
            )
        for level in _LEVELS:
            expected = (size >> TILE_HEIGHT * (level + 1)) - 1
            tiles = self._last(_LAST_TILE, level)
            subtrees = self._last(_LAST_SUBTREE, level + 1)
            if tiles != expected or subtrees != expected:
                raise LogDamagedError(
                    f"tiles of level {level} of log {self._tenant}",
                    expected=str(expected + 1),
                    got=f"{tiles + 1}, and {subtrees + 1} roots",
                )

    def _last(self, statement: DriverStatement, level: int) -> int:
        ((last,),) = statement.rows(self._connection, {"tenant": self._tenant, "level": level})
        return last if isinstance(last, int) else -1


def _bytes(value: object) -> bytes:
    """Return a column's bytes, or, where somebody put another type there, none: no check passes them."""
    return value if isinstance(value, bytes) else b""
