"""Tiles: growing, and roots and proofs from them, against two other implementations."""

import random
import warnings
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from audit.checkpoint import verify_checkpoint
from audit.errors import LogDamagedError, RangeInvalidError, VerificationError
from audit.merkle import (
    CompactRange,
    leaf_hash,
    root_hash,
    verify_consistency,
    verify_inclusion,
)
from audit.signing import VerifierKey
from audit.tiles import (
    TILE_WIDTH,
    FullTile,
    KeptTiles,
    TileTree,
    bundles_of,
    encode_entry_bundle,
    entries_path,
    grow,
    parse_entry_bundle,
    parse_tile_path,
    perfect_root,
    tile_width,
    tiles_of,
)
from tests.simulators.reference_tree import Tree

LEAVES = [leaf_hash(index.to_bytes(8)) for index in range(70_000)]
REFERENCE = Tree(LEAVES)


class GrownTiles:
    """A source that keeps what `grow` says, as tables do."""

    def __init__(self) -> None:
        self.edge = CompactRange()
        self.leaves: list[bytes] = []
        self.full: dict[tuple[int, int], bytes] = {}
        self.roots: dict[int, list[bytes]] = {}
        self.asked = 0

    def add(self, leaves: list[bytes]) -> tuple[FullTile, ...]:
        growth = grow(self.edge, leaves, self.before)
        self.edge = growth.edge
        self.leaves += leaves
        for tile in growth.tiles:
            self.full[tile.level, tile.index] = tile.hashes
            self.roots.setdefault(tile.level + 1, []).append(tile.root)
        return growth.tiles

    def before(self, level: int, start: int, stop: int) -> bytes:
        return b"".join((self.roots.get(level, []) if level else self.leaves)[start:stop])

    def tile(self, level: int, index: int, width: int) -> bytes:
        self.asked += 1
        if (level, index) in self.full:
            return self.full[level, index][: width * 32]
        return self.before(level, index * TILE_WIDTH, index * TILE_WIDTH + width)


@pytest.fixture(scope="module")
def grown() -> GrownTiles:
    """The tiles of 70,000 leaves, added in pieces of many sizes."""
    source, pieces = GrownTiles(), random.Random(3)  # noqa: S311 - sizes of pieces
    while (at := len(source.leaves)) < len(LEAVES):
        source.add(LEAVES[at : at + pieces.choice([1, 2, 127, 128, 255, 256, 257, 700, 5000])])
    return source


# --- growing


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 2, 100, 255, 256, 257, 511, 513, 1000]), min_size=1, max_size=8))
def test_however_a_tree_grows_its_tiles_are_the_same(pieces: list[int]) -> None:
    source = GrownTiles()
    for piece in pieces:
        source.add(LEAVES[len(source.leaves) : len(source.leaves) + piece])
    size = len(source.leaves)
    assert source.edge == CompactRange().extended(LEAVES[:size])
    for (level, index), hashes in source.full.items():
        width = 256**level
        start = index * 256 * width
        assert hashes == b"".join(
            root_hash(LEAVES[start + nth * width : start + (nth + 1) * width]) for nth in range(256)
        )
    assert {place for place, _ in source.full.items()} == {
        (tile.level, tile.index) for tile in tiles_of(size) if tile.width == TILE_WIDTH
    }


@pytest.mark.parametrize("size", [255, 256, 511, 512, 65_535, 65_536, 65_792])
def test_what_became_full_at_each_edge(size: int) -> None:
    source = GrownTiles()
    source.add(LEAVES[: size - 1])
    before = set(source.full)
    added = source.add(LEAVES[size - 1 : size])
    now = {(tile.level, tile.index) for tile in tiles_of(size) if tile.width == TILE_WIDTH}
    assert {(tile.level, tile.index) for tile in added} == now - before
    assert set(source.full) == now


def test_a_hash_that_was_changed_since_is_found_when_its_tile_becomes_full() -> None:
    source = GrownTiles()
    source.add(LEAVES[:200])
    for damage in ((10, bytes(32)), (10, b"short"), (199, LEAVES[198])):
        damaged = GrownTiles()
        damaged.add(LEAVES[:200])
        damaged.leaves[damage[0]] = damage[1]
        with pytest.raises(LogDamagedError, match="tile 0 of level 0"):
            damaged.add(LEAVES[200:300])
        assert (damaged.edge, damaged.full) == (source.edge, {})
    missing = GrownTiles()
    missing.add(LEAVES[:200])
    del missing.leaves[5]
    with pytest.raises(LogDamagedError):
        missing.add(LEAVES[200:300])


