"""Evidence bundles: carried away, read strictly, verified offline."""

import io
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from audit.archive import BLOCK, TOP
from audit.bundle import BundleTerms, write_bundle
from audit.bundle_reading import read_bundle
from audit.canonical import JsonValue
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import BundleMalformedError
from audit.event import EventType, commit_payload, parse_header
from audit.evidence import SYSTEM_LOG, LogEvidence, StoredCosignature, StoredEntry
from audit.growing_tree import GrowingTree
from audit.manifest import Export
from audit.merkle import leaf_hash
from audit.report import Check
from audit.signing import SignerKey
from audit.trust import Trust
from audit.verify import verify_logs
from audit.verify_bundle import verify_bundle
from audit.verify_run import Recorded
from tests.audit.measure_verify import made_entries
from tests.simulators.evidence_bundles import (
    MANIFEST,
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

REPOSITORY = Path(__file__).resolve().parents[2]
A = "clinic-a"
ENTRIES = f"{A}/tile/entries/000.p/9"
TILE = f"{A}/tile/0/000.p/9"
PAYLOADS = f"{A}/payloads/000000000.jsonl"
NOTES = f"{A}/checkpoints/000000000.jsonl"
STRANGER = SignerKey.for_deployment("ward-1", bytes(32)).verifier


@pytest.fixture
def long(deployment: SmallDeployment) -> SmallDeployment:
    """A deployment whose first log fills three tiles and a little."""
    deployment.open_logs(A)
    for nth in range(400):
        deployment.write(A, f"mem_aaaaaaaa{nth}")
        if nth in {10, 127, 250}:
            deployment.sign()
    deployment.sign()
    return deployment


def test_an_exported_deployment_verifies_offline(lived: SmallDeployment) -> None:
    found = verify(lived, export(lived))
    found.report.require()
    assert found.whole
    assert (found.manifest.keys, found.manifest.complete) == ((str(lived.key),), True)
    assert [(log.tenant, log.size) for log in found.report.logs] == [
        (SYSTEM_LOG, 5),
        (A, 9),
        ("clinic-b", 5),
    ]


def test_the_number_of_entries_written_is_returned(lived: SmallDeployment) -> None:
    logs = lived.log.evidence(lived.connection)
    assert write_bundle(io.BytesIO(), [lived.key], logs, BundleTerms(complete=True)) == 19


def test_the_same_log_makes_the_same_bytes(lived: SmallDeployment) -> None:
    assert export(lived) == export(lived)


def test_a_bundle_can_be_written_to_a_pipe(lived: SmallDeployment) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: object) -> int:
            raise OSError

    pipe = Pipe()
    write_bundle(pipe, [lived.key], lived.log.evidence(lived.connection), BundleTerms(complete=True))
    assert pipe.getvalue() == export(lived)


def test_one_tenants_log_verifies_alone(lived: SmallDeployment) -> None:
    found = verify(lived, export(lived, "clinic-b"))
    found.report.require()
    assert [log.tenant for log in found.report.logs] == ["clinic-b"]


def test_unpacked_a_log_is_a_public_tile_log(long: SmallDeployment) -> None:
    files = unpacked(export(long, A))
    headers = [entry.header for entry in long.log.entries(long.connection, A)]
    entries = files[f"{TOP}/{A}/tile/entries/000"]
    assert entries.startswith(len(headers[0]).to_bytes(2) + headers[0].encode())
    assert files[f"{TOP}/{A}/tile/0/000"][:32] == leaf_hash(headers[0].encode())
    assert f"{TOP}/{A}/tile/1/000.p/3" in files
    assert files[f"{TOP}/{A}/checkpoint"] == long.log.checkpoints(long.connection, A)[-1]


def test_an_erased_entry_is_carried_with_what_erased_it(lived: SmallDeployment) -> None:
    payload: dict[str, JsonValue] = {"log": A, "entries": [2]}
    record = draft(EventType.PAYLOAD_ERASE, time=lived.now, action="erase", payload=payload)
    (eraser,) = lived.log.append(lived.connection, [record])
    TamperingStore(lived.connection).alter(A, 2, salt=None, payload=None, erased_by=eraser.index)
    lived.sign()
    found = verify(lived, export(lived))
    found.report.require()
    assert found.report.logs[1].erased == 1


def test_entries_made_up_behind_an_early_checkpoint_are_no_evidence(lived: SmallDeployment) -> None:
    """A forger without the key keeps a checkpoint that was signed, and writes the rest of the log anew."""
    kept = verify(lived, export(lived, A)).report
    kept.require()
    lived.write(A, "mem_eeeeeeee0")
    forged = verify(lived, export(lived, A)).report
    assert [finding.check for finding in forged.findings] == [Check.SIGNED_END]
    assert forged.logs[0].signed_size == kept.logs[0].size


def test_an_erasure_that_names_no_entries_is_a_finding_and_no_crash(lived: SmallDeployment) -> None:
    payload: dict[str, JsonValue] = {"log": A, "entries": [[1], True, "2"]}
    record = draft(EventType.PAYLOAD_ERASE, time=lived.now, action="erase", payload=payload)
    (eraser,) = lived.log.append(lived.connection, [record])
    lived.sign()
    found = verify(lived, export(lived, A)).report.findings
    assert {(finding.index, finding.check) for finding in found} == {(eraser.index, Check.ERASURE)}


