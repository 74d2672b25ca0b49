"""Snapshots: made online, whole or not at all, signed, without a key, and checked byte for byte."""

import errno
import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.signing import SignerKey, VerifierKey
from policies.errors import DeniedError
from tests.simulators.clinic import ADMINISTRATOR, AUDITOR, BANK, CLINIC, OWNER, Clinic, make_template
from tests.simulators.fakes import FrozenClock
from vault import snapshot_files
from vault.errors import (
    InputInvalidError,
    NotFoundError,
    SnapshotForeignError,
    StorageFullError,
    StoreVersionError,
    TamperedError,
)
from vault.restore_drill import RestoreDrill
from vault.restoring import restore_snapshot
from vault.snapshot_check import verify_snapshot
from vault.snapshot_files import SnapshotFolder, snapshots_in
from vault.snapshot_manifest import (
    LedgerHead,
    LogHead,
    Manifest,
    parse_manifest,
    sign_manifest,
    verify_manifest,
)
from vault.snapshots import Made, Snapshots, known_snapshots, oldest_snapshot

KEY = SignerKey.for_deployment("embedded", b"k" * 32)
OTHER = SignerKey.for_deployment("elsewhere", b"o" * 32)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template") / "vault")


@pytest.fixture
def clinic(template: Path, tmp_path: Path) -> Iterator[Clinic]:
    opened = Clinic(template, tmp_path / "vault")
    yield opened
    opened.close()


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    return tmp_path / "backup"


def create(clinic: Clinic, backup: Path) -> Made:
    return Snapshots(clinic.vault.parts).create(ADMINISTRATOR, backup)


def keys(clinic: Clinic) -> tuple[VerifierKey, ...]:
    return clinic.vault.parts.log.keys.verifiers


def test_a_snapshot_names_heads_keys_and_what_must_not_come_back(clinic: Clinic, backup: Path) -> None:
    clinic.mem(OWNER).extract("the zebra", subject="maria")
    made = create(clinic, backup)
    assert verify_snapshot(made.folder, keys(clinic)).passed
    manifest = parse_manifest(made.folder.manifest.read_bytes())
    assert manifest == made.manifest
    assert [one.tenant for one in manifest.logs] == ["system", BANK, CLINIC]
    assert all(one.checkpoint for one in manifest.logs)
    head = manifest.log(CLINIC)
    assert head is not None
    assert clinic.log()[head.size - 1].event == "effect.intent", "the copy holds the intent of its own making"
    listed = made.folder.keys.read_text().splitlines()
    assert len(listed) == sum(manifest.keys.values()) == manifest.keys["active"]
    assert f"{CLINIC} subject-ids - 1 active" in " ".join(listed)
    assert [(one.tenant, one.tombstones, one.holds) for one in manifest.ledger] == [
        (BANK, 0, 0),
        (CLINIC, 0, 0),
    ]


def test_a_snapshot_is_its_owners_alone_and_holds_no_key(clinic: Clinic, backup: Path) -> None:
    clinic.mem(OWNER).extract("Anna Keller likes the zebra", subject="maria")
    made = create(clinic, backup)
    assert stat.S_IMODE(made.folder.path.stat().st_mode) == 0o700
    files = sorted(made.folder.path.iterdir())
    assert [one.name for one in files] == [
        "keys.list",
        "manifest.json",
        "manifest.note",
        "vault.db",
        "vault.db.leaves",
    ]
    assert {stat.S_IMODE(one.stat().st_mode) for one in files} == {0o600}
    content = b"".join(one.read_bytes() for one in files)
    for secret in ("root.key", "log.key"):
        assert (clinic.path / secret).read_bytes() not in content
    for (wrapped,) in clinic.sql("SELECT wrapped FROM keys", file="keys.db"):
        assert bytes(wrapped) not in content  # type: ignore[call-overload]  # a blob
    for value in (b"Anna", b"Keller", b"zebra", b"maria"):
        assert value not in content


def test_the_log_tells_of_intent_outcome_and_snapshot_in_every_log(clinic: Clinic, backup: Path) -> None:
    made = create(clinic, backup)
    told = [(one.event, one.resource) for one in clinic.log()[-3:]]
    snapshot_id = made.manifest.snapshot_id
    assert told == [(event, snapshot_id) for event in ("effect.intent", "effect.outcome", "snapshot.create")]
    for log in (BANK, "system"):
        assert snapshot_id in [one.resource for one in clinic.log(log) if one.event == "snapshot.create"]
    assert clinic.vault.unmatched_intents() == {}
    assert clinic.audit().verify().passed


def test_who_may_not_administer_makes_none_and_that_is_an_entry(clinic: Clinic, backup: Path) -> None:
    with pytest.raises(DeniedError):
        Snapshots(clinic.vault.parts).create(AUDITOR, backup)
    assert not backup.exists()
    assert (clinic.last().event, clinic.last().outcome) == ("snapshot.create", "denied")