def test_a_root_that_was_changed_since_is_found_when_the_tile_above_becomes_full() -> None:
    source = GrownTiles()
    source.add(LEAVES[:65_535])
    source.roots[1][7] = bytes(32)
    with pytest.raises(LogDamagedError, match="tile 0 of level 1"):
        source.add(LEAVES[65_535:65_536])


def test_what_is_new_since_a_size_is_what_was_not_full_then() -> None:
    for size, since in ((70_000, 0), (70_000, 65_536), (70_000, 69_999), (600, 512), (600, 600), (0, 0)):
        old = {tile.path for tile in tiles_of(since) if tile.width == TILE_WIDTH}
        assert {tile.path for tile in tiles_of(size, since)} == {tile.path for tile in tiles_of(size)} - old
        shown = {tile.path for tile in bundles_of(since) if tile.width == TILE_WIDTH}
        assert {tile.path for tile in bundles_of(size, since)} == {t.path for t in bundles_of(size)} - shown


@given(st.integers(0, 7), st.integers(0, 300), st.integers(0, 10**7))
def test_widths_follow_the_specification(level: int, index: int, size: int) -> None:
    whole = size // 256**level
    expected = 256 if index < whole // 256 else whole % 256 if index == whole // 256 else 0
    assert tile_width(level, index, size) == expected


# --- proofs


@pytest.mark.parametrize("top", [270, 300])
def test_every_proof_of_every_size_to_a_few_hundred(grown: GrownTiles, top: int) -> None:
    kept = KeptTiles(grown, top)
    step = 1 if top == 270 else 7
    for size in range(1, top + 1, step):
        tree, root = TileTree(kept, size), REFERENCE.root(size)
        assert tree.root() == root
        assert tree.edge() == CompactRange().extended(LEAVES[:size])
        for index in range(0, size, step):
            assert tree.inclusion_proof(index) == REFERENCE.inclusion_proof(index, size)
        for first in range(1, size + 1, step):
            assert tree.consistency_proof(first) == REFERENCE.consistency_proof(first, size)


def test_every_index_and_size_verifies_for_a_hundred(grown: GrownTiles) -> None:
    for size in range(1, 101):
        tree = TileTree(grown, size)
        for index in range(size):
            verify_inclusion(index, size, LEAVES[index], tree.inclusion_proof(index), REFERENCE.root(size))
        for first in range(1, size + 1):
            proof = tree.consistency_proof(first)
            verify_consistency(first, size, proof, REFERENCE.root(first), REFERENCE.root(size))


EDGES = sorted({n + d for n in (256, 512, 65_536, 65_792, 69_632) for d in (-1, 0, 1)} | {1, 2, 70_000})


