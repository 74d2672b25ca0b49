"""The log over a database: order, atomicity, checkpoints, proofs, and guards against rewriting."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from audit.checkpoint import verify_checkpoint
from audit.errors import (
    EntryInvalidError,
    LogConflictError,
    LogDamagedError,
    RangeInvalidError,
    VerificationError,
)
from audit.event import EventType, parse_header
from audit.evidence import SYSTEM_LOG
from audit.log import AuditLog, Leaf
from audit.merkle import CompactRange, verify_consistency, verify_inclusion
from audit.reader import PAGE_SIZE, LogReader
from audit.store import GUARDS, HEAD, LEAF, METADATA
from tests.simulators.small_deployment import LOG_KEY, POLICY, SmallDeployment, draft
from tests.simulators.tampering_store import TamperingStore

A = "clinic-a"
B = "clinic-b"


def test_entries_of_several_tenants_in_one_call_get_their_places_in_the_order_given(
    deployment: SmallDeployment,
) -> None:
    drafts = [draft(tenant=tenant, payload={"nth": nth}) for nth, tenant in enumerate([B, A, B, A, A])]
    leaves = deployment.log.append(deployment.connection, drafts)
    assert [(leaf.tenant, leaf.index) for leaf in leaves] == [(B, 0), (A, 0), (B, 1), (A, 1), (A, 2)]
    more = deployment.log.append(deployment.connection, [draft(tenant=B)])
    assert [(leaf.tenant, leaf.index) for leaf in more] == [(B, 2)]
    stored = {
        (tenant, entry.index): entry
        for tenant in deployment.log.tenants(deployment.connection)
        for entry in deployment.log.entries(deployment.connection, tenant)
    }
    assert len(stored) == 6
    for nth, leaf in enumerate(leaves):
        entry = stored[leaf.tenant, leaf.index]
        assert entry.leaf_hash == leaf.hash
        assert parse_header(entry.header).tenant == leaf.tenant
        assert entry.payload is not None
        assert json.loads(entry.payload) == {"nth": nth}


def test_no_drafts_append_nothing(deployment: SmallDeployment) -> None:
    assert deployment.log.append(deployment.connection, []) == []
    assert deployment.log.tenants(deployment.connection) == []


def test_every_entry_gets_a_salt_of_its_own(deployment: SmallDeployment) -> None:
    deployment.log.append(deployment.connection, [draft()] * 5)
    entries = list(deployment.log.entries(deployment.connection, A))
    assert len({entry.salt for entry in entries}) == 5
    assert len({entry.header for entry in entries}) == 5, "the same payload must not show by its commitment"


def test_a_bad_draft_leaves_nothing_of_its_call(deployment: SmallDeployment) -> None:
    deployment.open_logs(A)
    bad = replace(draft(), principal="Anna Meier")
    with pytest.raises(EntryInvalidError):
        deployment.log.append(deployment.connection, [draft(), bad])
    assert deployment.log.head(deployment.connection, A).size == 1


def test_what_is_rolled_back_was_never_appended(deployment: SmallDeployment) -> None:
    deployment.open_logs(A)
    deployment.connection.commit()
    deployment.log.append(deployment.connection, [draft()])
    deployment.connection.rollback()
    assert deployment.log.head(deployment.connection, A).size == 1
    assert [leaf.index for leaf in deployment.log.append(deployment.connection, [draft()])] == [1]


def test_a_head_that_moved_in_between_is_a_conflict(deployment: SmallDeployment) -> None:
    deployment.open_logs(A)

    class RacingLog(AuditLog):
        def head(self, connection: Connection, tenant: str, *, lock: bool = False) -> CompactRange:
            seen = super().head(connection, tenant, lock=lock)
            values = {"size": 5, "nodes": bytes(64)}
            connection.execute(update(HEAD).where(HEAD.c.tenant_id == tenant).values(values))
            return seen

    log = RacingLog(LOG_KEY, salt_source=bytes, clock=lambda: deployment.now)
    with pytest.raises(LogConflictError, match="clinic-a: the head moved while entries were appended at 1"):
        log.append(deployment.connection, [draft()])


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_proofs_from_the_database_verify_against_every_signed_checkpoint(
    deployment: SmallDeployment, batches: list[int]
) -> None:
    log, connection = deployment.log, deployment.connection
    for size in batches:
        log.append(connection, [draft()] * size)
        log.checkpoint(connection, A, policy=POLICY)
    key = LOG_KEY.for_log(A).verifier
    signed = [verify_checkpoint(note, key) for note in log.checkpoints(connection, A)]
    leaves = [entry.leaf_hash or b"" for entry in log.entries(connection, A)]
    latest = signed[-1]
    assert latest.size == len(leaves)
    for index, leaf in enumerate(leaves):
        verify_inclusion(
            index, latest.size, leaf, log.inclusion_proof(connection, A, index, latest.size), latest.root
        )
    for first in signed:
        proof = log.consistency_proof(connection, A, first.size, latest.size)
        verify_consistency(first.size, latest.size, proof, first.root, latest.root)


def test_proofs_stay_right_after_a_transaction_that_asked_for_one_is_rolled_back(
    deployment: SmallDeployment,
) -> None:
    log, connection = deployment.log, deployment.connection
    log.append(connection, [draft()] * 3)
    connection.commit()
    for outcome in ("rolled back", "longer", "the same length"):
        log.append(connection, [draft()] * 3)
        log.inclusion_proof(connection, A, 0, 6)
        connection.rollback()
        log.append(connection, [draft()] * {"rolled back": 1, "longer": 4, "the same length": 3}[outcome])
        head = log.head(connection, A)
        for index in range(head.size):
            leaf = next(log.entries(connection, A, index, index + 1)).leaf_hash or b""
            proof = log.inclusion_proof(connection, A, index, head.size)
            verify_inclusion(index, head.size, leaf, proof, head.root())
        connection.rollback()


def test_a_proof_beyond_the_log_is_refused(lived: SmallDeployment) -> None:
    log, connection = lived.log, lived.connection
    with pytest.raises(RangeInvalidError, match="clinic-a: expected a tree size of at most 9, got 10"):
        log.inclusion_proof(connection, A, 0, 10)
    with pytest.raises(RangeInvalidError, match="leaf index below 9, got 9"):
        log.inclusion_proof(connection, A, 9, 9)
    with pytest.raises(RangeInvalidError, match="first size of 1 to 9, got 0"):
        log.consistency_proof(connection, A, 0, 9)
    with pytest.raises(RangeInvalidError, match="at most 0"):
        log.inclusion_proof(connection, "clinic-z", 0, 1)


def test_proofs_from_damaged_leaf_hashes_are_not_given(lived: SmallDeployment) -> None:
    TamperingStore(lived.connection).alter(A, 3, leaf_hash=bytes(32))
    with pytest.raises(LogDamagedError, match="tiles of log clinic-a"):
        lived.log.inclusion_proof(lived.connection, A, 0, 9)


def test_a_damaged_head_stops_appending(lived: SmallDeployment) -> None:
    TamperingStore(lived.connection).set_head(A, CompactRange(8, (b"x",)))
    with pytest.raises(LogDamagedError, match="head of log clinic-a"):
        lived.log.append(lived.connection, [draft()])


def test_a_checkpoint_is_signed_under_the_logs_origin_and_recorded_by_the_system_log(
    deployment: SmallDeployment,
) -> None:
    deployment.open_logs(A)
    signed = deployment.log.checkpoint(deployment.connection, A, policy=POLICY)
    checkpoint = verify_checkpoint(signed.note, deployment.key.for_log(A))
    assert checkpoint == signed.checkpoint
    assert checkpoint.origin == deployment.log.origin(A) == "memos-vault/ward-1/clinic-a"
    *_, record = deployment.log.entries(deployment.connection, SYSTEM_LOG)
    header = parse_header(record.header)
    assert (header.event, header.resource, header.policy) == (EventType.LOG_CHECKPOINT, A, POLICY)
    assert json.loads(record.payload or "") == {
        "origin": checkpoint.origin,
        "root": checkpoint.root.hex(),
        "size": 1,
    }


def test_a_checkpoint_of_an_unchanged_tree_is_the_one_that_is_stored(lived: SmallDeployment) -> None:
    before = lived.log.head(lived.connection, SYSTEM_LOG).size
    first = lived.log.checkpoint(lived.connection, A, policy=POLICY)
    assert lived.log.checkpoint(lived.connection, A, policy=POLICY) == first
    assert lived.log.latest_checkpoint(lived.connection, A) == first
    assert lived.log.head(lived.connection, SYSTEM_LOG).size == before


def test_an_empty_log_has_a_checkpoint_of_size_zero_and_none_before(deployment: SmallDeployment) -> None:
    assert deployment.log.latest_checkpoint(deployment.connection, A) is None
    assert deployment.log.checkpoint(deployment.connection, A, policy=POLICY).checkpoint.size == 0


def test_signing_over_a_log_that_was_set_back_or_changed_is_refused(lived: SmallDeployment) -> None:
    store = TamperingStore(lived.connection)
    whole = store.snapshot()
    store.truncate(A, 7)
    store.cover_tracks(A)
    with pytest.raises(LogDamagedError, match="stored checkpoint: expected size 7"):
        lived.log.checkpoint(lived.connection, A, policy=POLICY)
    store.restore(whole)
    store.reorder(A, 2, 3)
    store.cover_tracks(A)
    with pytest.raises(LogDamagedError, match="stored checkpoint: expected size 9"):
        lived.log.checkpoint(lived.connection, A, policy=POLICY)


def test_a_stored_checkpoint_of_another_key_is_not_served(lived: SmallDeployment) -> None:
    TamperingStore(lived.connection).alter_note(A, "\n9\n", "\n8\n")
    with pytest.raises(VerificationError, match="note signature"):
        lived.log.latest_checkpoint(lived.connection, A)


def test_entries_are_read_page_by_page_in_order_and_in_range(deployment: SmallDeployment) -> None:
    count = 2 * PAGE_SIZE + 5
    deployment.log.append(deployment.connection, [draft(payload={"nth": nth}) for nth in range(count)])
    entries = list(LogReader().entries(deployment.connection, A))
    assert [entry.index for entry in entries] == list(range(count))
    some = LogReader().entries(deployment.connection, A, PAGE_SIZE - 2, PAGE_SIZE + 2)
    assert [entry.index for entry in some] == list(range(PAGE_SIZE - 2, PAGE_SIZE + 2))
    assert len(list(LogReader().entries(deployment.connection, A, 0, PAGE_SIZE))) == PAGE_SIZE
    assert list(LogReader().entries(deployment.connection, A, 7, 7)) == []


def test_the_system_log_stands_first_among_logs(lived: SmallDeployment) -> None:
    assert lived.log.tenants(lived.connection) == [SYSTEM_LOG, A, B]
    chosen = lived.log.evidence(lived.connection, [B, SYSTEM_LOG])
    assert [log.tenant for log in chosen] == [SYSTEM_LOG, B]


def test_proofs_are_given_to_many_threads_at_once(lived: SmallDeployment, tmp_path: Path) -> None:
    log = LogReader()
    alone = [log.inclusion_proof(lived.connection, A, index, 9) for index in range(9)]
    lived.connection.commit()
    lived.connection.exec_driver_sql(f"VACUUM INTO '{tmp_path / 'copy.db'}'")
    engine = create_engine(f"sqlite:///{tmp_path / 'copy.db'}")
    fresh = LogReader()

    def prove(index: int) -> list[bytes]:
        with engine.connect() as connection:
            return fresh.inclusion_proof(connection, A, index, 9)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(prove, [*range(9)] * 5)) == alone * 5
    engine.dispose()


HEADER_COLUMNS = ["tenant_id", "leaf_index", "leaf_hash", "header", "event", "time_us"]


@pytest.mark.parametrize("column", HEADER_COLUMNS)
def test_the_database_refuses_to_change_a_leaf(lived: SmallDeployment, column: str) -> None:
    old = lived.connection.execute(select(LEAF).order_by(LEAF.c.leaf_index)).mappings().first()
    assert old is not None
    with pytest.raises(IntegrityError, match="audit log: leaves are never changed"):
        lived.connection.execute(update(LEAF).values({column: old[column]}))


def test_the_database_refuses_to_delete_or_replace_a_leaf_or_to_leave_a_gap(lived: SmallDeployment) -> None:
    row = dict(lived.connection.execute(select(LEAF).where(LEAF.c.tenant_id == A)).mappings().first() or {})
    with pytest.raises(IntegrityError, match="leaves are never deleted"):
        lived.connection.execute(delete(LEAF).where(LEAF.c.leaf_index == 3))
    for index in (0, 8, 10, -1):
        for statement in (insert(LEAF), insert(LEAF).prefix_with("OR REPLACE")):
            with pytest.raises(IntegrityError, match="leaves are only appended"):
                lived.connection.execute(statement, row | {"leaf_index": index})
    assert lived.log.head(lived.connection, A).size == 9


def test_the_database_lets_a_payload_be_erased_whole_and_nothing_else_be_done_to_it(
    lived: SmallDeployment,
) -> None:
    place = (LEAF.c.tenant_id == A, LEAF.c.leaf_index == 2)
    erased = {"salt": None, "payload": None}
    [eraser] = lived.log.append(lived.connection, [draft(EventType.PAYLOAD_ERASE, tenant=A)])
    for values in (
        {"payload": "{}"},
        {"salt": bytes(32)},
        {"salt": None, "payload": "{}"},
        {"salt": None},
        {"payload": None},
        {"erased_by": eraser.index},
        erased,
        erased | {"erased_by": 1},
        erased | {"erased_by": eraser.index - 1},
        erased | {"erased_by": eraser.index + 1},
    ):
        with pytest.raises(IntegrityError, match="payloads are only erased"):
            lived.connection.execute(update(LEAF).where(*place).values(values))
    lived.connection.execute(update(LEAF).where(*place).values(erased | {"erased_by": eraser.index}))
    entry = next(lived.log.entries(lived.connection, A, 2, 3))
    assert (entry.salt, entry.payload, entry.erased_by) == (None, None, eraser.index)
    [later] = lived.log.append(lived.connection, [draft(EventType.PAYLOAD_ERASE, tenant=A)])
    for again in (None, eraser.index, later.index):
        with pytest.raises(IntegrityError, match="payloads are only erased"):
            lived.connection.execute(update(LEAF).where(*place).values(erased_by=again))
    itself = (LEAF.c.tenant_id == A, LEAF.c.leaf_index == eraser.index)
    with pytest.raises(IntegrityError, match="payloads are only erased"):
        lived.connection.execute(update(LEAF).where(*itself).values(erased | {"erased_by": later.index}))


def test_the_database_refuses_to_erase_the_record_of_a_checkpoint(lived: SmallDeployment) -> None:
    records = (LEAF.c.tenant_id == SYSTEM_LOG, LEAF.c.event == EventType.LOG_CHECKPOINT)
    [eraser] = lived.log.append(lived.connection, [draft(EventType.PAYLOAD_ERASE, tenant=SYSTEM_LOG)])
    erased = {"salt": None, "payload": None, "erased_by": eraser.index}
    with pytest.raises(IntegrityError, match="payloads are only erased"):
        lived.connection.execute(update(LEAF).where(*records).values(erased))


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("DELETE FROM audit_head", "heads are never deleted"),
        ("UPDATE audit_head SET size = size", "heads only grow"),
        ("UPDATE audit_head SET size = size - 1", "heads only grow"),
        ("UPDATE audit_head SET size = size + 1, tenant_id = 'x'", "heads only grow"),
        (
            "INSERT OR REPLACE INTO audit_head SELECT tenant_id, 0, x'' FROM audit_head",
            "heads are only advanced",
        ),
        ("DELETE FROM audit_checkpoint", "checkpoints are never deleted"),
        ("UPDATE audit_checkpoint SET note = note", "checkpoints are never changed"),
        (
            "INSERT OR REPLACE INTO audit_checkpoint SELECT * FROM audit_checkpoint",
            "checkpoints are only added",
        ),
        ("DELETE FROM audit_tile", "tiles are never deleted"),
        ("UPDATE audit_tile SET hashes = hashes", "tiles are never changed"),
        ("INSERT OR REPLACE INTO audit_tile SELECT * FROM audit_tile", "tiles are only added"),
        ("INSERT INTO audit_tile VALUES ('clinic-a', 0, 2, zeroblob(8192))", "tiles are only added"),
        ("DELETE FROM audit_subtree", "subtrees are never deleted"),
        ("UPDATE audit_subtree SET hash = hash", "subtrees are never changed"),
        ("INSERT OR REPLACE INTO audit_subtree SELECT * FROM audit_subtree", "subtrees are only added"),
        ("DELETE FROM audit_cosignature", "cosignatures are never deleted"),
        ("UPDATE audit_cosignature SET line = line", "cosignatures are never changed"),
        (
            "INSERT OR REPLACE INTO audit_cosignature SELECT * FROM audit_cosignature",
            "cosignatures are only added",
        ),
    ],
)
def test_the_database_refuses_to_set_back_heads_and_what_is_only_added(
    lived: SmallDeployment, statement: str, message: str
) -> None:
    lived.connection.execute(text("INSERT INTO audit_tile VALUES ('clinic-a', 0, 0, zeroblob(8192))"))
    lived.connection.execute(text("INSERT INTO audit_subtree VALUES ('clinic-a', 1, 0, zeroblob(32))"))
    lived.connection.execute(text("INSERT INTO audit_cosignature VALUES ('clinic-a', 9, 'w', '-', 0)"))
    with pytest.raises(IntegrityError, match=f"audit log: {message}"):
        lived.connection.execute(text(statement))


@pytest.mark.parametrize("bad", [{"leaf_hash": b"short"}, {"salt": None}, {"payload": None}])
def test_the_database_refuses_leaves_of_the_wrong_shape(
    deployment: SmallDeployment, bad: dict[str, object]
) -> None:
    row = {
        "tenant_id": A,
        "leaf_index": 0,
        "leaf_hash": bytes(32),
        "header": "{}",
        "salt": bytes(32),
        "payload": "{}",
        "event": "x",
        "time_us": 0,
        "erased_by": None,
    }
    with pytest.raises(IntegrityError, match="CHECK constraint"):
        deployment.connection.execute(insert(LEAF), row | bad)


def test_a_migration_that_makes_the_tables_and_runs_the_guards_has_the_same_schema() -> None:
    made, migrated = create_engine("sqlite://"), create_engine("sqlite://")
    METADATA.create_all(made)
    schema = text("SELECT type, name, sql FROM sqlite_master ORDER BY name")
    with made.connect() as one, migrated.connect() as two:
        for table in METADATA.sorted_tables:
            statement = one.execute(
                text("SELECT sql FROM sqlite_master WHERE name = :name"), {"name": table.name}
            )
            two.execute(text(statement.scalar_one()))
            for index in table.indexes:
                index.create(two)
        for guard in GUARDS["sqlite"]:
            two.exec_driver_sql(guard)
        assert one.execute(schema).all() == two.execute(schema).all()
    made.dispose()
    migrated.dispose()


def test_a_leaf_says_where_an_entry_stands(deployment: SmallDeployment) -> None:
    [leaf] = deployment.log.append(deployment.connection, [draft()])
    entry = next(deployment.log.entries(deployment.connection, A))
    assert leaf == Leaf(A, 0, entry.leaf_hash or b"")
