"""Trees grown leaf by leaf, and trees of which only tiles are held, against the plain arithmetic."""

import io
from hashlib import sha256

import pytest

from audit.bundle import BundleTerms, write_bundle
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.evidence import LogEvidence
from audit.growing_tree import GrowingTree
from audit.merkle import CompactRange, leaf_hash, root_hash
from audit.range_tree import RangeTree
from audit.report import Check
from audit.trust import Trust
from audit.verify_bundle import verify_bundle
from tests.audit.measure_verify import made_entries
from tests.simulators.small_deployment import LOG_KEY

SIZE = 66_000
LEAVES = [sha256(nth.to_bytes(4)).digest() for nth in range(SIZE)]
Tiles = dict[tuple[int, int], bytes]


@pytest.fixture(scope="module")
def tiles() -> Tiles:
    held: Tiles = {}
    tree = GrowingTree(lambda level, nth, hashes: held.update({(level, nth): hashes}))
    for leaf in LEAVES:
        tree.add(leaf)
    held |= {(level, nth): hashes for level, nth, hashes in tree.partial_tiles()}
    assert tree.edge() == CompactRange().extended(LEAVES)
    return held


def test_it_tells_every_tile_once(tiles: Tiles) -> None:
    expected = {(0, nth) for nth in range(258)} | {(1, 0), (1, 1), (2, 0)}
    assert tiles.keys() == expected
    assert [len(tiles[at]) // 32 for at in ((0, 257), (1, 0), (1, 1), (2, 0))] == [208, 256, 1, 1]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 512, 513, 1000])
def test_a_tree_has_the_root_of_its_leaves_at_every_size(size: int) -> None:
    tree = GrowingTree()
    for leaf in LEAVES[:size]:
        tree.add(leaf)
    assert (tree.size, tree.root()) == (size, root_hash(LEAVES[:size]))


def range_tree(tiles: Tiles, size: int = SIZE) -> RangeTree:
    def read(level: int, index: int, width: int) -> bytes | None:
        held = tiles.get((level, index))
        return None if held is None else held[: width * 32]

    return RangeTree(size, read)


@pytest.mark.parametrize("size", [0, 1, 256, 300, 65_535, 65_536, 65_537, SIZE])
def test_roots_come_from_tiles_alone(size: int, tiles: Tiles) -> None:
    assert range_tree(tiles).root(size) == root_hash(LEAVES[:size])


def test_where_a_tile_is_missing_there_is_no_root_and_the_tile_is_named(tiles: Tiles) -> None:
    without = {at: hashes for at, hashes in tiles.items() if at not in {(0, 257), (1, 0), (0, 7)}}
    tree = range_tree(without)
    assert tree.root(SIZE) is None
    assert tree.root(65_536) == root_hash(LEAVES[:65_536])
    assert list(tree.upper_faults()) == [(1, 0)]
    assert not tree.fits(0, 7)
    assert not tree.fits(0, 8), "what the tile above says of it is missing"


def test_a_tile_that_is_not_what_the_one_above_says_is_named(tiles: Tiles) -> None:
    changed = {**tiles, (1, 0): bytes(32) + tiles[1, 0][32:]}
    tree = range_tree(changed)
    assert list(tree.upper_faults()) == [(1, 0)]
    assert not tree.fits(0, 0)
    assert tree.fits(0, 1)


def bundle_of(shown: int, size: int) -> bytes:
    """Return a bundle of the first entries of a log of made-up ones."""
    entries = list(made_entries(size))
    held: Tiles = {}
    tree = GrowingTree(lambda level, nth, hashes: held.update({(level, nth): hashes}))
    for entry in entries:
        tree.add(leaf_hash(entry.header.encode()))
    held |= {(level, nth): hashes for level, nth, hashes in tree.partial_tiles()}
    origin = f"{LOG_KEY.name}/clinic-a"
    note = sign_checkpoint(Checkpoint(origin, size, tree.root()), [LOG_KEY.for_log("clinic-a")]).note
    edge = tree.edge()
    log = LogEvidence(
        "clinic-a",
        (note,),
        entries[:shown],
        (edge.size, edge.encode()),
        tiles=lambda level, nth, width: held[level, nth][: width * 32],
        size=size,
    )
    file = io.BytesIO()
    write_bundle(file, [LOG_KEY.verifier], [log], BundleTerms(complete=False))
    return file.getvalue()


def test_a_range_that_fills_tiles_of_two_levels_verifies() -> None:
    report = verify_bundle(io.BytesIO(bundle_of(65_536, 65_800)), Trust((LOG_KEY.verifier,))).report
    report.require()
    assert (report.logs[0].stop, report.logs[0].signed_size) == (65_536, 65_800)


def test_a_log_without_checkpoints_is_carried_and_proves_nothing() -> None:
    log = LogEvidence("clinic-a", (), list(made_entries(3)))
    file = io.BytesIO()
    write_bundle(file, [LOG_KEY.verifier], [log], BundleTerms(complete=False))
    found = verify_bundle(io.BytesIO(file.getvalue()), Trust((LOG_KEY.verifier,))).report.findings
    assert [one.check for one in found] == [Check.SIGNED]