@pytest.mark.parametrize("size", EDGES)
def test_proofs_at_the_edges_of_tiles(grown: GrownTiles, size: int) -> None:
    places = sorted({place for place in (*EDGES, 0, size // 2, size - 1) if place < size})
    tree = TileTree(grown, size, REFERENCE.root(size))
    for index in places:
        assert tree.inclusion_proof(index) == REFERENCE.inclusion_proof(index, size)
    for first in (*[place for place in places if place], size):
        assert tree.consistency_proof(first) == REFERENCE.consistency_proof(first, size)


def test_an_answer_takes_few_tiles(grown: GrownTiles) -> None:
    grown.asked = 0
    tree = TileTree(grown, 70_000, REFERENCE.root(70_000))
    tree.inclusion_proof(40_000)
    assert grown.asked <= 5


@pytest.mark.parametrize("size", [1, 5, 256, 300])
def test_sizes_and_indexes_that_a_tree_has_not(grown: GrownTiles, size: int) -> None:
    tree = TileTree(grown, size)
    for index in (-1, size, 1 << 62):
        with pytest.raises(RangeInvalidError):
            tree.inclusion_proof(index)
    for first in (-1, 0, size + 1):
        with pytest.raises(RangeInvalidError):
            tree.consistency_proof(first)


def test_the_empty_tree_has_the_empty_root_and_no_proofs(grown: GrownTiles) -> None:
    tree = TileTree(grown, 0)
    assert tree.root() == sha256(b"").digest()
    assert tree.edge() == CompactRange()
    with pytest.raises(RangeInvalidError):
        tree.inclusion_proof(0)


class Lying:
    """A source that alters one hash."""

    def __init__(self, source: GrownTiles, level: int, index: int, place: int) -> None:
        self._source, self._at, self._place = source, (level, index), place

    def tile(self, level: int, index: int, width: int) -> bytes:
        hashes = bytearray(self._source.tile(level, index, width))
        if (level, index) == self._at:
            hashes[self._place * 32] ^= 1
        return bytes(hashes)


@pytest.mark.parametrize(
    ("level", "index", "place"), [(0, 3, 9), (0, 273, 5), (1, 0, 200), (1, 1, 3), (2, 0, 0)]
)
def test_a_source_that_lies_can_refuse_answers_and_make_up_none(
    grown: GrownTiles, level: int, index: int, place: int
) -> None:
    root, truth = REFERENCE.root(70_000), TileTree(grown, 70_000)
    refused = 0
    for leaf in (777, 3 * 256 + 9, 273 * 256 + 5, 200 * 256, 259 * 256, 69_999):
        tree = TileTree(Lying(grown, level, index, place), 70_000, root)
        try:
            assert tree.inclusion_proof(leaf) == truth.inclusion_proof(leaf)
        except VerificationError:
            refused += 1
    assert refused
    first = (index * 256 + place + 1) * 256**level
    with pytest.raises(VerificationError):
        TileTree(Lying(grown, level, index, place), 70_000, root).consistency_proof(first)


@pytest.mark.parametrize("cut", [1, 32])
def test_a_tile_that_is_cut_gives_no_answer(grown: GrownTiles, cut: int) -> None:
    class Cut:
        def tile(self, level: int, index: int, width: int) -> bytes:
            return grown.tile(level, index, width)[:-cut]

    with pytest.raises(LogDamagedError, match=r"tile \d+ of level \d: expected \d+ hashes"):
        TileTree(Cut(), 700).root()


@given(st.integers(0, 8))
def test_the_root_of_a_full_row(height: int) -> None:
    assert perfect_root(LEAVES[: 1 << height]) == root_hash(LEAVES[: 1 << height])


# --- other implementations


def test_roots_and_proofs_are_those_of_pymerkle(grown: GrownTiles) -> None:
    other = InmemoryTree(algorithm="sha256")
    for index in range(300):
        other.append_entry(index.to_bytes(8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for size in [*range(1, 40), 255, 256, 257, 300]:
            tree = TileTree(grown, size)
            assert tree.root() == other.get_root(size)
            for index in {0, size // 3, size - 1}:
                theirs = {
                    bytes.fromhex(node) for node in other.prove_inclusion(index + 1, size).serialize()["path"]
                }
                assert {*tree.inclusion_proof(index), LEAVES[index]} == theirs
            for first in {1, size // 2 or 1, size}:
                roots = other.get_root(first), other.get_root(size)
                verify_consistency(first, size, tree.consistency_proof(first), *roots)


def test_the_public_test_log_is_reproduced_tile_by_tile(shared: Path) -> None:
    folder = shared / "vectors" / "tlog"
    key = VerifierKey.parse("example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx")
    last = verify_checkpoint((folder / "log" / "checkpoint").read_bytes(), key)
    bundle = (folder / "log" / entries_path(0, last.size)).read_bytes()
    entries = parse_entry_bundle(bundle, last.size)
    source = GrownTiles()
    for size in range(16):
        checkpoint = verify_checkpoint((folder / "log" / f"checkpoint.{size}").read_bytes(), key)
        assert checkpoint.size == size
        assert TileTree(source, size).root() == checkpoint.root
        if size:
            for tile in tiles_of(size):
                assert (
                    source.tile(tile.level or 0, tile.index, tile.width)
                    == (folder / "log" / tile.path).read_bytes()
                )
            [shown] = bundles_of(size)
            assert encode_entry_bundle(entries[:size]) == (folder / "log" / shown.path).read_bytes()
        if size < len(entries):
            source.add([leaf_hash(entries[size])])
    files = [file for file in (folder / "log" / "tile").rglob("*") if file.is_file()]
    assert {parse_tile_path(str(file.relative_to(folder / "log"))).width for file in files} == set(
        range(1, 16)
    )


def test_our_own_example_of_a_tile_and_a_bundle() -> None:
    # The self-made case beside the public one.
    entries = [b"a", b"bc"]
    assert encode_entry_bundle(entries) == b"\x00\x01a\x00\x02bc"
    source = GrownTiles()
    source.add([leaf_hash(entry) for entry in entries])
    assert source.tile(0, 0, 2) == sha256(b"\x00a").digest() + sha256(b"\x00bc").digest()
    root = sha256(b"\x01" + source.tile(0, 0, 2)).digest()
    assert TileTree(source, 2).root() == root