def test_a_snapshot_beside_the_data_is_refused(clinic: Clinic) -> None:
    with pytest.raises(InputInvalidError, match="outside"):
        create(clinic, clinic.path / "backup")
    assert not (clinic.path / "backup").exists()


def test_writers_go_on_while_a_snapshot_is_made_and_it_is_of_one_state(clinic: Clinic, backup: Path) -> None:
    owner, ending = clinic.mem(OWNER), threading.Event()
    written: list[str] = []

    def write() -> None:
        while not ending.is_set():
            written.append(owner.extract(f"note {len(written)}", subject="maria").memory_ids[0])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = [create(clinic, backup) for _ in range(5)]
    finally:
        ending.set()
        writer.join(30)
    assert written
    for one in made:
        assert verify_snapshot(one.folder, keys(clinic)).passed
        with closing(sqlite3.connect(one.folder.rows)) as copy:
            (rows,) = copy.execute("SELECT count(*) FROM memory").fetchone()
            (entries,) = copy.execute(
                "SELECT count(*) FROM audit_leaf WHERE event = 'memory.write' AND tenant_id = ?", [CLINIC]
            ).fetchone()
        assert rows == entries
    assert clinic.audit().verify().passed


@pytest.mark.parametrize("place", [0, 20, 100, 5000, -1])
@pytest.mark.parametrize(
    "name", ["vault.db", "vault.db.leaves", "keys.list", "manifest.json", "manifest.note"]
)
def test_a_flipped_byte_anywhere_is_a_finding_with_a_name(
    clinic: Clinic, backup: Path, name: str, place: int
) -> None:
    made = create(clinic, backup)
    file = made.folder.path / name
    content = bytearray(file.read_bytes())
    content[place % len(content)] ^= 1
    file.write_bytes(content)
    try:
        report = verify_snapshot(made.folder, keys(clinic))
    except SnapshotForeignError:
        assert name == "manifest.note", "the name of the signer was changed"
        return
    assert not report.passed
    expected = {
        "vault.db": "chunk of the copy",
        "vault.db.leaves": "list of chunks",
        "keys.list": "list of keys",
        "manifest.json": "snapshot manifest",
    }
    found = [one.check for one in report.findings]
    assert found == [expected.get(name, found[0])]
    assert found[0] in {*expected.values(), "snapshot signature"}
    assert str(report.findings[0]).startswith(found[0])


def test_the_chunk_that_was_changed_is_named_and_cut_or_longer_copies_are_found(
    clinic: Clinic, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_files, "CHUNK_BYTES", 4096)
    made = create(clinic, backup)
    whole = made.folder.rows.read_bytes()
    made.folder.rows.write_bytes(whole[:9000] + bytes([whole[9000] ^ 1]) + whole[9001:])
    report = verify_snapshot(made.folder, keys(clinic))
    assert [(one.check, one.place) for one in report.findings] == [("chunk of the copy", "2")]
    made.folder.rows.write_bytes(whole[:-4096])
    found = [(one.check, one.got) for one in verify_snapshot(made.folder, keys(clinic)).findings]
    assert found == [("size of the copy", str(len(whole) - 4096)), ("chunk of the copy", "none")]
    made.folder.rows.write_bytes(whole + b"x")
    found = [(one.check, one.expected) for one in verify_snapshot(made.folder, keys(clinic)).findings]
    assert found == [("size of the copy", f"{len(whole)} bytes"), ("chunk of the copy", "none")]
    made.folder.rows.unlink()
    assert [one.check for one in verify_snapshot(made.folder, keys(clinic)).findings] == [
        "file of a snapshot"
    ]


def test_a_copy_that_was_exchanged_with_its_list_is_found(clinic: Clinic, backup: Path) -> None:
    first, second = create(clinic, backup), create(clinic, backup)
    for name in ("vault.db", "vault.db.leaves"):
        shutil.copy(second.folder.path / name, first.folder.path / name)
    checks = {one.check for one in verify_snapshot(first.folder, keys(clinic)).findings}
    assert {"list of chunks", "chunk of the copy"} <= checks


def test_an_unsigned_snapshot_one_of_another_vault_and_one_of_a_newer_format(
    clinic: Clinic, backup: Path
) -> None:
    folder = create(clinic, backup).folder
    with pytest.raises(SnapshotForeignError, match="memos-vault/embedded"):
        verify_snapshot(folder, [OTHER.verifier])
    newer = folder.manifest.read_bytes().replace(b'"format":1', b'"format":2')
    with pytest.raises(StoreVersionError, match="format 2"):
        verify_manifest(sign_manifest(folder.path.name, newer, [KEY]), newer, [KEY.verifier])
    folder.note.unlink()
    (found,) = verify_snapshot(folder, keys(clinic)).findings
    assert found.check == "snapshot signature"
    with pytest.raises(NotFoundError):
        verify_snapshot(SnapshotFolder(backup / "nothing"), keys(clinic))


