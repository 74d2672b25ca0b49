"""Verifying one file: what is taken for keys, what is said, and noise in every parser of evidence."""

import io
import json
import time
import tracemalloc
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audit.__main__ import main
from audit.archive import BLOCK, TOP, ArchiveReader, ArchiveWriter, make_header
from audit.bundle_reading import read_bundle
from audit.cosignature import WitnessVerifierKey
from audit.errors import BundleMalformedError, KeyMalformedError, MalformedError, VerificationError
from audit.offline import Terms, describe, verify_file
from audit.proof import CarriedEntry, TlogProof
from audit.signing import SignerKey, sign_handover
from audit.trust import Trust
from audit.verify_bundle import BundleReport, verify_bundle
from tests.audit.test_proof import WITNESSES, cosigned, entry_of, proof_of
from tests.simulators.evidence_bundles import MANIFEST, export, export_range, packed, unpacked
from tests.simulators.small_deployment import LOG_KEY, SmallDeployment
from tests.simulators.tampering_store import TamperingStore

A = "clinic-a"
KEY = str(LOG_KEY.verifier)
TRUST = Trust((LOG_KEY.verifier,))


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_keys_are_given_as_text_or_as_files_of_lines(lived: SmallDeployment, tmp_path: Path) -> None:
    bundle = written(tmp_path / "log.tar", export(lived, A))
    keys = written(
        tmp_path / "keys", f"\n  {KEY}\n{SignerKey.for_deployment('x', bytes(32)).verifier}\n".encode()
    )
    for keys_given in ([KEY], [f" {KEY}\n"], [str(keys)], [keys]):
        found = verify_file(bundle, Terms(keys_given))
        assert isinstance(found, BundleReport)
        assert found.report.passed
    with pytest.raises(KeyMalformedError):
        Terms(["nonsense"])
    with pytest.raises(KeyMalformedError, match="at least one"):
        Terms([written(tmp_path / "empty", b"\n")])
    with pytest.raises(BundleMalformedError, match="text"):
        Terms([written(tmp_path / "bytes", b"\xff")])
    with pytest.raises(FileNotFoundError):
        Terms([tmp_path / "none"])


def test_a_key_that_was_handed_over_is_followed(lived: SmallDeployment, tmp_path: Path) -> None:
    bundle = written(tmp_path / "log.tar", export(lived, A))
    old = SignerKey.for_deployment("ward-1", bytes(32))
    note = written(tmp_path / "handover", sign_handover(old, LOG_KEY))
    found = verify_file(bundle, Terms([str(old.verifier)], handovers=[note]))
    assert isinstance(found, BundleReport)
    assert found.report.passed
    stranger = SignerKey.for_deployment("ward-1", bytes([9]) * 32)
    with pytest.raises(VerificationError):
        Terms([str(stranger.verifier)], handovers=[note])


def test_a_proof_takes_its_entry_from_a_file_of_its_own(lived: SmallDeployment, tmp_path: Path) -> None:
    proof = proof_of(lived)
    bare = written(tmp_path / "entry", TlogProof(proof.index, proof.path, proof.checkpoint).encode())
    header = written(tmp_path / "header", entry_of(lived, 3).header.encode())
    lines = describe(verify_file(bare, Terms([KEY], entry=header)))
    assert lines[-1] == "verified"
    assert any("not carried" in line for line in lines)
    with pytest.raises(BundleMalformedError, match="not with a proof"):
        verify_file(bare, Terms([KEY], entry=header, remembered=[header]))


def test_what_is_said_names_what_was_found_and_what_is_not_shown(
    lived: SmallDeployment, tmp_path: Path
) -> None:
    store = TamperingStore(lived.connection)
    store.alter_header(A, 4, '"denied","event"', '"allowed","event"')
    bundle = written(tmp_path / "log.tar", export(lived, A))
    said = "\n".join(describe(verify_file(bundle, Terms([KEY]))))
    assert "FAILED           clinic-a[4]: outcome that fits the decision" in said
    assert "does not show" in said
    assert "\nshows " not in said
    assert said.endswith("verification failed")


