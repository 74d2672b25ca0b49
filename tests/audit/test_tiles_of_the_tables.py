"""Tiles in the log's tables: kept as entries are appended, held against what they stand for."""

# ruff: noqa: S608  # the statements are the tests' own

from collections.abc import Iterator

import pytest
from sqlalchemy import insert, select, text

from audit.errors import LogDamagedError, RangeInvalidError
from audit.evidence import SYSTEM_LOG
from audit.merkle import leaf_hash, verify_consistency, verify_inclusion
from audit.store import COSIGNATURE, SUBTREE, TILE
from audit.tile_store import StoredTiles
from audit.tiles import TILE_WIDTH, parse_entry_bundle, perfect_root
from tests.simulators.reference_tree import Tree
from tests.simulators.small_deployment import POLICY, SmallDeployment, draft
from tests.simulators.tampering_store import TamperingStore

A = "clinic-a"


@pytest.fixture
def grown() -> Iterator[SmallDeployment]:
    """A deployment whose log has 700 entries, signed at 600."""
    small = SmallDeployment()
    small.open_logs(A)
    for count in (1, 254, 1, 343):
        small.log.append(small.connection, [draft()] * count)
    small.log.checkpoint(small.connection, A, policy=POLICY)
    small.log.append(small.connection, [draft()] * 100)
    small.connection.commit()
    yield small
    small.close()


def tree_of(deployment: SmallDeployment) -> Tree:
    entries = deployment.log.entries(deployment.connection, A)
    return Tree(entry.leaf_hash or b"" for entry in entries)


def check(deployment: SmallDeployment) -> None:
    deployment.log.check(deployment.connection, A)


def test_what_is_stored_is_what_the_leaves_give(grown: SmallDeployment) -> None:
    leaves = [entry.leaf_hash or b"" for entry in grown.log.entries(grown.connection, A)]
    tiles = grown.connection.execute(select(TILE).where(TILE.c.tenant_id == A)).all()
    assert [(row.level, row.tile_index) for row in tiles] == [(0, 0), (0, 1)]
    for row in tiles:
        own = leaves[row.tile_index * TILE_WIDTH : (row.tile_index + 1) * TILE_WIDTH]
        assert row.hashes == b"".join(own)
    roots = grown.connection.execute(select(SUBTREE).where(SUBTREE.c.tenant_id == A)).all()
    assert [(row.level, row.position, row.hash) for row in roots] == [
        (1, index, perfect_root(leaves[index * TILE_WIDTH : (index + 1) * TILE_WIDTH])) for index in range(2)
    ]
    check(grown)


def test_every_entry_is_proved_from_tiles_at_every_kind_of_size(grown: SmallDeployment) -> None:
    log, connection, tree = grown.log, grown.connection, tree_of(grown)
    for size in (1, 2, 255, 256, 257, 512, 600, 699, 700):
        for index in range(0, size, 41):
            proof = log.inclusion_proof(connection, A, index, size)
            assert proof == tree.inclusion_proof(index, size)
        for first in range(1, size + 1, 53):
            proof = log.consistency_proof(connection, A, first, size)
            assert proof == tree.consistency_proof(first, size)
            verify_consistency(first, size, proof, tree.root(first), tree.root(size))


def test_tiles_and_bundles_are_read_to_the_width_that_there_is(grown: SmallDeployment) -> None:
    log, connection = grown.log, grown.connection
    leaves = [entry.leaf_hash or b"" for entry in log.entries(connection, A)]
    for index, width in ((0, 256), (0, 3), (1, 256), (2, 1), (2, 188)):
        own = leaves[index * TILE_WIDTH : index * TILE_WIDTH + width]
        assert log.tile(connection, A, 0, index, width) == b"".join(own)
        bundle = parse_entry_bundle(log.entry_bundle(connection, A, index, width), width)
        assert [leaf_hash(entry) for entry in bundle] == own
    assert len(log.tile(connection, A, 1, 0, 2)) == 64
    for level, index, width in (
        (0, 2, 189),
        (0, 3, 1),
        (1, 0, 3),
        (2, 0, 1),
        (0, 0, 0),
        (-1, 0, 1),
        (0, -1, 1),
    ):
        with pytest.raises(RangeInvalidError):
            log.tile(connection, A, level, index, width)
    for index, width in ((2, 189), (3, 1), (0, 0), (-1, 5)):
        with pytest.raises(RangeInvalidError):
            log.entry_bundle(connection, A, index, width)
    with pytest.raises(RangeInvalidError):
        log.tile(connection, "clinic-none", 0, 0, 1)


