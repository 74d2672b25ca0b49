"""Entries beside a range: an erasure behind it is shown with its proof, and believed for nothing else."""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from audit.archive import TOP
from audit.bundle import BundleTerms, write_bundle
from audit.canonical import JsonValue
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import BundleMalformedError
from audit.event import EventType, Outcome
from audit.evidence import EntryBeside, LogEvidence, StoredEntry
from audit.growing_tree import GrowingTree
from audit.merkle import leaf_hash
from audit.offline import describe
from audit.proof import parse_proof, verify_proof
from audit.report import Check, Report
from audit.trust import Trust
from audit.verify_bundle import verify_bundle
from tests.audit.measure_verify import made_entries
from tests.audit.test_proof import WITNESSES
from tests.simulators.evidence_bundles import (
    Files,
    beside_of,
    checks,
    edited,
    export,
    export_range,
    packed,
    refitted,
    unpacked,
    verify,
    with_manifest,
)
from tests.simulators.small_deployment import LOG_KEY, SmallDeployment, draft
from tests.simulators.tampering_store import TamperingStore

A = "clinic-a"
GONE = 2
PROOF = f"{A}/beside/000000000.tlog-proof"


def told_of(deployment: SmallDeployment, event: EventType, **fields: object) -> int:
    """Append an entry and return its index."""
    payload: dict[str, JsonValue] = {"log": A, "entries": [GONE]}
    made = draft(event, time=deployment.now, action="erase", payload=payload)
    (leaf,) = deployment.log.append(deployment.connection, [replace(made, **fields)])  # type: ignore[arg-type]  # of a draft
    return leaf.index


@pytest.fixture
def erased(deployment: SmallDeployment) -> SmallDeployment:
    """A log of several tiles whose third entry was erased by an entry behind them, and what looks like one."""
    deployment.open_logs(A)
    for nth in range(300):
        deployment.write(A, f"mem_aaaaaaaa{nth}")
    eraser = told_of(deployment, EventType.PAYLOAD_ERASE)
    TamperingStore(deployment.connection).alter(A, GONE, salt=None, payload=None, erased_by=eraser)
    for event, fields in LOOKALIKES.values():
        told_of(deployment, event, **fields)
    deployment.sign()
    return deployment


ERASER = 601
LOOKALIKES: dict[str, tuple[EventType, dict[str, object]]] = {
    "that did not come about": (EventType.PAYLOAD_ERASE, {"outcome": Outcome.FAILED}),
    "that is no erasure": (EventType.AUDIT_READ, {}),
    "of another log": (EventType.PAYLOAD_ERASE, {"payload": {"log": "clinic-b", "entries": [GONE]}}),
    "of entries outside the range": (EventType.PAYLOAD_ERASE, {"payload": {"log": A, "entries": [599, 300]}}),
    "of nothing that is a number": (EventType.PAYLOAD_ERASE, {"payload": {"log": A, "entries": [True, "2"]}}),
    "of what is no list": (EventType.PAYLOAD_ERASE, {"payload": {"log": A, "entries": 1}}),
}
STANDING = ERASER + len(LOOKALIKES) + 1


def shown(deployment: SmallDeployment, beside: Sequence[EntryBeside]) -> bytes:
    return export_range(deployment, A, 0, 256, beside=beside)


def findings(deployment: SmallDeployment, beside: Sequence[EntryBeside]) -> list[tuple[int | None, str]]:
    report = verify(deployment, shown(deployment, beside)).report
    return [(one.index, one.check) for one in report.findings]


def test_an_erasure_behind_a_range_is_shown_beside_it(erased: SmallDeployment) -> None:
    without = verify(erased, shown(erased, ())).report
    found = verify(erased, shown(erased, [beside_of(erased, A, ERASER)]))
    for report in (without, found.report):
        report.require()
    assert (without.logs[0].unproven, without.logs[0].beside) == (1, 0)
    assert (found.report.logs[0].erased, found.report.logs[0].unproven) == (1, 0)
    assert "1 erasing entries shown beside" in "\n".join(describe(found))


def test_it_is_a_proof_that_verifies_alone(erased: SmallDeployment) -> None:
    files = unpacked(shown(erased, [beside_of(erased, A, ERASER)]))
    proven = verify_proof(parse_proof(files[f"{TOP}/{PROOF}"]), Trust((LOG_KEY.verifier,)))
    assert (proven.index, proven.payload) == (ERASER, {"entries": [GONE], "log": A})


