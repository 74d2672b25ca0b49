"""A tree of which tiles are held and not all entries: what a range of a log is checked against.

Owns computing roots from tiles that nobody trusts, and holding each full tile against the hash of it in
the tile above. It leaves naming tiles to `audit.tiles` and growing whole trees to `audit.growing_tree`.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from audit.evidence import HashReader
from audit.merkle import HASH_SIZE, CompactRange, root_hash
from audit.tiles import TILE_HEIGHT, TILE_WIDTH

_KEPT_TILES: Final = 64


class RangeTree:
    """Roots of a tree of `size` entries, from its tiles.

    Args:
        size: Entries in the tree.
        read: Returns tiles as the evidence holds them.
    """

    def __init__(self, size: int, read: HashReader) -> None:
        self._size = size
        self._read = read
        self._tile = lru_cache(_KEPT_TILES)(self._load)

    def tile(self, level: int, index: int) -> tuple[bytes, ...] | None:
        """Return a tile's hashes, as wide as the tree makes it; None where it is not held whole."""
        return self._tile(level, index)

    def root(self, size: int) -> bytes | None:
        """Return the root that the tree had at `size`; None where a tile for it is not held."""
        nodes: list[bytes] = []
        start = 0
        for height in reversed(range(size.bit_length())):
            if size >> height & 1:
                node = self._node(height, start >> height)
                if node is None:
                    return None
                nodes.append(node)
                start += 1 << height
        return CompactRange(size, tuple(nodes)).root()

    def upper_faults(self) -> Iterator[tuple[int, int]]:
        """Yield level and index of tiles above level 0 that are missing or not what the one above says."""
        level = 1
        while hashes := self._size >> (TILE_HEIGHT * level):
            for index in range(-(-hashes // TILE_WIDTH)):
                if not self.fits(level, index):
                    yield level, index
            level += 1

    def fits(self, level: int, index: int) -> bool:
        """Tell whether a tile is held, and is, if full, what the tile above says."""
        hashes = self.tile(level, index)
        if hashes is None:
            return False
        return len(hashes) < TILE_WIDTH or self._node(TILE_HEIGHT * (level + 1), index) == root_hash(hashes)

    def _node(self, height: int, position: int) -> bytes | None:
        """Return the root of the subtree `[position << height, (position + 1) << height)`."""
        level, inner = divmod(height, TILE_HEIGHT)
        first = position << inner
        hashes = self.tile(level, first // TILE_WIDTH)
        at = first % TILE_WIDTH
        return None if hashes is None else root_hash(hashes[at : at + (1 << inner)])

    def _load(self, level: int, index: int) -> tuple[bytes, ...] | None:
        width = min(TILE_WIDTH, (self._size >> (TILE_HEIGHT * level)) - index * TILE_WIDTH)
        content = self._read(level, index, width)
        if content is None or len(content) != width * HASH_SIZE:
            return None
        return tuple(content[at : at + HASH_SIZE] for at in range(0, len(content), HASH_SIZE))