def test_a_manifest_of_another_snapshot_or_a_note_of_something_else_is_refused(
    clinic: Clinic, backup: Path
) -> None:
    first, second = create(clinic, backup).folder, create(clinic, backup).folder
    shutil.copy(second.note, first.note)
    with pytest.raises(TamperedError, match="snapshot manifest"):
        first.read_manifest(keys(clinic))
    text = second.manifest.read_bytes()
    with pytest.raises(TamperedError, match="id that was signed"):
        verify_manifest(sign_manifest("snp_" + "0" * 26, text, [KEY]), text, [KEY.verifier])
    with pytest.raises(TamperedError, match="snapshot manifest"):
        verify_manifest(sign_manifest("a\nb", text, [KEY]), text, [KEY.verifier])


def test_no_space_leaves_nothing_half_and_the_outcome_says_failed(
    clinic: Clinic, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(clinic, backup)
    real, left = os.fsync, [1]

    def full(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    before = sorted(backup.iterdir())
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFullError):
        create(clinic, backup)
    monkeypatch.undo()
    assert sorted(backup.iterdir()) == before
    assert (clinic.last().event, clinic.last().outcome) == ("effect.outcome", "failed")
    assert clinic.vault.unmatched_intents() == {}
    assert verify_snapshot(create(clinic, backup).folder, keys(clinic)).passed


def test_what_a_killed_process_left_goes_and_what_another_writes_stays(clinic: Clinic, backup: Path) -> None:
    left = backup / ".unfinished-snp_01kt0000000000000000000000"
    left.mkdir(parents=True)
    (left / "vault.db").write_bytes(b"sealed")
    strange = backup / ".unfinished-of-somebody"
    strange.mkdir()
    with snapshot_files.scratch_folder(backup, "drill") as theirs:
        made = create(clinic, backup)
        assert theirs.is_dir()
    assert sorted(one.name for one in backup.iterdir()) == [strange.name, made.folder.path.name]


def test_the_newest_are_kept_and_what_is_known_of_them_is_in_the_log(clinic: Clinic, backup: Path) -> None:
    parts = clinic.vault.parts
    assert oldest_snapshot(parts) is None
    made = [create(clinic, backup) for _ in range(4)]
    ids = [one.manifest.snapshot_id for one in made]
    assert [one.snapshot_id for one in known_snapshots(parts)] == ids
    foreign = backup / "snp_00000000000000000000000000"
    shutil.copytree(made[0].folder.path, foreign)
    (backup / "other.txt").write_text("somebody's")
    with pytest.raises(InputInvalidError):
        Snapshots(parts).prune(ADMINISTRATOR, backup, 0)
    assert Snapshots(parts).prune(ADMINISTRATOR, backup, 2) == ids[:2]
    assert sorted(one.name for one in backup.iterdir()) == sorted(["other.txt", foreign.name, *ids[2:]])
    assert [one.snapshot_id for one in known_snapshots(parts)] == ids[2:]
    oldest = oldest_snapshot(parts)
    assert oldest is not None
    assert abs(oldest - known_snapshots(parts)[0].made) < timedelta(seconds=1)
    assert [one.resource for one in clinic.log() if one.event == "snapshot.delete"] == ids[:2]
    assert clinic.audit().verify().passed


def test_a_clock_that_was_set_back_makes_no_snapshot_the_oldest(clinic: Clinic, backup: Path) -> None:
    old = create(clinic, backup)
    earlier = FrozenClock(datetime(2020, 1, 1, tzinfo=UTC), step=timedelta(seconds=1))
    clinic.reopen(replace(clinic.options, clock=earlier))
    new = create(clinic, backup)
    assert new.manifest.snapshot_id < old.manifest.snapshot_id  # its name is its time
    shutil.copytree(old.folder.path, backup / "snp_7zzzzzzzzzzzzzzzzzzzzzzzzz")  # a name that is not signed
    own, rest = snapshot_files.sorted_out(backup, keys(clinic))
    assert [(one.folder.path.name, one.reason.partition(":")[0]) for one in rest] == [
        ("snp_7zzzzzzzzzzzzzzzzzzzzzzzzz", "snapshot folder")
    ]
    assert [manifest.snapshot_id for _, manifest in own] == [
        old.manifest.snapshot_id,
        new.manifest.snapshot_id,
    ]
    assert RestoreDrill(clinic.vault.parts).run(CLINIC, backup).snapshot_id == new.manifest.snapshot_id
    assert Snapshots(clinic.vault.parts).prune(ADMINISTRATOR, backup, 1) == [old.manifest.snapshot_id]


def test_a_job_never_prunes_what_it_just_made(clinic: Clinic, backup: Path) -> None:
    made = [create(clinic, backup).manifest.snapshot_id for _ in range(3)]
    removed = Snapshots(clinic.vault.parts).prune_unattended(CLINIC, backup, 1, made[0])
    assert removed == made[1:]  # as where the log is shorter than in older snapshots, after a lost disk


@pytest.mark.parametrize(
    "name", ["vault.db", "vault.db.leaves", "keys.list", "manifest.json", "manifest.note"]
)
@pytest.mark.parametrize("kind", ["pipe", "link", "directory"])
def test_what_is_no_file_is_a_finding_and_hangs_nobody(
    clinic: Clinic, backup: Path, name: str, kind: str
) -> None:
    made = create(clinic, backup)
    place = made.folder.path / name
    place.unlink()
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "link":
        place.symlink_to("/dev/zero")
    else:
        place.mkdir()
    assert not verify_snapshot(made.folder, keys(clinic)).passed
    assert sorted(one.name for one in made.folder.path.iterdir()) == sorted(
        ["vault.db", "vault.db.leaves", "keys.list", "manifest.json", "manifest.note"]
    ), "nothing was changed"


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("vault.db", "size of the copy"),
        ("vault.db.leaves", "list of chunks"),
        ("keys.list", "list of keys"),
        ("manifest.json", "snapshot manifest"),
        ("manifest.note", "snapshot signature"),
    ],
)
def test_a_file_that_goes_on_and_on_is_a_finding_soon(
    clinic: Clinic, backup: Path, name: str, check: str
) -> None:
    made = create(clinic, backup)
    with (made.folder.path / name).open("r+b") as file:
        file.truncate(1024**4)  # sparse: read to its end it takes hours, and as a whole it fits nowhere
    report = verify_snapshot(made.folder, keys(clinic))
    assert report.findings[0].check == check
    if name == "vault.db":
        target = backup / "target.db"
        with pytest.raises(TamperedError, match="signed"):
            made.folder.copy_rows(target, made.manifest)
        assert not target.exists()