def test_more_findings_than_are_kept_are_counted(
    lived: SmallDeployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.verify_bundle.MAX_FINDINGS", 2)
    for index in range(5):
        TamperingStore(lived.connection).alter(A, index, header="{}")
    bundle = written(tmp_path / "log.tar", export(lived, A))
    said = "\n".join(describe(verify_file(bundle, Terms([KEY]))))
    assert said.count("FAILED") == 2
    assert " more" in said


def test_what_is_said_of_a_range_names_it(deployment: SmallDeployment, tmp_path: Path) -> None:
    deployment.open_logs(A)
    for nth in range(300):
        deployment.write(A, f"mem_aaaaaaaa{nth}")
    deployment.sign()
    bundle = written(tmp_path / "log.tar", export_range(deployment, A, 256, 512, payloads=False))
    said = "\n".join(describe(verify_file(bundle, Terms([KEY]))))
    assert "entries: 256 to 511 of 601, signed up to 601, 256 without payload" in said
    assert "claims whose proof lies in entries or payloads that were left out" in said
    assert said.endswith("\nverified; 256 entries without payload")


def test_cosigners_are_named(lived: SmallDeployment, tmp_path: Path) -> None:
    proof = written(tmp_path / "x.tlog-proof", cosigned(proof_of(lived), *WITNESSES).encode())
    witnesses = [str(one.verifier) for one in WITNESSES]
    said = "\n".join(describe(verify_file(proof, Terms([KEY], witnesses, 2))))
    assert "cosigned by witness.example/w1, witness.example/w2" in said


@pytest.mark.parametrize("twice", ["key", "name"])
def test_a_witness_that_was_given_twice_is_refused(twice: str) -> None:
    """One key under two names would count as two; two keys under one name as one here and two there."""
    one = WITNESSES[0].verifier
    other = WITNESSES[1].verifier
    again = (
        WitnessVerifierKey(other.name, one.public)
        if twice == "key"
        else WitnessVerifierKey(one.name, other.public)
    )
    with pytest.raises(KeyMalformedError, match=f"one {twice} twice"):
        Terms([KEY], [str(one), str(again)], 1)
    assert len(Terms([KEY], [str(one), str(one)], 1).trust.witnesses) == 2, "the very same line does no harm"


def test_what_nobody_foresaw_ends_with_the_code_of_what_was_not_checked(
    lived: SmallDeployment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_given: object, **_named: object) -> None:
        raise RecursionError("the content of the file")

    monkeypatch.setattr("audit.__main__.verify_file", fail)
    assert main([str(written(tmp_path / "log.tar", export(lived, A))), "--key", KEY]) == 9
    assert capsys.readouterr().err == "could not check: a defect of the verifier (RecursionError)\n"


def test_a_bundle_says_who_cosigned_and_what_broke_off(lived: SmallDeployment, tmp_path: Path) -> None:
    store = TamperingStore(lived.connection)
    text = lived.log.checkpoints(lived.connection, A)[-1].decode().rpartition("\n\n")[0] + "\n"
    store.add_cosignature(A, 9, WITNESSES[0].name, str(WITNESSES[0].cosign(text, 1)))
    good = export(lived, A)
    bundle = written(tmp_path / "log.tar", good)
    said = "\n".join(describe(verify_file(bundle, Terms([KEY], [str(WITNESSES[0].verifier)], 1))))
    assert "cosigned up to 9 by witness.example/w1" in said
    assert said.endswith("\nverified")
    lived.write(A, "mem_eeeeeeee0")
    lived.sign()
    later = written(tmp_path / "later.tar", export(lived, A))
    terms = Terms([KEY], [str(WITNESSES[0].verifier)])
    said = "\n".join(describe(verify_file(later, terms)))
    assert said.endswith("\nverified; clinic-a: only the first 9 of 11 entries are cosigned")
    at = good.index(b'{"action"') - 2
    written(bundle, good[:at] + b"\xff\xff" + good[at + 2 :])
    said = "\n".join(describe(verify_file(bundle, Terms([KEY]))))
    assert "altered so that the rest cannot be read" in said


def cosigned_then_written_on(deployment: SmallDeployment) -> bytes:
    """Return a log of eleven entries, nine of which a witness cosigned."""
    text = deployment.log.checkpoints(deployment.connection, A)[-1].decode().rpartition("\n\n")[0] + "\n"
    store = TamperingStore(deployment.connection)
    store.add_cosignature(A, 9, WITNESSES[0].name, str(WITNESSES[0].cosign(text, 1)))
    deployment.write(A, "mem_eeeeeeee0")
    deployment.sign()
    return export(deployment, A)


@pytest.mark.parametrize(("may_lag", "code"), [(0, 3), (1, 3), (2, 0), (2**40, 0)])
def test_cosignatures_that_are_required_cover_all_but_the_entries_that_may_lag(
    may_lag: int, code: int, lived: SmallDeployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = written(tmp_path / "log.tar", cosigned_then_written_on(lived))
    given = [str(bundle), "--key", KEY, "--witness", str(WITNESSES[0].verifier), "--required", "1"]
    assert main([*given, "--may-lag", str(may_lag)]) == code
    said = capsys.readouterr().out
    assert ("FAILED           clinic-a: cosignatures required: expected a checkpoint with 1" in said) == (
        code == 3
    )
    assert ("covers entry 10" in said and "got one of size 9" in said) == (code == 3)
    assert ("only the first 9 of 11 entries are cosigned" in said) == (code == 0)


def test_a_lag_is_no_excuse_where_nothing_is_cosigned(
    lived: SmallDeployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = written(tmp_path / "log.tar", export(lived, A))
    given = [str(bundle), "--key", KEY, "--witness", str(WITNESSES[0].verifier)]
    assert main([*given, "--required", "1", "--may-lag", "1000"]) == 3
    assert "covers entry 8, or all but 1000 before it, got none" in capsys.readouterr().out
    assert main([*given, "--may-lag", "5"]) == 2
    assert main([*given, "--required", "1", "--may-lag", "-1"]) == 2


def test_a_clock_that_was_set_back_is_a_warning(lived: SmallDeployment, tmp_path: Path) -> None:
    lived.now -= timedelta(days=1)
    lived.deny(A)
    lived.sign()
    said = describe(verify_file(written(tmp_path / "log.tar", export(lived, A)), Terms([KEY])))
    assert any(line.startswith("warning") for line in said)
    assert said[-1] == "verified"


def test_the_verifier_alone_shows_no_control_of_a_strangers(
    lived: SmallDeployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = tmp_path / "x\x1b[2J"
    assert main([str(strange), "--key", KEY]) == 9
    assert "\x1b" not in capsys.readouterr().err
    bundle = written(tmp_path / "log.tar", export(lived, A))
    assert main([str(bundle), "--key", str(SignerKey.for_deployment("s\u00e9", bytes(32)).verifier)]) == 3
    assert capsys.readouterr().out.isascii()


def member(content: bytes, path: str = f"{TOP}/{A}/x") -> bytes:
    file = io.BytesIO()
    writer = ArchiveWriter(file)
    writer.add(path, content)
    writer.end()
    return file.getvalue()


@pytest.mark.parametrize(
    "path",
    [
        "/x",
        "../x",
        "evidence/../x",
        "evidence/./x",
        "evidence//x",
        "evidence/X",
        "evidence/x/",
        "x",
        "",
        "evidence",
    ],
)
def test_a_name_that_could_be_a_trick_cannot_even_be_written(path: str) -> None:
    with pytest.raises(BundleMalformedError, match="expected a file of the accepted names"):
        make_header(path, 0)


def test_a_name_too_long_for_its_field_cannot_be_written() -> None:
    with pytest.raises(BundleMalformedError, match="at most 100 characters"):
        make_header(f"{TOP}/{A}/{'x' * 60}/{'y' * 60}", 0)


def test_what_stands_behind_a_files_content_is_not_overlooked() -> None:
    archive = ArchiveReader(io.BytesIO(member(b"content")))
    (only,) = archive.members()
    assert (only.path, archive.read(only, 100)) == (f"{TOP}/{A}/x", b"content")
    with pytest.raises(BundleMalformedError, match="zeros behind"):
        ArchiveReader(io.BytesIO(member(b"c").replace(b"c\0", b"cc"))).read(replace(only, size=1), 100)


@settings(deadline=2000)
@given(st.binary(max_size=3000))
@example(bytes(2 * BLOCK))
@example(bytes(10 * BLOCK))
def test_noise_is_no_archive(noise: bytes) -> None:
    with pytest.raises(BundleMalformedError, match="expected"):
        read_bundle(io.BytesIO(noise))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def good() -> bytes:
    deployment = SmallDeployment()
    deployment.live_a_day()
    bundle = export(deployment, A)
    deployment.close()
    return bundle


@settings(max_examples=150, deadline=2000)
@given(field=st.integers(0, 7), value=JSON)
def test_a_manifest_with_any_value_in_any_field_is_refused_or_reads_as_itself(
    good: bytes, field: int, value: object
) -> None:
    manifest = json.loads(unpacked(good)[MANIFEST])
    manifest[sorted(manifest)[field]] = value
    content = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        read = read_bundle(
            io.BytesIO(packed({**unpacked(good), MANIFEST: content.encode("utf-8", "surrogatepass")}))
        )
    except BundleMalformedError as error:
        assert "expected" in str(error)  # noqa: PT017 - refusing is one of two right answers
    else:
        files = json.dumps(manifest["files"], separators=(",", ":"))[1:-1]
        assert read.manifest.encode(files.encode()) == content.encode()


@settings(max_examples=120, deadline=4000)
@given(
    file=st.integers(0, 7),
    at=st.integers(0, 10_000),
    removed=st.integers(0, 40),
    added=st.binary(max_size=40),
)
def test_a_bundle_with_anything_in_any_file_is_refused_or_fails(
    good: bytes, file: int, at: int, removed: int, added: bytes
) -> None:
    files = unpacked(good)
    path = sorted(files)[file % len(files)]
    old = files[path]
    at %= len(old)
    files[path] = old[:at] + added + old[at + removed :]
    try:
        found = verify_bundle(io.BytesIO(packed(files)), TRUST)
    except MalformedError as error:
        assert "expected" in str(error)  # noqa: PT017 - as above
    else:
        assert found.report.passed == (files[path] == old)


@pytest.mark.parametrize("claim", [10_000_000, 2**40])
def test_a_claim_of_millions_in_a_small_file_costs_nothing(claim: int, good: bytes) -> None:
    manifest = json.loads(unpacked(good)[MANIFEST])
    manifest["logs"][0] |= {"size": claim, "stop": claim}
    content = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    bundle = packed({**unpacked(good), MANIFEST: content})
    tracemalloc.start()
    begun = time.process_time()
    with pytest.raises(BundleMalformedError):
        read_bundle(io.BytesIO(bundle))
    assert time.process_time() - begun < 0.5
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_an_entry_that_is_carried_is_not_believed_before_its_hash(
    lived: SmallDeployment, tmp_path: Path
) -> None:
    proof = proof_of(lived)
    lie = CarriedEntry(entry_of(lived, 4).header.encode()).encode()
    path = written(
        tmp_path / "x.tlog-proof", TlogProof(proof.index, proof.path, proof.checkpoint, lie).encode()
    )
    with pytest.raises(VerificationError, match="inclusion proof"):
        verify_file(path, Terms([KEY]))