def without_its_policy(deployment: SmallDeployment) -> bytes:
    """Return a log whose policy.load was erased by an entry that names it and is signed."""
    payload: dict[str, JsonValue] = {"log": A, "entries": [0]}
    record = draft(EventType.PAYLOAD_ERASE, time=deployment.now, action="erase", payload=payload)
    (eraser,) = deployment.log.append(deployment.connection, [record])
    TamperingStore(deployment.connection).alter(A, 0, salt=None, payload=None, erased_by=eraser.index)
    deployment.sign()
    return export(deployment, A)


def test_what_may_never_be_erased_is_missed_whoever_says_that_it_was(lived: SmallDeployment) -> None:
    found = verify(lived, without_its_policy(lived)).report.findings
    assert [(one.index, one.check) for one in found] == [(0, Check.ERASURE)]


def test_without_payloads_leaves_roots_and_signatures_still_verify(lived: SmallDeployment) -> None:
    bundle = export(lived, A, payloads=False)
    assert b"written" not in bundle
    found = verify(lived, bundle)
    found.report.require()
    log = found.report.logs[0]
    assert (log.withheld, log.erased, log.signed_size) == (9, 0, 9)
    assert log.unproven > 0, "uses of memories whose writing is not shown are counted, not believed"


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 256), (256, 512), (512, 768), (256, 801), (768, 801), (0, 801)]
)
def test_a_range_keeps_its_proofs(start: int, stop: int, long: SmallDeployment) -> None:
    bundle = export_range(long, A, start, stop)
    found = verify(long, bundle)
    found.report.require()
    log = found.report.logs[0]
    assert (log.start, log.stop, log.size, log.signed_size) == (start, stop, 801, 801)
    assert log.root == long.log.head(long.connection, A).root()
    assert len(bundle) < len(export(long, A)) or (start, stop) == (0, 801)


def test_a_range_leaves_out_checkpoints_that_it_cannot_show_and_says_so(long: SmallDeployment) -> None:
    (section,) = verify(long, export_range(long, A, 512, 768)).manifest.logs
    assert (section.checkpoints, section.left_out) == (1, 3)
    (section,) = verify(long, export_range(long, A, 0, 256)).manifest.logs
    assert (section.checkpoints, section.left_out) == (2, 2)


def test_a_range_beside_the_system_log_says_how_many_recorded_checkpoints_it_cannot_show(
    long: SmallDeployment,
) -> None:
    system, log = long.log.evidence(long.connection, [SYSTEM_LOG, A])
    size = long.log.head(long.connection, A).size
    shown = replace(log, entries=long.log.entries(long.connection, A, 256, 512), start=256, size=size)
    file = io.BytesIO()
    write_bundle(file, [long.key], [system, shown], BundleTerms(complete=False))
    found = verify(long, file.getvalue())
    found.report.require()
    assert [one.unchecked for one in found.report.logs] == [0, 1]


def test_a_range_that_a_kept_checkpoint_cannot_be_held_against_is_not_verified(long: SmallDeployment) -> None:
    """Otherwise another history, signed with the real key, would pass by a range that does not show it."""
    note = long.log.checkpoints(long.connection, A)[0]
    verify(long, export_range(long, A, 512, 768)).report.require()
    found = verify(long, export_range(long, A, 512, 768), note)
    assert checks(found) == {Check.REMEMBERED}


def test_a_remembered_checkpoint_beyond_the_log_shows_a_cut_tail_in_a_range_too(
    long: SmallDeployment,
) -> None:
    bundle = export_range(long, A, 256, 512)
    long.write(A, "mem_bbbbbbbb0")
    note = long.sign()[0]
    assert checks(verify(long, bundle, note)) == {Check.CHECKPOINT_SIZE}


@pytest.mark.parametrize("path", ["tile/1/000.p/3", "tile/0/001", "tile/0/003.p/33", "tile/entries/001"])
def test_a_changed_hash_or_entry_in_a_range_is_caught(path: str, long: SmallDeployment) -> None:
    bundle = export_range(long, A, 256, 512)
    changed = edited(bundle, f"{A}/{path}", lambda old: old[:-40] + bytes(20) + old[-20:], refit=True)
    try:
        found = checks(verify(long, changed))
    except BundleMalformedError:
        assert "entries" in path
        return
    assert found & {Check.TILE, Check.CHECKPOINT_ROOT}


def test_a_changed_tile_far_from_the_range_is_caught(long: SmallDeployment) -> None:
    bundle = export_range(long, A, 256, 512)
    changed = edited(bundle, f"{A}/tile/1/000.p/3", lambda old: bytes(32) + old[32:], refit=True)
    assert Check.CHECKPOINT_ROOT in checks(verify(long, changed))


def test_an_eraser_outside_the_range_is_neither_shown_nor_refuted(long: SmallDeployment) -> None:
    payload: dict[str, JsonValue] = {"log": A, "entries": [2]}
    record = draft(EventType.PAYLOAD_ERASE, time=long.now, action="erase", payload=payload)
    (eraser,) = long.log.append(long.connection, [record])
    long.sign()
    TamperingStore(long.connection).alter(A, 2, salt=None, payload=None, erased_by=eraser.index)
    log = verify(long, export_range(long, A, 0, 256)).report
    log.require()
    assert (log.logs[0].erased, log.logs[0].unproven) == (1, 1)
    verify(long, export(long, A)).report.require()