def test_what_is_rolled_back_leaves_no_tile(deployment: SmallDeployment) -> None:
    log, connection = deployment.log, deployment.connection
    log.append(connection, [draft()] * 200)
    connection.commit()
    log.append(connection, [draft()] * 400)
    connection.rollback()
    assert log.head(connection, A).size == 200
    assert connection.execute(select(TILE)).first() is None
    log.append(connection, [draft(action="read")] * 60)
    proof = log.inclusion_proof(connection, A, 259, 260)
    last = next(iter(log.entries(connection, A, 259, 260))).leaf_hash or b""
    verify_inclusion(259, 260, last, proof, log.head(connection, A).root())


# What is done to the tables, and whether it is seen when a log is opened: what stands under tiles from before
# the last checkpoint's is left to the verifier, and seen by whoever asks for a proof of it.
TAMPERINGS = {
    "a tile of before the checkpoint is altered": (
        "UPDATE audit_tile SET hashes = zeroblob(8192) WHERE tile_index = 0",
        False,
    ),
    "a leaf of before the checkpoint's tile is altered": (
        "UPDATE audit_leaf SET leaf_hash = zeroblob(32) WHERE leaf_index = 9",
        False,
    ),
    "a tile is dropped": ("DELETE FROM audit_tile WHERE tile_index = 1", True),
    "a root is altered": ("UPDATE audit_subtree SET hash = zeroblob(32) WHERE position = 1", True),
    "a root is dropped": ("DELETE FROM audit_subtree WHERE position = 1", True),
    "a root is of another type": ("UPDATE audit_subtree SET hash = 'junk' WHERE position = 0", True),
    "a leaf under the checkpoint's tile is altered": (
        "UPDATE audit_leaf SET leaf_hash = zeroblob(32) WHERE leaf_index = 513",
        True,
    ),
    "a leaf since the checkpoint is altered": (
        "UPDATE audit_leaf SET leaf_hash = zeroblob(32) WHERE leaf_index = 650",
        True,
    ),
    "the last leaf is dropped": ("DELETE FROM audit_leaf WHERE leaf_index = 699", True),
    "a leaf far behind the end is added": (
        (
            "INSERT INTO audit_leaf SELECT tenant_id, 9999, leaf_hash, header, salt, payload, event, time_us, NULL"
            f" FROM audit_leaf WHERE leaf_index = 5 AND tenant_id = '{A}'"
        ),
        True,
    ),
    "a tile too many is added": (f"INSERT INTO audit_tile VALUES ('{A}', 0, 2, zeroblob(8192))", True),
    "a tile of a level that is not there is added": (
        f"INSERT INTO audit_tile VALUES ('{A}', 3, 0, zeroblob(8192))",
        True,
    ),
    "a root too many is added": (f"INSERT INTO audit_subtree VALUES ('{A}', 1, 2, zeroblob(32))", True),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_log_is_opened_only_where_what_matters_for_signing_holds(grown: SmallDeployment, name: str) -> None:
    statement, seen = TAMPERINGS[name]
    TamperingStore(grown.connection)
    grown.connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
    grown.connection.exec_driver_sql(statement)
    if seen:
        with pytest.raises(LogDamagedError):
            check(grown)
    else:
        check(grown)
    assert grown.log.head(grown.connection, A).size == 700, "nothing was repaired"


@pytest.mark.parametrize("name", [name for name in TAMPERINGS if "altered" in name or "dropped" in name])
def test_no_false_proof_is_given_from_tables_that_were_altered(grown: SmallDeployment, name: str) -> None:
    truth = tree_of(grown)
    TamperingStore(grown.connection)
    grown.connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
    grown.connection.exec_driver_sql(TAMPERINGS[name][0])
    refused = 0
    for index in (9, 255, 300, 513, 650, 699):
        for size in (700, 600 if index < 600 else 700):
            try:
                proof = grown.log.inclusion_proof(grown.connection, A, index, size)
            except LogDamagedError:
                refused += 1
            else:
                assert proof == truth.inclusion_proof(index, size)
    for first in (1, 10, 256, 300, 514, 651):
        try:
            proof = grown.log.consistency_proof(grown.connection, A, first, 700)
        except LogDamagedError:
            refused += 1
        else:
            assert proof == truth.consistency_proof(first, 700)
    assert refused


def test_a_tile_or_bundle_that_is_not_whole_is_damage(grown: SmallDeployment) -> None:
    TamperingStore(grown.connection)
    grown.connection.exec_driver_sql("DELETE FROM audit_tile")
    grown.connection.exec_driver_sql("DELETE FROM audit_leaf WHERE leaf_index IN (5, 513)")
    for index, width in ((0, 256), (2, 100)):
        with pytest.raises(LogDamagedError, match=r"tile \d of level 0 of log clinic-a"):
            grown.log.tile(grown.connection, A, 0, index, width)
        with pytest.raises(LogDamagedError, match="entries of log clinic-a"):
            grown.log.entry_bundle(grown.connection, A, index, width)


def test_a_leaf_that_was_changed_while_the_vault_runs_stops_the_log_when_its_tile_is_full(
    grown: SmallDeployment,
) -> None:
    TamperingStore(grown.connection).alter(A, 600, leaf_hash=bytes(32))
    grown.log.append(grown.connection, [draft()] * 67)
    with pytest.raises(LogDamagedError, match="tile 2 of level 0"):
        grown.log.append(grown.connection, [draft()])
    assert grown.log.head(grown.connection, A).size == 767


def test_a_long_log_is_checked_by_its_tail_alone(grown: SmallDeployment) -> None:
    grown.log.append(grown.connection, [draft()] * 5000)
    grown.log.checkpoint(grown.connection, A, policy=POLICY)
    read: list[int] = []
    original = StoredTiles.hashes

    def counted(self: StoredTiles, level: int, start: int, stop: int) -> bytes:
        found = original(self, level, start, stop)
        read.append(len(found) // 32)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StoredTiles, "hashes", counted)
        check(grown)
    assert sum(read) < 3 * TILE_WIDTH


def test_evidence_shows_tiles_as_they_are_stored(grown: SmallDeployment) -> None:
    (log,) = grown.log.evidence(grown.connection, [A])
    leaves = [entry.leaf_hash or b"" for entry in log.entries]
    assert log.tiles is not None
    assert log.subtrees is not None
    assert log.tiles(0, 0, 256) == b"".join(leaves[:256])
    assert log.tiles(0, 2, 188) == b"".join(leaves[512:])
    assert log.tiles(0, 2, 256) is None
    assert log.subtrees(1, 0, 2) == perfect_root(leaves[:256]) + perfect_root(leaves[256:512])
    assert log.subtrees(0, 0, 2) is None
    assert log.subtrees(2, 0, 1) is None
    grown.connection.execute(
        insert(COSIGNATURE), {"tenant_id": A, "tree_size": 600, "witness": "w", "line": "-", "received_us": 0}
    )
    (log,) = grown.log.evidence(grown.connection, [A])
    assert [(one.size, one.witness, one.line) for one in log.cosignatures] == [(600, "w", "-")]
    (log,) = grown.log.evidence(grown.connection, [SYSTEM_LOG])
    assert log.cosignatures == ()


def test_the_statements_of_every_tampering_are_sql(grown: SmallDeployment) -> None:
    TamperingStore(grown.connection)
    grown.connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
    for statement, _ in TAMPERINGS.values():
        assert grown.connection.execute(text(statement)).rowcount > 0


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE audit_subtree SET hash = zeroblob(32) WHERE position = 2", "subtree 2 of level 1"),
        ("UPDATE audit_tile SET hashes = zeroblob(8192) WHERE tile_index = 2", "tile 2 of level 0"),
        ("DELETE FROM audit_tile WHERE tile_index = 2", "tile 2 of level 0"),
    ],
)
def test_a_tile_that_became_full_since_the_checkpoint_is_held_against_its_leaves(
    grown: SmallDeployment, statement: str, message: str
) -> None:
    grown.log.append(grown.connection, [draft()] * 100)
    check(grown)
    TamperingStore(grown.connection)
    grown.connection.exec_driver_sql(statement)
    with pytest.raises(LogDamagedError, match=message):
        check(grown)