def test_a_bundle_without_any_is_as_it_was(erased: SmallDeployment) -> None:
    assert b'"beside"' not in shown(erased, ())
    assert b"/beside/" not in export_range(
        erased, A, 0, 256, payloads=False, beside=[beside_of(erased, A, ERASER)]
    )


@pytest.mark.parametrize("name", LOOKALIKES)
def test_no_erasure_is_taken_from_an_entry(name: str, erased: SmallDeployment) -> None:
    index = ERASER + 1 + list(LOOKALIKES).index(name)
    report = verify(erased, shown(erased, [beside_of(erased, A, index)])).report
    assert [(one.index, one.check) for one in report.findings] == [(index, Check.BESIDE)]
    assert (report.logs[0].unproven, report.logs[0].beside) == (1, 0), "who erased it stays open"


def changed(**fields: object) -> Callable[[EntryBeside], EntryBeside]:
    return lambda one: replace(one, entry=replace(one.entry, **fields))  # type: ignore[arg-type]  # of an entry


FORGED: dict[str, Callable[[EntryBeside], EntryBeside]] = {
    "that stands elsewhere": changed(index=ERASER + 1),
    "within the range": changed(index=GONE + 1),
    "behind the log's end": changed(index=10**6),
    "that is made up": lambda one: changed(header=one.entry.header.replace("payload.erase", "payload.erasf"))(
        one
    ),
    "without its payload": changed(payload=None, salt=None),
    "with another payload": changed(payload='{"entries":[3],"log":"clinic-a"}'),
    "with another salt": changed(salt=bytes(32)),
    "with a salt cut short": changed(salt=bytes(31)),
    "with a path too short": lambda one: replace(one, path=one.path[:-1]),
    "with a path too long": lambda one: replace(one, path=(*one.path, bytes(32))),
    "with another path": lambda one: replace(one, path=one.path[::-1]),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_erasure_is_found(name: str, erased: SmallDeployment) -> None:
    forged = FORGED[name](beside_of(erased, A, ERASER))
    assert findings(erased, [forged]) == [(forged.entry.index, Check.BESIDE)]


def test_one_whose_header_is_none_is_a_finding_though_it_is_signed() -> None:
    entries = list(made_entries(256))
    tree = GrowingTree()
    for entry in entries:
        tree.add(leaf_hash(entry.header.encode()))
    path = (tree.root(),)
    tiles = {
        (0, 0): b"".join(leaf_hash(entry.header.encode()) for entry in entries),
        (0, 1): leaf_hash(b"{}"),
        (1, 0): tree.root(),
    }
    tree.add(tiles[0, 1])
    note = sign_checkpoint(Checkpoint(f"{LOG_KEY.name}/{A}", 257, tree.root()), [LOG_KEY.for_log(A)]).note
    edge = tree.edge()
    file = io.BytesIO()
    log = LogEvidence(
        A,
        (note,),
        entries,
        (edge.size, edge.encode()),
        tiles=lambda level, nth, _width: tiles[level, nth],
        size=257,
        beside=[EntryBeside(StoredEntry(256, "{}", bytes(32), "{}"), path)],
    )
    write_bundle(file, [LOG_KEY.verifier], [log], BundleTerms(complete=False))
    report = verify_bundle(file, Trust((LOG_KEY.verifier,))).report
    assert [(one.index, one.check) for one in report.findings] == [(256, Check.BESIDE)]


def test_one_that_is_shown_twice_or_out_of_order_is_a_finding(erased: SmallDeployment) -> None:
    one = beside_of(erased, A, ERASER)
    assert findings(erased, [one, one]) == [(ERASER, Check.BESIDE)]


def test_what_it_erased_and_still_stands_is_a_finding(erased: SmallDeployment) -> None:
    index = told_of(erased, EventType.PAYLOAD_ERASE, payload={"log": A, "entries": [4, 700]})
    erased.sign()
    beside = [beside_of(erased, A, index) for index in (ERASER, index)]
    assert findings(erased, beside) == [(4, Check.ERASURE)]


def test_what_it_is_said_to_have_erased_and_does_not_name_is_a_finding(erased: SmallDeployment) -> None:
    TamperingStore(erased.connection).alter(A, GONE + 2, salt=None, payload=None, erased_by=ERASER)
    assert verify(erased, shown(erased, ())).report.passed, "as long as the eraser is not shown"
    assert findings(erased, [beside_of(erased, A, ERASER)]) == [(GONE + 2, Check.ERASURE)]


def test_one_that_no_checkpoint_signs_shows_nothing(erased: SmallDeployment) -> None:
    """Anybody can write entries behind the last checkpoint that covers the range."""
    TamperingStore(erased.connection).alter(A, 6, salt=None, payload=None, erased_by=STANDING - 1)
    told_of(erased, EventType.PAYLOAD_ERASE, payload={"log": A, "entries": [6]})
    report = verify(erased, shown(erased, [beside_of(erased, A, STANDING - 1)])).report
    assert report.passed
    assert (report.logs[0].beside, report.logs[0].unproven) == (0, 2)


def test_one_that_too_few_witnesses_saw_shows_nothing(erased: SmallDeployment) -> None:
    witness = WITNESSES[0]
    bundle = shown(erased, [beside_of(erased, A, ERASER)])
    trust = Trust((LOG_KEY.verifier,), (witness.verifier,), 1)
    report: Report = verify_bundle(io.BytesIO(bundle), trust).report
    assert [one.check for one in report.findings] == [Check.COSIGNED]
    assert (report.logs[0].beside, report.logs[0].unproven) == (0, 1)


def proof_as(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda bundle: edited(bundle, PROOF, change, refit=True)


def section_as(**fields: object) -> Callable[[bytes], bytes]:
    def change(bundle: bytes) -> bytes:
        section = json.loads(unpacked(bundle)[f"{TOP}/manifest.json"])["logs"][0]
        return with_manifest(bundle, logs=[section | fields])

    return change


def without_extra(content: bytes) -> bytes:
    first, _, rest = content.partition(b"\n")
    return first + b"\n" + rest.partition(b"\n")[2]


def one_more(bundle: bytes) -> bytes:
    files: Files = unpacked(bundle)
    proof = files[f"{TOP}/{PROOF}"]
    manifest = files.pop(f"{TOP}/manifest.json")
    return packed(
        {**files, f"{TOP}/{A}/beside/000000001.tlog-proof": proof, f"{TOP}/manifest.json": manifest}
    )


MALFORMED: dict[str, Callable[[bytes], bytes]] = {
    "a proof that is none": proof_as(lambda _: b"x"),
    "a proof under another checkpoint": proof_as(lambda old: old + b"x"),
    "a proof without its entry": proof_as(without_extra),
    "a proof with noise for its entry": proof_as(
        lambda old: old.replace(old.split(b"\n")[1], b"extra AAAA", 1)
    ),
    "no number beside": section_as(beside=0),
    "a number that is a truth value": section_as(beside=True),
    "a number that is negative": section_as(beside=-1),
    "more than are there": section_as(beside=2),
    "too many": section_as(beside=1_001),
    "a trillion": section_as(beside=2**40),
    "some without payloads": section_as(payloads=False),
    "some without checkpoints": section_as(checkpoints=0),
    "a file more": one_more,
    "a file that is not listed": lambda bundle: refitted(
        {path: content for path, content in unpacked(bundle).items() if not path.endswith(PROOF)}
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_range_is_refused_with(name: str, erased: SmallDeployment) -> None:
    bundle = shown(erased, [beside_of(erased, A, ERASER)])
    with pytest.raises(BundleMalformedError, match="expected"):
        verify(erased, MALFORMED[name](bundle))


def test_a_whole_log_shows_nothing_beside_it(erased: SmallDeployment) -> None:
    whole = section_as(beside=1)(export(erased, A))
    with pytest.raises(BundleMalformedError, match="beside a range"):
        verify(erased, whole)


def test_an_altered_proof_is_named(erased: SmallDeployment) -> None:
    bundle = shown(erased, [beside_of(erased, A, ERASER)])
    altered = edited(bundle, PROOF, lambda old: old.replace(b"index 601", b"index 602"), refit=False)
    assert {Check.FILE, Check.BESIDE} == checks(verify(erased, altered))
