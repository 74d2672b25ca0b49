"""A tree that grows by leaves and tells each tile when it is full, keeping no more than its edge.

Owns the step from leaf hashes to tiles (C2SP tlog-tiles: 256 hashes, each hash of a level being the
root of a full tile of the level below) and to the root. It leaves tiles' names to `audit.tiles`.
"""

from collections.abc import Callable, Iterator

from audit.merkle import CompactRange
from audit.tiles import TILE_WIDTH, perfect_root

TileSink = Callable[[int, int, bytes], None]
"""Takes level, index and the joined hashes of a tile that is full."""


class GrowingTree:
    """The right edge of a tree, tile by tile.

    Args:
        on_tile: Is told each tile at the moment when it is full, lower levels first.
    """

    def __init__(self, on_tile: TileSink | None = None) -> None:
        self._on_tile = on_tile
        self._levels: list[list[bytes]] = [[]]
        self._full: list[int] = [0]
        """Number of full tiles at each level."""
        self._tiles = CompactRange()
        """Over the roots of the full tiles of level 0."""
        self._below = CompactRange()
        """Over the leaves behind them, as far as the edge was asked for."""

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self._full[0] * TILE_WIDTH + len(self._levels[0])

    def add(self, leaf: bytes) -> None:
        """Append a leaf by its hash."""
        self._levels[0].append(leaf)
        level = 0
        while len(self._levels[level]) == TILE_WIDTH:
            hashes, self._levels[level] = self._levels[level], []
            if self._on_tile is not None:
                self._on_tile(level, self._full[level], b"".join(hashes))
            self._full[level] += 1
            root = perfect_root(hashes)
            if level == 0:
                self._tiles, self._below = self._tiles.extended([root]), CompactRange()
            level += 1
            if level == len(self._levels):
                self._levels.append([])
                self._full.append(0)
            self._levels[level].append(root)

    def edge(self) -> CompactRange:
        """Return the right edge as the log's head holds it."""
        # From where it was asked last: a root after each entry costs what a root after each tile does.
        self._below = self._below.extended(self._levels[0][self._below.size :])
        return CompactRange(self.size, self._tiles.nodes + self._below.nodes)

    def root(self) -> bytes:
        """Return the root over all leaves."""
        return self.edge().root()

    def partial_tiles(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield level, index and hashes of the tiles that are not full, lowest level first."""
        for level, hashes in enumerate(self._levels):
            if hashes:
                yield level, self._full[level], b"".join(hashes)