def range_with_an_eraser(deployment: SmallDeployment) -> bytes:
    """Return a range with the erasure of an entry before it."""
    payload: dict[str, JsonValue] = {"log": A, "entries": [2]}
    record = draft(EventType.PAYLOAD_ERASE, time=deployment.now, action="erase", payload=payload)
    (eraser,) = deployment.log.append(deployment.connection, [record])
    deployment.sign()
    TamperingStore(deployment.connection).alter(A, 2, salt=None, payload=None, erased_by=eraser.index)
    return export_range(deployment, A, 768, deployment.log.head(deployment.connection, A).size)


def test_an_erasure_of_an_entry_before_the_range_is_no_finding(long: SmallDeployment) -> None:
    before = verify(long, export_range(long, A, 768, 801)).report.logs[0].unproven
    found = verify(long, range_with_an_eraser(long)).report
    found.require()
    assert found.logs[0].unproven == before + 2, "the entry's policy, and what it erased"


@pytest.mark.parametrize("eraser", [300, 700, 10**9])
def test_a_payload_in_a_range_is_not_erased_by_an_entry_that_says_nothing_of_it(
    eraser: int, long: SmallDeployment
) -> None:
    """One that is shown and is no erasure, one behind the range, and one beyond the log."""
    TamperingStore(long.connection).alter(A, 7, salt=None, payload=None, erased_by=eraser)
    long.sign()
    size = long.log.head(long.connection, A).size
    found = verify(long, export_range(long, A, 0, 512)).report
    expected = eraser < 512 or eraser >= size
    assert [(one.index, one.check) for one in found.findings] == [(7, Check.ERASURE)] * expected
    assert found.logs[0].unproven > 0 or expected


def test_cosignatures_travel_in_the_notes(lived: SmallDeployment) -> None:
    (log,) = lived.log.evidence(lived.connection, [A])
    line = "\u2014 witness.example/w1 " + "AAAA" * 20
    beside = StoredCosignature(9, "witness.example/w1", line)
    file = io.BytesIO()
    shown = LogEvidence(log.tenant, log.checkpoints, log.entries, cosignatures=(beside,))
    write_bundle(file, [lived.key], [shown], BundleTerms(complete=False))
    notes = unpacked(file.getvalue())[f"{TOP}/{A}/checkpoint"].decode()
    assert notes.endswith(f"{line}\n")
    verify(lived, file.getvalue()).report.require()


