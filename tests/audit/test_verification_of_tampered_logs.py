"""Each way to tamper with a stored log, and the check that catches it (ARCHITECTURE section 9)."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.canonical import JsonValue
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import VerificationError
from audit.event import EventType, commit_payload, parse_header
from audit.evidence import SYSTEM_LOG
from audit.merkle import CompactRange
from audit.reader import verify_stored
from audit.replay import Invariant
from audit.signing import SignerKey
from audit.verify import Check, Report
from tests.simulators.small_deployment import LOG_KEY, SmallDeployment, draft
from tests.simulators.tampering_store import TamperingStore

A = "clinic-a"
B = "clinic-b"
ORIGIN_A = f"{LOG_KEY.name}/{A}"


def verify(deployment: SmallDeployment, *remembered: bytes) -> Report:
    return verify_stored(deployment.connection, deployment.key, remembered=remembered, now=deployment.now)


def checks(report: Report) -> set[str]:
    return {finding.check for finding in report.findings}


def deny_becomes_allow(store: TamperingStore) -> None:
    store.alter_header(A, 4, '"denied","event"', '"allowed","event"')


def forged_note(key: SignerKey, size: int = 3) -> bytes:
    return sign_checkpoint(Checkpoint(ORIGIN_A, size, bytes(32)), [key.for_log(A)]).note


def covered(tampering: Callable[[TamperingStore], None]) -> Callable[[TamperingStore], None]:
    def tamper(store: TamperingStore) -> None:
        tampering(store)
        store.cover_tracks(A)

    return tamper


STRANGER = SignerKey.for_deployment("ward-1", bytes(32))

SCENARIOS: dict[str, tuple[Callable[[TamperingStore], None], Check | Invariant]] = {
    "a header is altered": (deny_becomes_allow, Check.LEAF_HASH),
    "a header is altered and every hash recomputed": (covered(deny_becomes_allow), Check.CHECKPOINT_ROOT),
    "a header is altered so that decision and outcome differ": (
        deny_becomes_allow,
        Invariant.DECISION_OUTCOME,
    ),
    "a header is replaced by another spelling of itself": (
        covered(lambda store: store.alter_header(A, 1, '"v":1', '"v": 1')),
        Check.HEADER,
    ),
    "a header is emptied": (lambda store: store.alter(A, 1, header=""), Check.HEADER),
    "a leaf hash is altered": (lambda store: store.alter(A, 2, leaf_hash=bytes(32)), Check.LEAF_HASH),
    "an entry is dropped": (lambda store: store.drop(A, 2), Check.INDEX),
    "an entry is dropped and the gap closed": (
        covered(lambda store: store.close_gap(A, 2)),
        Check.CHECKPOINT_ROOT,
    ),
    "entries are reordered": (covered(lambda store: store.reorder(A, 2, 3)), Check.CHECKPOINT_ROOT),
    "an entry is doubled": (covered(lambda store: store.insert_copy(A, 3, A, 2)), Check.CHECKPOINT_ROOT),
    "an entry of another log is inserted": (
        covered(lambda store: store.insert_copy(A, 3, B, 2)),
        Invariant.TENANT,
    ),
    "the tail is cut off": (lambda store: store.truncate(A, 6), Check.CHECKPOINT_SIZE),
    "the tail is cut off with its checkpoints and the head set back": (
        lambda store: store.roll_back(A, 5),
        Check.CHECKPOINT_SIZE,
    ),
    "a payload is altered": (lambda store: store.alter(A, 1, payload='{"written":[]}'), Check.COMMITMENT),
    "a salt is altered": (lambda store: store.alter(A, 1, salt=bytes(32)), Check.COMMITMENT),
    "a salt is cut": (lambda store: store.alter(A, 1, salt=b"short"), Check.COMMITMENT),
    "payloads are swapped between rows": (lambda store: store.swap_payloads(A, 1, 2), Check.COMMITMENT),
    "the event column is altered": (lambda store: store.alter(A, 1, event="memory.read"), Check.COLUMNS),
    "the time column is altered": (lambda store: store.alter(A, 1, time_us=1), Check.COLUMNS),
    "the head is set back": (lambda store: store.set_head(A, CompactRange()), Check.HEAD),
    "the head is set forward": (
        lambda store: store.set_head(A, CompactRange().extended([bytes(32)] * 99)),
        Check.HEAD,
    ),
    "the head's hashes are garbage": (lambda store: store.set_head(A, CompactRange(8, (b"x",))), Check.HEAD),
    "a checkpoint is forged with another key": (
        lambda store: store.add_note(A, 3, forged_note(STRANGER)),
        Check.CHECKPOINT_NOTE,
    ),
    "a checkpoint that the log signed of another tree is shown": (
        lambda store: store.add_note(A, 3, forged_note(LOG_KEY)),
        Check.CHECKPOINT_ROOT,
    ),
    "a checkpoint was signed outside the log": (
        lambda store: store.add_note(A, 3, forged_note(LOG_KEY)),
        Check.CHECKPOINT_RECORDED,
    ),
    "signatures are stripped": (lambda store: store.alter_note(A, "\u2014", "-"), Check.CHECKPOINT_NOTE),
    "a checkpoint's size is altered": (
        lambda store: store.alter_note(A, f"{A}\n5\n", f"{A}\n4\n"),
        Check.CHECKPOINT_NOTE,
    ),
    "a checkpoint's size gets a leading zero": (
        lambda store: store.alter_note(A, f"{A}\n5\n", f"{A}\n05\n"),
        Check.CHECKPOINT_NOTE,
    ),
    "all checkpoints are stripped": (lambda store: store.strip_checkpoints(A), Check.SIGNED),
    "a log is deleted": (lambda store: store.remove_log(A), Check.LOG_PRESENT),
    "a log's entries are all deleted": (covered(lambda store: store.truncate(A, 0)), Check.CHECKPOINT_SIZE),
    "the system log is rolled back": (
        lambda store: store.roll_back(SYSTEM_LOG, 3),
        Check.CHECKPOINT_RECORDED,
    ),
    "the system log is emptied": (
        lambda store: store.roll_back(SYSTEM_LOG, 0),
        Check.CHECKPOINT_RECORDED,
    ),
    "a checkpoint of another log is shown": (
        lambda store: store.alter_note(A, A, B),
        Check.CHECKPOINT_NOTE,
    ),
    "the system log's record of a checkpoint is erased": (
        lambda store: store.alter(SYSTEM_LOG, 1, salt=None, payload=None),
        Check.PAYLOAD,
    ),
}


def test_an_honest_log_is_verified_whole(lived: SmallDeployment) -> None:
    report = verify(lived)
    report.require()
    assert report.passed
    assert [(log.tenant, log.size, log.signed_size) for log in report.logs] == [
        (SYSTEM_LOG, 5, 5),
        (A, 9, 9),
        (B, 5, 5),
    ]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_verifier_catches_that(name: str, lived: SmallDeployment) -> None:
    tampering, check = SCENARIOS[name]
    tampering(TamperingStore(lived.connection))
    report = verify(lived)
    assert check in checks(report)
    with pytest.raises(VerificationError, match="expected"):
        report.require()


def test_a_replayed_old_database_is_caught_by_a_remembered_checkpoint_and_by_nothing_else(
    deployment: SmallDeployment,
) -> None:
    store = TamperingStore(deployment.connection)
    deployment.open_logs(A)
    deployment.write(A, "mem_aaaaaaaa0")
    deployment.sign()
    old = store.snapshot()
    deployment.write(A, "mem_aaaaaaaa1")
    _, note_of_a, _ = [b"", *deployment.sign()]
    store.restore(old)
    assert verify(deployment).passed, "which is why anchors and witnesses exist"
    assert checks(verify(deployment, note_of_a)) == {Check.CHECKPOINT_SIZE, Check.CHECKPOINT_RECORDED}


def test_a_fork_with_the_real_key_is_caught_by_whoever_remembers_the_other_history(
    deployment: SmallDeployment,
) -> None:
    store = TamperingStore(deployment.connection)
    deployment.open_logs(A)
    before = store.snapshot()
    deployment.write(A, "mem_aaaaaaaa0")
    shown_to_one = deployment.sign()[0]
    store.restore(before)
    deployment.write(A, "mem_bbbbbbbb0")
    shown_to_another = deployment.sign()[0]
    assert verify(deployment, shown_to_another).passed
    assert Check.CHECKPOINT_ROOT in checks(verify(deployment, shown_to_one))


def test_a_remembered_checkpoint_of_a_log_that_is_gone_is_reported(lived: SmallDeployment) -> None:
    note = lived.log.checkpoints(lived.connection, A)[0]
    store = TamperingStore(lived.connection)
    store.remove_log(A)
    store.remove_log(SYSTEM_LOG)
    assert Check.LOG_PRESENT in checks(verify(lived, note))


def test_a_remembered_note_that_is_no_checkpoint_of_this_deployment_is_reported(
    lived: SmallDeployment,
) -> None:
    for note in (b"noise", b"other/origin\n", "memos-vault/ward-1/ \u2028\n".encode(), forged_note(STRANGER)):
        assert Check.CHECKPOINT_NOTE in checks(verify(lived, note))
    elsewhere = SignerKey("memos-vault/elsewhere/clinic", bytes(32))
    note = sign_checkpoint(Checkpoint(elsewhere.name, 3, bytes(32)), [elsewhere]).note
    assert Check.CHECKPOINT_NOTE in checks(verify(lived, note))


def test_a_line_beside_a_checkpoint_that_is_no_signature_is_reported(lived: SmallDeployment) -> None:
    TamperingStore(lived.connection).add_cosignature(A, 9, "witness.example/w1", "noise")
    assert checks(verify(lived)) == {Check.CHECKPOINT_NOTE}


def test_entries_after_the_last_checkpoint_are_told_apart_as_not_signed(lived: SmallDeployment) -> None:
    lived.deny(A)
    report = verify(lived)
    report.require()
    summary = report.logs[1]
    assert (summary.size, summary.signed_size) == (10, 9)


def test_a_log_without_checkpoints_proves_nothing_unless_that_is_allowed(deployment: SmallDeployment) -> None:
    deployment.open_logs(A)
    assert checks(verify(deployment)) == {Check.SIGNED}
    allowed = verify_stored(deployment.connection, deployment.key, unsigned_allowed=True)
    assert allowed.passed


def erase(deployment: SmallDeployment, *named: int) -> int:
    """Record an erasure of payloads, as the vault does, and return the index of its entry."""
    payload: dict[str, JsonValue] = {"log": A, "entries": list(named)}
    record = draft(EventType.PAYLOAD_ERASE, time=deployment.now, action="erase", payload=payload)
    (leaf,) = deployment.log.append(deployment.connection, [record])
    return leaf.index


def test_an_erased_payload_is_counted_and_everything_else_still_verifies(lived: SmallDeployment) -> None:
    eraser = erase(lived, 2)
    TamperingStore(lived.connection).alter(A, 2, salt=None, payload=None, erased_by=eraser)
    report = verify(lived)
    report.require()
    assert report.logs[1].erased == 1


def test_what_was_erased_must_have_been_erased_by_an_entry_that_names_it(lived: SmallDeployment) -> None:
    eraser = erase(lived, 3)
    store = TamperingStore(lived.connection)
    for index, erased_by in ((1, None), (2, eraser), (3, eraser), (4, eraser - 1), (5, 1_000)):
        store.alter(A, index, salt=None, payload=None, erased_by=erased_by)
    found = verify(lived).findings
    assert [(one.index, one.check) for one in found] == [(index, Check.ERASURE) for index in (1, 4, 2, 5)]


def test_what_an_entry_says_it_erased_must_be_gone(lived: SmallDeployment) -> None:
    eraser = erase(lived, 2, 3, 99)
    TamperingStore(lived.connection).alter(A, 2, salt=None, payload=None, erased_by=eraser)
    found = verify(lived).findings
    assert [(one.index, one.check) for one in found] == [(3, Check.ERASURE), (99, Check.ERASURE)]


@pytest.mark.parametrize("payload", [{"log": B, "entries": [2]}, {"log": A, "entries": 2}, {"entries": [2]}])
def test_an_erasure_that_names_no_entries_of_this_log_erases_nothing(
    payload: dict[str, JsonValue], lived: SmallDeployment
) -> None:
    record = draft(EventType.PAYLOAD_ERASE, time=lived.now, action="erase", payload=payload)
    (eraser,) = lived.log.append(lived.connection, [record])
    assert verify(lived).passed
    TamperingStore(lived.connection).alter(A, 2, salt=None, payload=None, erased_by=eraser.index)
    assert checks(verify(lived)) == {Check.ERASURE}


@pytest.mark.parametrize("named", [True, "2", -1, None])
def test_an_erasure_that_names_what_is_no_index_is_reported(named: JsonValue, lived: SmallDeployment) -> None:
    payload: dict[str, JsonValue] = {"log": A, "entries": [named]}
    record = draft(EventType.PAYLOAD_ERASE, time=lived.now, action="erase", payload=payload)
    lived.log.append(lived.connection, [record])
    assert checks(verify(lived)) == {Check.ERASURE}


def test_a_payload_that_stands_is_not_said_to_be_erased(lived: SmallDeployment) -> None:
    lived.connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
    TamperingStore(lived.connection).alter(A, 2, erased_by=7)
    assert checks(verify(lived)) == {Check.ERASURE}


def test_a_half_erased_payload_is_reported(lived: SmallDeployment) -> None:
    store = TamperingStore(lived.connection)
    lived.connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
    store.alter(A, 2, salt=None)
    assert checks(verify(lived)) == {Check.ERASURE}


def test_a_hostile_log_cannot_fill_the_report(
    lived: SmallDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.report.MAX_FINDINGS", 3)
    store = TamperingStore(lived.connection)
    for index in range(9):
        store.alter(A, index, header="{}")
    report = verify(lived)
    assert len(report.findings) == 3
    assert report.more_findings > 5


def test_findings_name_log_entry_and_check_and_no_content(lived: SmallDeployment) -> None:
    TamperingStore(lived.connection).alter(A, 1, payload='{"written":["secret words"]}')
    finding = next(found for found in verify(lived).findings if found.check == Check.COMMITMENT)
    assert str(finding).startswith("clinic-a[1]: payload commitment: expected ")
    assert "secret" not in str(finding)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    index=st.integers(0, 8),
    column=st.sampled_from(["header", "payload", "salt", "leaf_hash", "time_us", "event"]),
    position=st.integers(0, 2**16),
    flip=st.integers(1, 127),
)
def test_any_byte_changed_in_any_column_is_caught(
    lived: SmallDeployment, index: int, column: str, position: int, flip: int
) -> None:
    store = TamperingStore(lived.connection)
    before = store.snapshot()
    row = next(row for row in before.leaves if row["tenant_id"] == A and row["leaf_index"] == index)
    old = row[column]
    new: object
    if isinstance(old, int):
        new = old ^ flip
    elif isinstance(old, str):
        at = position % len(old)
        new = old[:at] + chr(ord(old[at]) ^ flip) + old[at + 1 :]
    else:
        assert isinstance(old, bytes)
        at = position % len(old)
        new = old[:at] + bytes([old[at] ^ flip]) + old[at + 1 :]
    store.alter(A, index, **{column: new})
    report = verify(lived)
    store.restore(before)
    assert not report.passed
    assert any(finding.index == index for finding in report.findings)


def test_a_checkpoint_entry_in_a_tenants_log_records_nothing(lived: SmallDeployment) -> None:
    claim = draft(
        EventType.LOG_CHECKPOINT,
        time=lived.now,
        action="checkpoint",
        resource=B,
        payload={"size": 1, "root": "00" * 32},
    )
    lived.log.append(lived.connection, [claim])
    lived.sign()
    report = verify(lived)
    assert [(finding.log, finding.check) for finding in report.findings] == [(A, Check.PAYLOAD)]


@pytest.mark.parametrize(
    ("resource", "payload"),
    [
        (None, {"size": 1, "root": "00" * 32}),
        (A, {"size": -1, "root": "00" * 32}),
        (A, {"size": "1", "root": "00" * 32}),
        (A, {"size": 1, "root": "00"}),
        (A, {"size": 1, "root": 0}),
        (A, {}),
    ],
)
def test_a_record_of_a_checkpoint_that_says_nothing_is_reported(
    lived: SmallDeployment, resource: str | None, payload: dict[str, JsonValue]
) -> None:
    record = draft(
        EventType.LOG_CHECKPOINT, tenant=SYSTEM_LOG, time=lived.now, resource=resource, payload=payload
    )
    lived.log.append(lived.connection, [record])
    report = verify(lived)
    assert [(finding.log, finding.index, finding.check) for finding in report.findings] == [
        (SYSTEM_LOG, 5, Check.PAYLOAD)
    ]


def test_a_payload_that_was_committed_to_in_another_spelling_is_reported(lived: SmallDeployment) -> None:
    spaced = '{"nth": 0}'
    row = next(lived.log.entries(lived.connection, A, 2, 3))
    store = TamperingStore(lived.connection)
    commitment = commit_payload(bytes(32), spaced.encode())
    store.alter_header(A, 2, parse_header(row.header).commitment, commitment)
    store.alter(A, 2, salt=bytes(32), payload=spaced)
    store.cover_tracks(A)
    assert checks(verify(lived)) == {Check.PAYLOAD, Check.CHECKPOINT_ROOT, Check.SIGNED}


def test_a_snapshot_or_key_of_another_deployment_verifies_nothing(lived: SmallDeployment) -> None:
    for key in (STRANGER.verifier, SignerKey.for_deployment("ward-2", LOG_KEY.seed).verifier):
        found = checks(verify_stored(lived.connection, key))
        assert {Check.CHECKPOINT_NOTE, Check.SIGNED} <= found
