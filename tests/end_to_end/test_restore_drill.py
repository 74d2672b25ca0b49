"""The restore drill and its job: a snapshot is really put back, looked at, and nothing of it is left."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from lifecycle.catalogue import catalogue
from lifecycle.control import JobControl
from lifecycle.running import Runner, RunOutcome
from policies.model import Purpose, Role
from tests.end_to_end.test_removal import remove
from tests.simulators.clinic import ADMINISTRATOR, BANK, CLINIC, OWNER, Clinic, person
from vault.errors import NotFoundError
from vault.parts import SnapshotPlace
from vault.restore_drill import RestoreDrill
from vault.snapshot_files import snapshots_in
from vault.snapshots import Made, Snapshots


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    return tmp_path / "backup"


def snapshot(clinic: Clinic, backup: Path) -> Made:
    return Snapshots(clinic.vault.parts).create(ADMINISTRATOR, backup)


def test_a_drill_opens_a_sample_and_leaves_nothing_but_an_entry(clinic: Clinic, backup: Path) -> None:
    for number in range(7):
        clinic.mem(OWNER).extract(f"note {number}", subject=f"patient {number % 3}")
    made = snapshot(clinic, backup)
    state, keys = clinic.state(), (clinic.path / "keys.db").read_bytes()
    done = RestoreDrill(clinic.vault.parts, sample=5).run(CLINIC, backup)
    assert (done.passed, done.rows, done.opened, done.suppressed) == (True, 7, 5, 0)
    assert [one.name for one in backup.iterdir()] == [made.manifest.snapshot_id]
    assert clinic.state() == state
    assert (clinic.path / "keys.db").read_bytes() == keys
    (told,) = [one for one in clinic.log() if one.event == "snapshot.verify"]
    assert (told.resource, told.outcome) == (made.manifest.snapshot_id, "ok")
    assert (told.payload["rows"], told.payload["verified"], told.payload["findings"]) == (7, 5, 0)
    assert [one.resource for one in clinic.log("system") if one.event == "snapshot.verify"]
    assert clinic.audit().verify().passed


def test_a_drill_sees_that_what_was_removed_since_stays_away(clinic: Clinic, backup: Path) -> None:
    goes = clinic.mem(OWNER).extract("the giraffe", subject="maria").memory_ids[0]
    clinic.mem(OWNER).extract("the zebra", subject="maria")
    snapshot(clinic, backup)
    remove(clinic, goes)
    clinic.reopen()  # mirrors the tombstone
    done = RestoreDrill(clinic.vault.parts).run(CLINIC, backup)
    assert (done.passed, done.suppressed, done.opened) == (True, 1, 1)


def test_a_drill_finds_a_row_that_was_altered_before_the_snapshot_and_a_damaged_copy(
    clinic: Clinic, backup: Path
) -> None:
    altered = clinic.mem(OWNER).extract("the giraffe", subject="maria").memory_ids[0]
    clinic.mem(OWNER).extract("the zebra", subject="maria")
    clinic.sql("UPDATE memory SET text = zeroblob(99) WHERE memory_id = ?", altered)
    made = snapshot(clinic, backup)
    done = RestoreDrill(clinic.vault.parts).run(CLINIC, backup)
    assert (done.passed, done.findings, done.unreadable, done.opened) == (False, 1, 1, 1)
    assert [one.outcome for one in clinic.log() if one.event == "snapshot.verify"] == ["failed"]
    with closing(sqlite3.connect(made.folder.rows)) as copy, copy:
        copy.execute("UPDATE memory SET trust = 'disputed'")
    done = RestoreDrill(clinic.vault.parts).run(CLINIC, backup)
    assert (done.passed, done.rows) == (False, 0), "what was not signed is not opened"


def test_without_a_snapshot_there_is_nothing_to_try(clinic: Clinic, backup: Path) -> None:
    backup.mkdir()
    with pytest.raises(NotFoundError):
        RestoreDrill(clinic.vault.parts).run(CLINIC, backup)


@pytest.mark.parametrize("told_where", [True, False])
def test_the_jobs_make_keep_and_try_snapshots_for_whoever_runs_them(
    clinic: Clinic, backup: Path, *, told_where: bool
) -> None:
    clinic.mem(OWNER).extract("the zebra", subject="maria")
    place = SnapshotPlace(backup, keep=2) if told_where else None
    parts = replace(clinic.vault.parts, snapshots=place)
    control = JobControl(parts, catalogue())
    for administrator in (person("admin-b", Role.ADMINISTRATOR, tenant=BANK), ADMINISTRATOR):
        for name in ("restore-drill", "snapshot", "snapshot", "snapshot", "restore-drill"):
            for ran in control.run(administrator, Purpose.OPERATIONS, name):
                assert ran.outcome is RunOutcome.COMPLETE, ran
    if told_where:
        assert len(snapshots_in(backup)) == 2
        for tenant, tried in ((BANK, 1), (CLINIC, 2)):
            events = [one.event for one in clinic.log(tenant)]
            assert events.count("snapshot.create") == 6, (
                "by hand for whoever asks, not the first tenant alone"
            )
            assert events.count("snapshot.verify") == tried
    else:
        assert not backup.exists()
    assert clinic.audit().verify().passed


def test_by_the_timetable_the_first_tenant_s_run_makes_the_one_snapshot_of_the_whole_vault(
    clinic: Clinic, backup: Path
) -> None:
    parts = replace(clinic.vault.parts, snapshots=SnapshotPlace(backup, keep=2))
    (job,) = (one for one in catalogue() if one.name == "snapshot")
    ran = {tenant: Runner(parts).run(job, tenant) for tenant in (BANK, CLINIC)}
    assert {tenant: dict(one.counts) if one else None for tenant, one in ran.items()}[CLINIC] == {}
    assert [ran[BANK].counts["snapshots"] if ran[BANK] else 0, len(snapshots_in(backup))] == [1, 1]


def test_a_drill_knows_what_was_removed_a_moment_ago(clinic: Clinic, backup: Path) -> None:
    goes = clinic.mem(OWNER).extract("the giraffe", subject="maria").memory_ids[0]
    snapshot(clinic, backup)
    remove(clinic, goes)
    done = RestoreDrill(clinic.vault.parts).run(CLINIC, backup)
    assert (done.passed, done.suppressed, done.opened) == (True, 1, 0)