def test_checkpoints_come_so_many_in_a_file(lived: SmallDeployment, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("audit.bundle_section", "audit.bundle", "audit.bundle_reading"):
        monkeypatch.setattr(f"{module}.CHECKPOINTS_A_FILE", 1)
    bundle = export(lived, A)
    assert [path for path in unpacked(bundle) if "/checkpoints/" in path] == [
        f"{TOP}/{A}/checkpoints/{nth:09d}.jsonl" for nth in range(2)
    ]
    verify(lived, bundle).report.require()


def written_with(deployment: SmallDeployment, notes: Sequence[bytes]) -> bytes:
    (log,) = deployment.log.evidence(deployment.connection, [A])
    file = io.BytesIO()
    write_bundle(file, [deployment.key], [replace(log, checkpoints=notes)], BundleTerms(complete=False))
    return file.getvalue()


@pytest.mark.parametrize("beyond", [False, True])
def test_checkpoints_that_do_not_come_by_size_are_a_finding(*, beyond: bool, long: SmallDeployment) -> None:
    """They are gone through beside the entries: one that comes late could not be held against the tree."""
    notes = long.log.checkpoints(long.connection, A)
    bundle = written_with(long, (notes[1], notes[0], *notes[2:]))
    assert checks(verify(long, bundle)) == {Check.CHECKPOINT_ORDER}
    if beyond:
        early = export(long, A)
        long.write(A, "mem_bbbbbbbb0")
        later = next(note for note in long.sign() if f"/{A}\n".encode() in note)
        files = unpacked(early)
        lines = files[f"{TOP}/{NOTES}"].splitlines(keepends=True)
        files[f"{TOP}/{NOTES}"] = b"".join([json.dumps(later.decode()).encode() + b"\n", *lines[1:]])
        found = checks(verify(long, refitted(files)))
        assert found == {Check.CHECKPOINT_SIZE, Check.CHECKPOINT_ORDER, Check.SIGNED}


def test_a_checkpoint_after_each_entry_takes_no_more_memory_than_a_few(
    deployment: SmallDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("audit.bundle_section", "audit.bundle", "audit.bundle_reading"):
        monkeypatch.setattr(f"{module}.CHECKPOINTS_A_FILE", 64)
    deployment.open_logs(A)
    for nth in range(600):
        deployment.write(A, f"mem_aaaaaaaa{nth}")
    deployment.sign()
    tree, notes = GrowingTree(), []
    for entry in deployment.log.entries(deployment.connection, A):
        tree.add(leaf_hash(entry.header.encode()))
        checkpoint = Checkpoint(f"{LOG_KEY.name}/{A}", tree.size, tree.root())
        notes.append(sign_checkpoint(checkpoint, [LOG_KEY.for_log(A)]).note)
    peaks = []
    for shown in (notes[-10:], notes):
        bundle = written_with(deployment, shown)
        verify(deployment, bundle).report.require()
        tracemalloc.start()
        found = verify(deployment, bundle)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found.report.logs[0].checkpoints == len(shown)
    # 1,191 more of them took 2 MB when they were held.
    assert peaks[1] - peaks[0] < 150_000 + sum(map(len, notes))


def of_nothing(deployment: SmallDeployment, *notes: bytes, logs: bool = True) -> bytes:
    """Return a bundle of an empty log, or of no log."""
    file = io.BytesIO()
    shown = [LogEvidence(A, notes, [])] if logs else []
    write_bundle(file, [deployment.key], shown, BundleTerms(complete=False))
    return file.getvalue()


def test_a_bundle_of_nothing_is_verified_only_where_that_is_signed(lived: SmallDeployment) -> None:
    """Anybody can write one, and say of a log that it is empty."""
    assert checks(verify(lived, of_nothing(lived))) == {Check.SIGNED}
    assert checks(verify(lived, of_nothing(lived, logs=False))) == {Check.MANIFEST}
    checkpoint = Checkpoint(f"{LOG_KEY.name}/{A}", 0, GrowingTree().root())
    note = sign_checkpoint(checkpoint, [LOG_KEY.for_log(A)]).note
    verify(lived, of_nothing(lived, note)).report.require()


def altered_at(bundle: bytes, at: int) -> bytes:
    return bundle[:at] + bytes([bundle[at] ^ 1]) + bundle[at + 1 :]


def test_a_byte_changed_anywhere_is_noticed(lived: SmallDeployment) -> None:
    bundle = export(lived, A)
    for at in range(0, len(bundle), 61):
        try:
            found = verify(lived, altered_at(bundle, at))
        except BundleMalformedError:
            continue
        assert found.report.findings, f"byte {at} was changed without notice"


@pytest.mark.parametrize("path", [ENTRIES, TILE, PAYLOADS, NOTES])
def test_a_file_that_is_not_the_listed_one_is_named(path: str, lived: SmallDeployment) -> None:
    bundle = edited(
        export(lived, A), path, lambda old: old[:-30] + bytes([old[-30] ^ 1]) + old[-29:], refit=False
    )
    first = verify(lived, bundle).report.findings[0]
    assert (first.log, first.check) == (A, Check.FILE)
    assert first.expected.startswith(path.partition("/")[2])


def test_a_bundle_cut_anywhere_is_refused(lived: SmallDeployment) -> None:
    bundle = export(lived, A)
    for size in range(0, len(bundle), 487):
        with pytest.raises(BundleMalformedError):
            verify(lived, bundle[:size])


def exported_by(deployment: SmallDeployment, who: str, entry: int) -> bytes:
    file = io.BytesIO()
    time = deployment.now.isoformat(timespec="microseconds").replace("+00:00", "Z")
    terms = BundleTerms(complete=False, exported=Export(who, "audit", time, entry))
    write_bundle(file, [deployment.key], deployment.log.evidence(deployment.connection, [A]), terms)
    return file.getvalue()


def test_who_exported_it_is_what_the_log_recorded(lived: SmallDeployment) -> None:
    record = draft(
        EventType.AUDIT_EXPORT, time=lived.now, principal="auditor-1", action="audit", purpose="audit"
    )
    lived.log.append(lived.connection, [record])
    lived.sign()
    verify(lived, exported_by(lived, "auditor-1", 9)).report.require()
    for who, entry in (("auditor-2", 9), ("auditor-1", 8), ("auditor-1", 3)):
        assert checks(verify(lived, exported_by(lived, who, entry))) == {Check.MANIFEST}
    assert checks(verify(lived, exported_by(lived, "auditor-1", 99))) == {Check.MANIFEST}


def test_a_bad_header_where_the_export_should_stand_is_no_crash(lived: SmallDeployment) -> None:
    TamperingStore(lived.connection).alter(A, 4, header="{}")
    assert {Check.MANIFEST, Check.HEADER} <= checks(verify(lived, exported_by(lived, "auditor-1", 4)))


def test_a_bundle_with_logs_in_another_order_is_reported(lived: SmallDeployment) -> None:
    file = io.BytesIO()
    logs = sorted(lived.log.evidence(lived.connection), key=lambda log: log.tenant)
    write_bundle(file, [lived.key], logs, BundleTerms(complete=True))
    found = verify(lived, file.getvalue()).report.findings
    assert {(finding.log, finding.check) for finding in found} == {(SYSTEM_LOG, Check.LOG_ORDER)}


def test_a_bundle_with_a_log_twice_is_refused(lived: SmallDeployment) -> None:
    logs = [*lived.log.evidence(lived.connection), *lived.log.evidence(lived.connection, [A])]
    file = io.BytesIO()
    write_bundle(file, [lived.key], logs, BundleTerms(complete=False))
    with pytest.raises(BundleMalformedError, match="each file once"):
        verify(lived, file.getvalue())
    logs = [*lived.log.evidence(lived.connection), *lived.log.evidence(lived.connection, [A])]
    report = verify_logs(logs, lived.key)
    assert (A, Check.LOG_ORDER) in {(finding.log, finding.check) for finding in report.findings}


def section_of(**fields: object) -> Callable[[bytes], bytes]:
    def change(bundle: bytes) -> bytes:
        (section,) = json.loads(unpacked(bundle)[MANIFEST])["logs"]
        return with_manifest(bundle, logs=[{k: v for k, v in (section | fields).items() if v is not ...}])

    return change


def files_as(change: Callable[[list[list[object]]], object]) -> Callable[[bytes], bytes]:
    def apply(bundle: bytes) -> bytes:
        files = json.loads(unpacked(bundle)[MANIFEST])["files"]
        change(files)
        return with_manifest(bundle, files=files)

    return apply


def lines_as(path: str, change: Callable[[list[bytes]], list[bytes]]) -> Callable[[bytes], bytes]:
    def apply(bundle: bytes) -> bytes:
        def edit(old: bytes) -> bytes:
            return b"".join(line + b"\n" for line in change(old.split(b"\n")[:-1]))

        return edited(bundle, path, edit, refit=True)

    return apply


def first_line(**fields: object) -> Callable[[bytes], bytes]:
    def change(lines: list[bytes]) -> list[bytes]:
        line = {k: v for k, v in (json.loads(lines[0]) | fields).items() if v is not ...}
        return [json.dumps(line, sort_keys=True, separators=(",", ":")).encode(), *lines[1:]]

    return lines_as(PAYLOADS, change)


def file_as(path: str, content: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda bundle: edited(bundle, path, content, refit=True)


def member_as(change: Callable[[bytearray], None]) -> Callable[[bytes], bytes]:
    """Change the first file's header, and make its check sum fit."""

    def apply(bundle: bytes) -> bytes:
        header = bytearray(bundle[:BLOCK])
        change(header)
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        return bytes(header) + bundle[BLOCK:]

    return apply


def renamed(name: bytes, prefix: bytes | None = None) -> Callable[[bytes], bytes]:
    def change(header: bytearray) -> None:
        header[:100] = name.ljust(100, b"\0")
        if prefix is not None:
            header[345:500] = prefix.ljust(155, b"\0")

    return member_as(change)


def field_as(at: int, value: bytes) -> Callable[[bytes], bytes]:
    def change(header: bytearray) -> None:
        header[at : at + len(value)] = value

    return member_as(change)


def with_files(change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> Callable[[bytes], bytes]:
    return lambda bundle: packed(change(unpacked(bundle)))


MANIFEST_LIES: dict[str, Callable[[bytes], bytes]] = {
    "keys that are none": lambda bundle: with_manifest(bundle, keys=["x"]),
    "keys of a stranger": lambda bundle: with_manifest(bundle, keys=[str(STRANGER)]),
    "no keys": lambda bundle: with_manifest(bundle, keys=[]),
    "another origin": section_of(origin="memos-vault/ward-1/clinic-b"),
    "another root": section_of(root="00" * 32),
    "checkpoints left out of a whole log": section_of(left_out=1),
}


@pytest.mark.parametrize("name", MANIFEST_LIES)
def test_a_manifest_is_not_believed_that_says(name: str, lived: SmallDeployment) -> None:
    assert checks(verify(lived, MANIFEST_LIES[name](export(lived, A)))) == {Check.MANIFEST}


BAD_BUNDLES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "noise": lambda _: b"x" * 2048,
    "a zip archive": lambda bundle: b"PK\x03\x04" + bundle,
    "a compressed archive": lambda bundle: __import__("gzip").compress(bundle),
    "more after the end": lambda bundle: bundle + b"\0",
    "one empty block at the end": lambda bundle: bundle[:-BLOCK],
    "no manifest": with_files(lambda files: {p: c for p, c in files.items() if p != MANIFEST}),
    "the manifest first": with_files(lambda files: {MANIFEST: files.pop(MANIFEST)} | files),
    "a file more": with_files(lambda files: {f"{TOP}/x": b""} | files),
    "a file less": with_files(lambda files: {p: c for p, c in files.items() if not p.endswith("jsonl")}),
    "a file more, and listed": lambda bundle: refitted({f"{TOP}/{A}/x": b""} | unpacked(bundle)),
    "a file less, and not listed": lambda bundle: refitted(
        {p: c for p, c in unpacked(bundle).items() if not p.endswith("jsonl")}
    ),
    "an absolute path": renamed(b"etc/passwd", b"/"),
    "a path upwards": renamed(b"../../x"),
    "a path upwards in its prefix": renamed(b"x", b"evidence/.."),
    "a path in other case": renamed(b"TILE/entries/000.p/9"),
    "a path with a backslash": renamed(b"tile\\entries"),
    "a path with a zero byte in it": renamed(b"tile\0/entries"),
    "a path that is no ASCII": renamed("tile/\u00e9".encode()),
    "another top": renamed(b"x", b"elsewhere"),
    "a symbolic link": field_as(156, b"2"),
    "a hard link": field_as(156, b"1"),
    "a device": field_as(156, b"3"),
    "a folder": field_as(156, b"5"),
    "a pax extension": field_as(156, b"x"),
    "a long name of GNU": field_as(156, b"L"),
    "a sparse file of GNU": field_as(156, b"S"),
    "a link's target": field_as(157, b"/etc/passwd"),
    "another mode": field_as(100, b"0004777\0"),
    "another owner": field_as(108, b"0000001\0"),
    "another time": field_as(136, b"00000000001\0"),
    "a size in base 256": field_as(124, b"\x80" + bytes(10) + b"\x05"),
    "a negative size": field_as(124, b"\xff" * 12),
    "a size with blanks": field_as(124, b"       1234 \0"),
    "a size of eight gigabytes in a small file": field_as(124, b"77777777777\0"),
    "a size that reaches over the end": field_as(124, b"00100000000\0"),
    "a check sum that is wrong": lambda bundle: bundle[:148] + b"000000\0 " + bundle[156:],
    "something in the padding": lambda bundle: (
        bundle.replace(b"}\0\0", b"}\0x", 1) if b"}\0\0" in bundle else bundle[:-1]
    ),
    "a manifest that is no JSON": lambda bundle: packed({**unpacked(bundle), MANIFEST: b"x"}),
    "a manifest of invalid UTF-8": lambda bundle: packed({**unpacked(bundle), MANIFEST: b'"\xff"'}),
    "a manifest with spaces": lambda bundle: packed(
        {**unpacked(bundle), MANIFEST: unpacked(bundle)[MANIFEST].replace(b":", b": ", 1)}
    ),
    "a manifest with a key twice": lambda bundle: packed(
        {**unpacked(bundle), MANIFEST: unpacked(bundle)[MANIFEST].replace(b"{", b'{"complete":false,', 1)}
    ),
    "a manifest nested without end": lambda bundle: packed({**unpacked(bundle), MANIFEST: b"[" * 100_000}),
    "another format": lambda bundle: with_manifest(bundle, format="memos-vault-audit/3"),
    "a manifest with more": lambda bundle: with_manifest(bundle, note="x"),
    "a manifest with less": lambda bundle: with_manifest(bundle, policy=...),
    "completeness that is no boolean": lambda bundle: with_manifest(bundle, complete=1),
    "keys that are no list": lambda bundle: with_manifest(bundle, keys="x"),
    "keys with controls in them": lambda bundle: with_manifest(bundle, keys=["\x1b[2J"]),
    "an exporter that is none": lambda bundle: with_manifest(bundle, exported={"by": "x"}),
    "an exporter with a fraction": lambda bundle: with_manifest(
        bundle, exported={"by": "x", "entry": 1.5, "purpose": "x", "time": "x"}
    ),
    "a log whose name is a path": section_of(log="../x"),
    "a log whose name is in other case": section_of(log="Clinic-A"),
    "a log with more": section_of(more=1),
    "a log with less": section_of(root=...),
    "a root that is no hash": section_of(root="00"),
    "a root in capitals": section_of(root="AB" * 32),
    "a size that is negative": section_of(size=-1),
    "a size that is a truth value": section_of(size=True),
    "a size that is a text": section_of(size="9"),
    "a size beyond all": section_of(size=2**53 - 1, stop=2**53 - 1),
    "ten million entries in a small file": section_of(size=10_000_000, stop=10_000_000),
    "a trillion entries in a small file": section_of(size=2**40, stop=2**40),
    "a trillion entries of which none are shown": section_of(size=2**40, start=0, stop=0),
    "a size of 0": section_of(size=0, stop=0),
    "a start behind the stop": section_of(start=256),
    "a start within a tile": section_of(start=1),
    "a stop within a tile": section_of(stop=8),
    "a stop behind the size": section_of(stop=10),
    "payloads that are not there": section_of(payloads=1),
    "a checkpoint too many": section_of(checkpoints=3),
    "a checkpoint too few": section_of(checkpoints=1),
    "no checkpoints, and files of them": section_of(checkpoints=0),
    "a file of another size": files_as(lambda files: files[0].__setitem__(1, 1)),
    "a file of another name": files_as(lambda files: files[0].__setitem__(0, "x")),
    "a file twice": files_as(lambda files: files.append(files[0])),
    "a file with a digest that is none": files_as(lambda files: files[0].__setitem__(2, "x")),
    "a file with more": files_as(lambda files: files[0].append(1)),
    "a file whose size is a truth value": files_as(lambda files: files[0].__setitem__(1, bool(files))),
    "files that are no list": lambda bundle: with_manifest(bundle, files={}),
    "an entry less": file_as(ENTRIES, lambda old: old[2 + int.from_bytes(old[:2]) :]),
    "an entry more": file_as(ENTRIES, lambda old: old + old[: 2 + int.from_bytes(old[:2])]),
    "an entry that reaches over the end": file_as(ENTRIES, lambda old: b"\xff\xff" + old[2:]),
    "an entry of invalid UTF-8": file_as(ENTRIES, lambda old: old[:2] + b"\xff" + old[3:]),
    "a payload less": lines_as(PAYLOADS, lambda lines: lines[1:]),
    "a payload more": lines_as(PAYLOADS, lambda lines: [*lines, lines[0]]),
    "an empty line": lines_as(PAYLOADS, lambda lines: [b"", *lines[1:]]),
    "a line that is no object": lines_as(PAYLOADS, lambda lines: [b"[]", *lines[1:]]),
    "a line with spaces": lines_as(PAYLOADS, lambda lines: [lines[0].replace(b":", b": ", 1), *lines[1:]]),
    "a line with a key twice": lines_as(PAYLOADS, lambda lines: [b'{"index":0,"index":0}', *lines[1:]]),
    "a line nested without end": lines_as(PAYLOADS, lambda lines: [b"[" * 100_000, *lines[1:]]),
    "a line of invalid UTF-8": lines_as(PAYLOADS, lambda lines: [b'{"\xff":1}', *lines[1:]]),
    "a last line without its end": file_as(PAYLOADS, lambda old: old[:-1]),
    "a line of empty lists": lines_as(
        PAYLOADS, lambda lines: [b'{"index":[' + b"[]," * 999_999 + b"[]]}", *lines[1:]]
    ),
    "a line with an escape that is none": lines_as(
        PAYLOADS, lambda lines: [b'{"index":0,"payload":"\\q"}', *lines[1:]]
    ),
    "a million empty lines": file_as(PAYLOADS, lambda _: b"\n" * 1_000_000),
    "a manifest of a million empty lists": lambda bundle: with_manifest(bundle, files=[[]] * 1_000_000),
    "keys of a million empty lists": lambda bundle: with_manifest(bundle, keys=[[]] * 1_000_000),
    "a line without an index": first_line(index=...),
    "an index that is a truth value": first_line(index=False),
    "an index that is negative": first_line(index=-1),
    "an index as a fraction": first_line(index=0.0),
    "a line with more": first_line(more=1),
    "a payload that is no text": first_line(payload={}),
    "a salt that is no text": first_line(salt=1),
    "a salt that is no base64": first_line(salt="?"),
    "a salt in another base64": first_line(salt="AB=="),
    "an eraser that is no index": first_line(erased_by="1"),
    "a checkpoint that is no text": lines_as(NOTES, lambda lines: [b"1", *lines[1:]]),
    "a last checkpoint that is another": file_as(f"{A}/checkpoint", lambda old: old + b"x"),
}


@pytest.mark.parametrize("name", BAD_BUNDLES)
def test_a_bundle_is_refused_that_has(name: str, lived: SmallDeployment) -> None:
    with pytest.raises(BundleMalformedError, match="expected"):
        verify(lived, BAD_BUNDLES[name](export(lived, A)))


@pytest.mark.parametrize("name", [name for name in BAD_BUNDLES if "million" in name or "empty lists" in name])
def test_what_would_grow_is_refused_in_a_few_times_its_bytes(name: str, lived: SmallDeployment) -> None:
    bad = BAD_BUNDLES[name](export(lived, A))
    tracemalloc.start()
    try:
        with pytest.raises(BundleMalformedError, match="expected"):
            verify(lived, bad)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(bad) + 1_000_000
    finally:
        tracemalloc.stop()


def test_the_same_file_twice_is_refused(lived: SmallDeployment) -> None:
    bundle = export(lived, A)
    size = BLOCK * (2 + int(bundle[124:135], 8) // BLOCK)
    with pytest.raises(BundleMalformedError, match="each file once"):
        verify(lived, bundle[:size] + bundle)


def test_an_archive_of_too_many_files_is_refused(
    lived: SmallDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.archive.MAX_MEMBERS", 3)
    with pytest.raises(BundleMalformedError, match="at most 3 files"):
        verify(lived, export(lived, A))


def test_a_file_beyond_its_limit_is_refused_before_it_is_read(
    lived: SmallDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.bundle_reading.MAX_PAYLOADS_SIZE", 10)
    with pytest.raises(BundleMalformedError, match="at most 10 bytes"):
        verify(lived, export(lived, A))


def test_a_manifest_beyond_its_limit_is_refused_before_it_is_read(
    lived: SmallDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.manifest.MAX_MANIFEST_SIZE", 100)
    with pytest.raises(BundleMalformedError, match="manifest of at most 100 bytes"):
        verify(lived, export(lived, A))


WRONG_CONTENT: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a tile one byte short": (file_as(TILE, lambda old: old[:-1]), Check.TILE),
    "a tile of one hash less": (file_as(TILE, lambda old: old[:-32]), Check.TILE),
    "a tile of one hash more": (file_as(TILE, lambda old: old + bytes(32)), Check.TILE),
    "a tile of other hashes": (file_as(TILE, lambda old: bytes(len(old))), Check.TILE),
    "an index that is another": (first_line(index=5), Check.INDEX),
    "a payload that is another": (first_line(payload='{"x":1}'), Check.COMMITMENT),
    "a payload without its salt": (first_line(salt=...), Check.ERASURE),
    "a payload that was erased by nobody": (first_line(salt=..., payload=...), Check.ERASURE),
    "an index that is large": (first_line(index=2**50, salt=..., payload=...), Check.INDEX),
}


@pytest.mark.parametrize("name", WRONG_CONTENT)
def test_a_bundle_fails_that_has(name: str, lived: SmallDeployment) -> None:
    change, check = WRONG_CONTENT[name]
    assert check in checks(verify(lived, change(export(lived, A))))


def test_a_whole_history_recomputed_without_the_key_fails_by_its_checkpoint(lived: SmallDeployment) -> None:
    store = TamperingStore(lived.connection)
    row = next(lived.log.entries(lived.connection, A, 1, 2))
    lie = '{"written":[]}'
    old = parse_header(row.header).commitment
    store.alter_header(A, 1, old, commit_payload(bytes(32), lie.encode()))
    store.alter(A, 1, salt=bytes(32), payload=lie)
    store.cover_tracks(A)
    assert Check.CHECKPOINT_ROOT in checks(verify(lived, export(lived, A)))


@pytest.mark.parametrize("text", ["\ud800", "\u2028", "x\ny", "x" * 70_000])
def test_odd_texts_of_a_damaged_log_are_written_and_become_findings(
    text: str, lived: SmallDeployment
) -> None:
    log = LogEvidence(A, (b"x",), [StoredEntry(0, text, bytes(32), text)])
    file = io.BytesIO()
    write_bundle(file, [lived.key], [log], BundleTerms(complete=False))
    found = verify(lived, file.getvalue())
    assert checks(found) == {Check.CHECKPOINT_NOTE, Check.HEADER, Check.SIGNED, Check.MANIFEST}


def test_a_log_whose_name_is_no_id_is_not_repeated(lived: SmallDeployment) -> None:
    log = LogEvidence("\x1b[2Jclinic", (b"x",), [])
    report = verify_logs([log], lived.key)
    assert [(finding.log, finding.check) for finding in report.findings] == [
        ("unnamed", Check.CHECKPOINT_NOTE),
        ("unnamed", Check.SIGNED),
    ]


def test_the_offline_verifier_needs_nothing_beyond_the_audit_room_and_cryptography(
    lived: SmallDeployment, tmp_path: Path
) -> None:
    bundle = tmp_path / "evidence.tar"
    bundle.write_bytes(export(lived))
    program = f"""
import sys
for name in ("vault", "policies", "api", "lifecycle", "compliance", "sqlalchemy", "sqlmodel", "fastapi"):
    sys.modules[name] = None
before = set(sys.modules)
from audit.signing import VerifierKey
from audit.trust import Trust
from audit.verify_bundle import verify_bundle
from audit.verify_run import Recorded
import audit.proof
with open({str(bundle)!r}, "rb") as file:
    verify_bundle(file, Trust((VerifierKey.parse({str(lived.key)!r}),))).report.require()
print(*sorted({{name.split('.')[0] for name in set(sys.modules) - before}} - sys.stdlib_module_names))
"""
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert set(run.stdout.split()) <= {"audit", "cryptography", "_cffi_backend", "_openssl"}


@pytest.mark.parametrize("kept", [1, 3, 7, 4096])
def test_files_are_found_whatever_share_of_their_places_is_kept(
    kept: int, long: SmallDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.bundle_files._KEPT", kept)
    verify(long, export(long)).report.require()
    bundle = edited(export(long, A), f"{A}/tile/0/001", lambda old: bytes(32) + old[32:], refit=False)
    assert checks(verify(long, bundle)) == {Check.FILE, Check.TILE}


@pytest.mark.parametrize("kept", [1, 4096])
def test_a_bundle_that_is_changed_while_it_is_verified_is_refused(
    kept: int, lived: SmallDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints are gone through twice: whoever writes the file could show others the second time."""
    monkeypatch.setattr("audit.bundle_files._KEPT", kept)
    file = io.BytesIO(export(lived, A))
    logs = read_bundle(file).logs
    content = file.getvalue()
    at = content.rindex(b'"]],"format"') - 1
    file.seek(at)
    file.write(b"0" if content[at : at + 1] != b"0" else b"1")
    with pytest.raises(BundleMalformedError, match="stays as it is"):
        verify_logs(logs, lived.key)


def test_what_a_strangers_altered_files_are_called_is_kept_of_so_many_alone(
    lived: SmallDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.bundle_files.MAX_ALTERED", 1)
    files = unpacked(export(lived, A))
    for path in (TILE, NOTES):
        files[f"{TOP}/{path}"] = b"\0" + files[f"{TOP}/{path}"][1:]
    found = verify(lived, packed(files))
    assert [one.check for one in found.report.findings].count(Check.FILE) == 1


def test_four_times_the_entries_take_no_more_memory() -> None:
    """The list of files, the ids that were written, tiles: all of them are of the log's length."""
    peaks = []
    for count in (5_000, 20_000):
        bundle = made_bundle(count)
        tracemalloc.start()
        found = verify_bundle(bundle, Trust((LOG_KEY.verifier,)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        found.report.require()
        assert found.report.logs[0].size == count
    # When the list of files and the ids that were written were held, they were 2.8 MB.
    assert peaks[1] - peaks[0] < 64_000, peaks


def made_bundle(count: int) -> io.BytesIO:
    """Return a bundle of so many made-up writes under one checkpoint."""
    tree = GrowingTree()
    for entry in made_entries(count):
        tree.add(leaf_hash(entry.header.encode()))
    checkpoint = Checkpoint(f"{LOG_KEY.name}/{A}", tree.size, tree.root())
    note = sign_checkpoint(checkpoint, [LOG_KEY.for_log(A)]).note
    file = io.BytesIO()
    log = LogEvidence(A, [note], made_entries(count))
    write_bundle(file, [LOG_KEY.verifier], [log], BundleTerms(complete=False))
    return file


def test_reading_goes_on_only_as_logs_are_asked_for(lived: SmallDeployment) -> None:
    opened = read_bundle(io.BytesIO(export(lived)))
    assert next(opened.logs).tenant == SYSTEM_LOG
    assert not opened.altered


def test_a_bundle_that_its_maker_wrote_wrongly_is_told_from_one_that_was_altered(
    lived: SmallDeployment,
) -> None:
    broken = file_as(ENTRIES, lambda old: b"\xff\xff" + old[2:])
    with pytest.raises(BundleMalformedError):
        verify(lived, broken(export(lived, A)))
    altered = edited(export(lived, A), ENTRIES, lambda old: b"\xff\xff" + old[2:], refit=False)
    found = verify_bundle(io.BytesIO(altered), Trust((lived.key,)))
    assert not found.whole
    assert checks(found) == {Check.FILE}


def test_notes_of_a_bundle_are_read_one_by_one_too(long: SmallDeployment) -> None:
    notes = long.log.checkpoints(long.connection, A)
    shown = next(read_bundle(io.BytesIO(export(long, A))).logs).checkpoints
    assert (len(shown), tuple(shown), shown[-1], tuple(shown[1:])) == (4, notes, notes[-1], notes[1:])


def test_what_the_system_log_says_is_found_in_whatever_order_it_says_it() -> None:
    recorded = Recorded()
    assert not recorded
    for size, root in ((3, b"c"), (1, b"a"), (3, b"b"), (2, b"d")):
        recorded.add(size, root * 32)
    assert [size for size, _ in recorded] == [1, 2, 3, 3]
    assert recorded.holds(3, b"c" * 32)
    assert recorded.holds(3, b"b" * 32)
    assert not recorded.holds(3, b"a" * 32)
    assert not recorded.holds(9, b"a" * 32)


def test_keys_of_many_logs_are_not_all_kept(lived: SmallDeployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.succession._MAX_KNOWN", 1)
    verify(lived, export(lived)).report.require()
