"""Evidence bundles: carried away, read strictly, verified offline."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.bundle import MAX_LINE_SIZE, read_bundle, write_bundle
from audit.errors import BundleMalformedError
from audit.evidence import SYSTEM_LOG, LogEvidence, StoredEntry
from audit.verify import Check, Report, verify_logs
from tests.simulators.small_deployment import SmallDeployment
from tests.simulators.tampering_store import TamperingStore

REPOSITORY = Path(__file__).resolve().parents[2]


def export(deployment: SmallDeployment, *tenants: str) -> bytes:
    file = io.BytesIO()
    logs = deployment.log.evidence(deployment.connection, tenants or None)
    write_bundle(file, deployment.key, logs, complete=not tenants)
    return file.getvalue()


def verify(deployment: SmallDeployment, bundle: bytes) -> Report:
    opened = read_bundle(io.BytesIO(bundle))
    return verify_logs(opened.logs, deployment.key, now=deployment.now, complete=opened.complete)


def test_an_exported_deployment_verifies_offline(lived: SmallDeployment) -> None:
    bundle = export(lived)
    opened = read_bundle(io.BytesIO(bundle))
    assert (opened.key, opened.complete) == (lived.key, True)
    report = verify(lived, bundle)
    report.require()
    assert [(log.tenant, log.size) for log in report.logs] == [
        (SYSTEM_LOG, 5),
        ("clinic-a", 9),
        ("clinic-b", 5),
    ]


def test_the_number_of_entries_written_is_returned(lived: SmallDeployment) -> None:
    assert write_bundle(io.BytesIO(), lived.key, lived.log.evidence(lived.connection), complete=True) == 19


def test_one_tenants_log_verifies_alone(lived: SmallDeployment) -> None:
    report = verify(lived, export(lived, "clinic-b"))
    report.require()
    assert [log.tenant for log in report.logs] == ["clinic-b"]


def test_an_erased_entry_is_carried_as_erased(lived: SmallDeployment) -> None:
    TamperingStore(lived.connection).alter("clinic-a", 2, salt=None, payload=None)
    report = verify(lived, export(lived))
    report.require()
    assert report.logs[1].erased == 1


def test_a_bundle_is_one_json_line_each_and_no_line_of_it_can_be_lost(lived: SmallDeployment) -> None:
    lines = export(lived).splitlines(keepends=True)
    for at in range(len(lines)):
        shorter = b"".join(lines[:at] + lines[at + 1 :])
        try:
            report = verify(lived, shorter)
        except BundleMalformedError:
            continue
        pytest.fail(f"line {at} was lost without notice: {report}")


def test_no_line_of_a_bundle_can_be_doubled(lived: SmallDeployment) -> None:
    lines = export(lived).splitlines(keepends=True)
    for at in range(len(lines)):
        with pytest.raises(BundleMalformedError):
            verify(lived, b"".join([*lines[: at + 1], *lines[at:]]))


def test_a_bundle_cut_anywhere_is_refused(lived: SmallDeployment) -> None:
    bundle = export(lived)
    for size in range(0, len(bundle), 97):
        with pytest.raises(BundleMalformedError):
            verify(lived, bundle[:size])


def test_a_bundle_with_logs_in_another_order_is_reported(lived: SmallDeployment) -> None:
    file = io.BytesIO()
    logs = sorted(lived.log.evidence(lived.connection), key=lambda log: log.tenant)
    write_bundle(file, lived.key, logs, complete=True)
    report = verify(lived, file.getvalue())
    assert {(finding.log, finding.check) for finding in report.findings} == {(SYSTEM_LOG, Check.LOG_ORDER)}


def test_a_bundle_with_a_log_twice_is_reported(lived: SmallDeployment) -> None:
    logs = [*lived.log.evidence(lived.connection), *lived.log.evidence(lived.connection, ["clinic-a"])]
    report = verify_logs(logs, lived.key)
    assert ("clinic-a", Check.LOG_ORDER) in {(finding.log, finding.check) for finding in report.findings}


def test_logs_must_be_read_in_order(lived: SmallDeployment) -> None:
    logs = read_bundle(io.BytesIO(export(lived))).logs
    next(logs)
    with pytest.raises(BundleMalformedError, match="system: expected its entries to be read"):
        next(logs)


def edited(line: int, edit: Callable[[dict[str, object]], object]) -> Callable[[bytes], bytes]:
    def change(bundle: bytes) -> bytes:
        lines = bundle.splitlines()
        record = json.loads(lines[line])
        edit(record)
        lines[line] = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
        return b"\n".join(lines) + b"\n"

    return change


def replaced(line: int, text: bytes) -> Callable[[bytes], bytes]:
    def change(bundle: bytes) -> bytes:
        lines = bundle.splitlines()
        lines[line] = text
        return b"\n".join(lines) + b"\n"

    return change


BAD_BUNDLES: dict[str, Callable[[bytes], bytes]] = {
    "another format": edited(0, lambda line: line.update(bundle="memos-vault-audit/2")),
    "a first line with more": edited(0, lambda line: line.update(note="x")),
    "a key that is none": edited(0, lambda line: line.update(key="x")),
    "a key that is no text": edited(0, lambda line: line.update(key=1)),
    "completeness that is no boolean": edited(0, lambda line: line.update(complete=1)),
    "a log without checkpoints": edited(1, lambda line: line.pop("checkpoints")),
    "checkpoints that are no list": edited(1, lambda line: line.update(checkpoints="x")),
    "checkpoints that are no texts": edited(1, lambda line: line.update(checkpoints=[1])),
    "a log with a number for a name": edited(1, lambda line: line.update(log=1)),
    "a log with more": edited(1, lambda line: line.update(more=1)),
    "an entry without a header": edited(2, lambda line: line.pop("header")),
    "an entry with more": edited(2, lambda line: line.update(more=1)),
    "an entry without an index": edited(2, lambda line: line.pop("index")),
    "an index that is a boolean": edited(2, lambda line: line.update(index=False)),
    "a payload that is no text": edited(2, lambda line: line.update(payload={})),
    "a salt that is no text": edited(2, lambda line: line.update(salt=1)),
    "a salt that is no base64": edited(2, lambda line: line.update(salt="?")),
    "the end of another log": edited(7, lambda line: line.update(end="clinic-a")),
    "a size that is not": edited(7, lambda line: line.update(size=4)),
    "a size as a fraction": edited(7, lambda line: line.update(size=5.0)),
    "a number of logs that is not": edited(-1, lambda line: line.update(logs=2)),
    "more after the end": lambda bundle: bundle + b"x",
    "an empty line": replaced(2, b""),
    "a line that is no object": replaced(2, b"[]"),
    "a line with spaces": replaced(-1, b'{"logs": 3}'),
    "a line with a key twice": replaced(-1, b'{"logs":3,"logs":3}'),
    "a line nested without end": replaced(2, b"[" * 100_000),
    "a line of invalid UTF-8": replaced(2, b'{"\xff":1}'),
    "a line without end": replaced(2, b"x" * (MAX_LINE_SIZE + 2)),
    "nothing": lambda _: b"",
}


@pytest.mark.parametrize("name", BAD_BUNDLES)
def test_a_bundle_is_refused_that_has(name: str, lived: SmallDeployment) -> None:
    with pytest.raises(BundleMalformedError, match="expected"):
        verify(lived, BAD_BUNDLES[name](export(lived)))


@pytest.mark.parametrize("text", ["\ud800", "\u2028", "x\ny"])
def test_odd_texts_in_a_bundle_become_findings_and_no_crash(text: str, lived: SmallDeployment) -> None:
    log = LogEvidence("clinic-a", (b"x",), [StoredEntry(0, text, bytes(32), text)])
    file = io.BytesIO()
    write_bundle(file, lived.key, [log], complete=False)
    report = verify(lived, edited(1, lambda line: line.update(checkpoints=[text]))(file.getvalue()))
    assert {finding.check for finding in report.findings} == {
        Check.CHECKPOINT_NOTE,
        Check.HEADER,
        Check.SIGNED,
    }


def test_a_log_whose_name_is_no_id_is_not_repeated(lived: SmallDeployment) -> None:
    log = LogEvidence("\x1b[2Jclinic", (b"x",), [])
    report = verify_logs([log], lived.key)
    assert [(finding.log, finding.check) for finding in report.findings] == [
        ("unnamed", Check.CHECKPOINT_NOTE)
    ]


def test_the_offline_verifier_loads_nothing_beyond_the_audit_room_and_cryptography() -> None:
    program = (
        "import sys; before = set(sys.modules); import audit.bundle, audit.verify;"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert set(run.stdout.split()) <= {"audit", "cryptography", "_cffi_backend", "_openssl"}