def test_a_snapshot_under_another_name_than_the_signed_one_is_believed_by_nobody(
    clinic: Clinic, backup: Path
) -> None:
    made = create(clinic, backup)
    renamed = SnapshotFolder(made.folder.path.rename(backup / "snp_7zzzzzzzzzzzzzzzzzzzzzzzzz"))
    (found,) = verify_snapshot(renamed, keys(clinic)).findings
    assert (found.check, made.manifest.snapshot_id in found.got) == ("snapshot folder", True)
    with pytest.raises(NotFoundError):
        RestoreDrill(clinic.vault.parts).run(CLINIC, backup)
    assert Snapshots(clinic.vault.parts).prune(ADMINISTRATOR, backup, 1) == []
    entries = len(clinic.log())
    clinic.vault.close()
    with pytest.raises(TamperedError, match="snapshot folder"):
        restore_snapshot(clinic.path, renamed.path, ADMINISTRATOR, options=clinic.options)
    assert len(clinic.log()) == entries


def test_a_directory_that_is_not_there_has_no_snapshots(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        snapshots_in(tmp_path / "nothing")


numbers = st.integers(0, 2**53 - 1)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
words = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
manifests = st.builds(
    Manifest,
    snapshot_id=st.just("snp_01kt0000000000000000000000"),
    deployment=words,
    time=numbers,
    schema=words,
    policy=words,
    file_bytes=numbers,
    file_root=digests,
    keys=st.dictionaries(words, numbers, max_size=3),
    keys_digest=digests,
    logs=st.lists(st.builds(LogHead, words, numbers, digests, st.text(max_size=40)), max_size=3).map(tuple),
    ledger=st.lists(st.builds(LedgerHead, words, numbers, digests, numbers), max_size=3).map(tuple),
)


@given(manifests)
def test_a_manifest_reads_back_as_itself_and_only_under_its_own_signature(manifest: Manifest) -> None:
    text = manifest.encode()
    note = sign_manifest(manifest.snapshot_id, text, [KEY])
    assert verify_manifest(note, text, [KEY.verifier]) == manifest
    with pytest.raises(TamperedError):
        verify_manifest(note, text + b" ", [KEY.verifier])


@given(
    st.one_of(st.binary(max_size=200), st.sampled_from([b"{}", b"[]", b'{"format":1}', b'{"format":"x"}']))
)
def test_what_is_no_manifest_is_refused(text: bytes) -> None:
    with pytest.raises(TamperedError):
        parse_manifest(text)
