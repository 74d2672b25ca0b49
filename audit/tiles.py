"""Tiles as in C2SP tlog-tiles: where the hashes of a tree lie, how they are addressed, proofs from them.

Owns the division of a tree into tiles of 256 hashes, their paths, entry bundles, growing, and computing
roots and proofs from a source of tiles. It leaves the arithmetic of trees to `audit.merkle`, and where
tiles come from to the source: a table, a folder, a server.

The tile `index` of `level` holds the roots of the subtrees `[(index * 256 + i) * 256**level, …)` of
256**level entries each; level 0 holds leaf hashes. The rightmost tile of a level may be partial.

    tile/0/x001/x234/067          tile 1234067 of level 0, full
    tile/1/000.p/17               the first 17 hashes of tile 0 of level 1
    tile/entries/273.p/112        the first 112 entries of bundle 273
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

from audit.errors import LogDamagedError, RangeInvalidError, TileMalformedError
from audit.merkle import (
    EMPTY_ROOT,
    HASH_SIZE,
    MAX_TREE_SIZE,
    NODE_PREFIX,
    CompactRange,
    consistency_ranges,
    inclusion_ranges,
    node_hash,
    split_point,
    verify_consistency,
    verify_inclusion,
)

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
TILE_SIZE: Final = TILE_WIDTH * HASH_SIZE
MAX_LEVEL: Final = 63
"""Of a path; a tree of at most 2^63 - 1 entries has no hash above level 7."""
MAX_ENTRY_SIZE: Final = 0xFFFF
MAX_PATH_LENGTH: Final = 64

_LENGTH_SIZE: Final = 2
_MAX_INDEX: Final = MAX_TREE_SIZE >> TILE_HEIGHT
_PATH: Final = re.compile(
    r"tile/(?:(entries)|(0|[1-9][0-9]?))/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class TileAddress:
    """A tile of hashes, or a bundle of entries, and how much of it."""

    level: int | None
    """None of an entry bundle."""
    index: int
    width: int
    """Hashes or entries, 1 to 256."""

    @property
    def path(self) -> str:
        """The address as it stands in a URL or a folder."""
        place = "entries" if self.level is None else str(self.level)
        full = self.width == TILE_WIDTH
        return f"tile/{place}/{_index_path(self.index)}" + ("" if full else f".p/{self.width}")


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a tile.

    Raises:
        RangeInvalidError: no tile is there.
    """
    _check_place(level, index, width)
    return TileAddress(level, index, width).path


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of an entry bundle.

    Raises:
        RangeInvalidError: no bundle is there.
    """
    _check_place(0, index, width)
    return TileAddress(None, index, width).path


def parse_tile_path(path: str) -> TileAddress:
    """Return the address whose one path is `path`.

    Raises:
        TileMalformedError: it is spelt in any other way, or nothing can lie there.
    """
    match = _PATH.fullmatch(path) if len(path) <= MAX_PATH_LENGTH else None
    if match is None:
        raise TileMalformedError("expected a path of level, index in groups of three digits, and width")
    entries, level, index, width = match.groups()
    address = TileAddress(
        None if entries else int(level),
        int(index.replace("x", "").replace("/", "")),
        TILE_WIDTH if width is None else int(width),
    )
    bounded = (
        (address.level or 0) <= MAX_LEVEL and address.index <= _MAX_INDEX and address.width <= TILE_WIDTH
    )
    if not bounded or address.path != path:
        raise TileMalformedError("expected a path of level to 63, shortest index, and width to 255")
    return address


def _index_path(index: int) -> str:
    groups = f"{index % 1000:03d}"
    while index := index // 1000:
        groups = f"x{index % 1000:03d}/{groups}"
    return groups


def _check_place(level: int, index: int, width: int) -> None:
    if not (0 <= level <= MAX_LEVEL and 0 <= index <= _MAX_INDEX and 1 <= width <= TILE_WIDTH):
        raise RangeInvalidError(f"expected a tile, got level {level}, index {index}, width {width}")


def tile_width(level: int, index: int, size: int) -> int:
    """Return how many hashes a tile has in a tree of `size`, 0 to 256; 0 where there is no such tile."""
    return max(0, min(TILE_WIDTH, (size >> TILE_HEIGHT * level) - index * TILE_WIDTH))


def tiles_of(size: int, since: int = 0) -> Iterator[TileAddress]:
    """Yield the tiles of hashes of a tree of `size`, without those that were full at size `since`."""
    level = 0
    while size >> TILE_HEIGHT * level:
        first = since >> TILE_HEIGHT * (level + 1)
        for index in range(first, -(-(size >> TILE_HEIGHT * level) // TILE_WIDTH)):
            yield TileAddress(level, index, tile_width(level, index, size))
        level += 1


def bundles_of(size: int, since: int = 0) -> Iterator[TileAddress]:
    """Yield the entry bundles of a tree of `size`, without those that were full at size `since`."""
    for index in range(since >> TILE_HEIGHT, -(-size // TILE_WIDTH)):
        yield TileAddress(None, index, tile_width(0, index, size))


def encode_entry_bundle(entries: Sequence[bytes]) -> bytes:
    """Return leaf bytes joined, each after its length as a big-endian uint16.

    Raises:
        RangeInvalidError: not 1 to 256 entries, or one of more than 65,535 bytes.
    """
    if not 1 <= len(entries) <= TILE_WIDTH or any(len(entry) > MAX_ENTRY_SIZE for entry in entries):
        raise RangeInvalidError(f"expected 1 to {TILE_WIDTH} entries of at most {MAX_ENTRY_SIZE} bytes")
    return b"".join(len(entry).to_bytes(_LENGTH_SIZE) + entry for entry in entries)


def parse_entry_bundle(bundle: bytes, width: int) -> list[bytes]:
    """Return the leaf bytes of a bundle of exactly `width` entries.

    Raises:
        TileMalformedError: it ends within an entry, or holds fewer or more.
    """
    entries: list[bytes] = []
    at = 0
    while at < len(bundle) and len(entries) < width:
        start = at + _LENGTH_SIZE
        at = start + int.from_bytes(bundle[at:start])
        entries.append(bundle[start:at])
    if len(entries) != width or at != len(bundle):
        raise TileMalformedError(f"expected a bundle of {width} whole entries and no more")
    return entries


class TileSource(Protocol):
    """Where tiles lie. What it gives is not trusted."""

    def tile(self, level: int, index: int, width: int) -> bytes:
        """Return the first `width` hashes of a tile, 32 bytes each."""


class KeptTiles:
    """A source that asks another for each tile once; short-lived, for one tree or two of one log.

    Args:
        source: Whom it asks.
        size: Size of the largest tree that is asked about: a tile is fetched as wide as it is there.
    """

    def __init__(self, source: TileSource, size: int) -> None:
        self._source = source
        self._size = size
        self._kept: dict[tuple[int, int], bytes] = {}
        self._roots: dict[tuple[int, int], bytes] = {}

    def perfect(self, start: int, height: int) -> bytes:
        """Return MTH of the 2**height leaves from `start` on, a multiple of that."""
        root = self._roots.get((start, height))
        if root is None:
            level, inner = divmod(height, TILE_HEIGHT)
            index, at = divmod(start >> TILE_HEIGHT * level, TILE_WIDTH)
            stop = at + (1 << inner)
            hashes = self.tile(level, index, stop)
            row = [hashes[n * HASH_SIZE : (n + 1) * HASH_SIZE] for n in range(at, stop)]
            root = self._roots[start, height] = perfect_root(row)
        return root

    def tile(self, level: int, index: int, width: int) -> bytes:
        """Return the first `width` hashes of a tile.

        Raises:
            LogDamagedError: the source has fewer.
        """
        kept = self._kept.get((level, index))
        if kept is None:
            whole = tile_width(level, index, self._size)
            kept = self._kept[level, index] = self._source.tile(level, index, whole)
            if len(kept) != whole * HASH_SIZE:
                raise LogDamagedError(
                    f"tile {index} of level {level}", expected=f"{whole} hashes", got=f"{len(kept)} bytes"
                )
        return kept[: width * HASH_SIZE]


class TileTree:
    """A tree of one size whose hashes come from tiles: O(log n) tiles for each answer.

    Args:
        source: Gives tiles; each is asked for once.
        size: Number of leaves.
        root: The root that the tree must have. With it, every answer is checked against it, so that a
            source that is not trusted can refuse answers but not make up any.
    """

    def __init__(self, source: TileSource, size: int, root: bytes | None = None) -> None:
        self._tiles = source if isinstance(source, KeptTiles) else KeptTiles(source, size)
        self._size = size
        self._root = root

    def root(self) -> bytes:
        """Return the root, computed from the tiles of the right edge."""
        return self.range_hash(0, self._size) if self._size else EMPTY_ROOT

    def edge(self) -> CompactRange:
        """Return the right edge."""
        nodes, start = [], 0
        for height in reversed(range(self._size.bit_length())):
            if self._size >> height & 1:
                nodes.append(self.range_hash(start, start + (1 << height)))
                start += 1 << height
        return CompactRange(self._size, tuple(nodes))

    def leaf(self, index: int) -> bytes:
        """Return a leaf's hash."""
        return self.range_hash(index, index + 1)

    def inclusion_proof(self, index: int) -> list[bytes]:
        """Return the proof that leaf `index` is in the tree.

        Raises:
            RangeInvalidError: not index < size.
            VerificationError: the tiles do not give the root that the tree must have.
        """
        if not 0 <= index < self._size:
            raise RangeInvalidError(f"expected a leaf index below {self._size}, got {index}")
        proof = [self.range_hash(start, end) for start, end in inclusion_ranges(index, self._size)]
        if self._root is not None:
            verify_inclusion(index, self._size, self.leaf(index), proof, self._root)
        return proof

    def consistency_proof(self, first: int) -> list[bytes]:
        """Return the proof that the tree extends the tree of `first`.

        Raises:
            RangeInvalidError: not 0 < first <= size.
            VerificationError: the tiles do not give the root that the tree must have.
        """
        if not 0 < first <= self._size:
            raise RangeInvalidError(f"expected a first size of 1 to {self._size}, got {first}")
        proof = [self.range_hash(start, end) for start, end in consistency_ranges(first, self._size)]
        if self._root is not None:
            first_root = self._root if first == self._size else self.range_hash(0, first)
            verify_consistency(first, self._size, proof, first_root, self._root)
        return proof

    def range_hash(self, start: int, end: int) -> bytes:
        """Return MTH of the leaves `[start, end)`, which are a subtree of the tree."""
        width = end - start
        if width & (width - 1) == 0:
            return self._tiles.perfect(start, width.bit_length() - 1)
        middle = start + split_point(width)
        return node_hash(self.range_hash(start, middle), self.range_hash(middle, end))


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over as many hashes as a power of two, at least one."""
    row = list(hashes)
    while len(row) > 1:
        # As `node_hash`, written out: a call for each node is half of the time.
        row = [
            sha256(NODE_PREFIX + left + right).digest()
            for left, right in zip(row[::2], row[1::2], strict=True)
        ]
    return row[0]


@dataclass(frozen=True, slots=True)
class FullTile:
    """A tile that became full, and the root over it."""

    level: int
    index: int
    hashes: bytes
    root: bytes
    """The hash `index` of level `level + 1`."""


@dataclass(frozen=True, slots=True)
class Growth:
    """What appending did to a tree."""

    edge: CompactRange
    tiles: tuple[FullTile, ...]
    """In the order in which they became full."""


HashesBefore = Callable[[int, int, int], bytes]
"""`(level, start, stop)` to the joined hashes of that level from before, never more than 255."""


def grow(edge: CompactRange, leaves: Sequence[bytes], before: HashesBefore) -> Growth:
    """Append leaf hashes to a tree and return its new edge with the tiles that became full.

    A tile is held against the edge, which had its root in it all along: a hash that was changed in the
    table since it was appended is found when its tile becomes full, and never becomes part of one.

    Raises:
        LogDamagedError: the hashes from before are not those that the tree was made of.
    """
    tiles: list[FullTile] = []
    fresh: dict[int, list[bytes]] = {}
    at = 0
    while edge.size + len(leaves) - at >= (end := (edge.size // TILE_WIDTH + 1) * TILE_WIDTH):
        last = at + end - edge.size - 1
        almost = edge.extended(leaves[at:last])
        fresh[0] = list(leaves[at : last + 1])
        tiles += _closed(almost, leaves[last], fresh, before)
        edge = almost.extended(leaves[last : last + 1])
        at = last + 1
    return Growth(edge.extended(leaves[at:]), tuple(tiles))


def _closed(
    almost: CompactRange, last: bytes, fresh: dict[int, list[bytes]], before: HashesBefore
) -> Iterator[FullTile]:
    """Yield the tiles, lowest first, that `last` fills in a tree that lacks nothing else to fill one."""
    nodes, node, count = list(almost.nodes), last, almost.size + 1
    level = 0
    while count % TILE_WIDTH == 0:
        for _ in range(TILE_HEIGHT):
            node = node_hash(nodes.pop(), node)
        own, index = fresh.pop(level), count // TILE_WIDTH - 1
        start = index * TILE_WIDTH
        stop = start + TILE_WIDTH - len(own)
        hashes = (before(level, start, stop) if start < stop else b"") + b"".join(own)
        if len(hashes) != TILE_SIZE or _tile_root(hashes) != node:
            raise LogDamagedError(
                f"tile {index} of level {level}", expected=f"hashes of root {node.hex()}", got="others"
            )
        yield FullTile(level, index, hashes, node)
        level, count = level + 1, index + 1
        fresh.setdefault(level, []).append(node)


def _tile_root(hashes: bytes) -> bytes:
    return perfect_root([hashes[at : at + HASH_SIZE] for at in range(0, TILE_SIZE, HASH_SIZE)])
