"""kill -9 in the making of snapshots and in restores: the old state or the new one opens, never a half.

A child (`simulators.children`) is killed at a named step; then the parent opens the vault, verifies it and looks.
"""

import os
import signal
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.end_to_end.test_removal import remove
from tests.simulators.children import Tell, run_child
from tests.simulators.clinic import ADMINISTRATOR, CLINIC, OWNER, Clinic
from tests.simulators.fakes import fake_options
from vault.errors import StoreCorruptError
from vault.opening import Vault, VaultOptions
from vault.restoring import restore_snapshot
from vault.snapshot_check import verify_snapshot
from vault.snapshot_files import snapshots_in
from vault.snapshots import Snapshots, known_snapshots

COMMIT = ("begin", "logged", "restore-applied", "inserted", "committed")


@dataclass
class Trap:
    """A probe that kills its process at one step, once another one was passed."""

    armed_by: str
    step: str
    armed: bool = False

    def __call__(self, step: str) -> None:
        self.armed = self.armed or step == self.armed_by
        if self.armed and step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def _create(path: Path, backup: Path, step: str, _tell: Tell) -> None:
    vault = Vault.open(path, options=fake_options(probe=Trap("intended", step)))
    Snapshots(vault.parts).create(ADMINISTRATOR, backup)


def _restore(path: Path, folder: Path, step: str, _tell: Tell) -> None:
    if step == "placed":
        Vault.open_to_restore = _die  # type: ignore[assignment, method-assign]  # in the child alone
    restore_snapshot(path, folder, ADMINISTRATOR, options=fake_options(probe=Trap("restore-copied", step)))


def _die(_path: Path, _passphrase: str | None, _options: VaultOptions) -> Vault:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@pytest.mark.parametrize(
    "step", ["intended", "snapshot-copied", "snapshot-described", "snapshot-named", "effected"]
)
def test_a_kill_in_the_making_leaves_a_whole_snapshot_or_none(
    clinic: Clinic, tmp_path: Path, step: str
) -> None:
    backup = tmp_path / "backup"
    clinic.mem(OWNER).extract("the zebra", subject="maria")
    clinic.close()
    assert run_child(partial(_create, clinic.path, backup, step)).killed
    clinic.reopen()
    keys = clinic.vault.parts.log.keys.verifiers
    named = snapshots_in(backup) if backup.exists() else []
    assert len(named) == (step in {"snapshot-named", "effected"})
    assert all(verify_snapshot(folder, keys).passed for folder in named)
    (intent,) = clinic.vault.unmatched_intents()[CLINIC]
    assert [one.snapshot_id for one in known_snapshots(clinic.vault.parts)] == [intent.resource]
    made = Snapshots(clinic.vault.parts).create(ADMINISTRATOR, backup).folder
    assert sorted(one.name for one in backup.iterdir()) == sorted(
        [made.path.name, *(one.path.name for one in named)]
    ), "what the killed one left is gone"
    assert clinic.audit().verify().passed


def _prepared(clinic: Clinic, tmp_path: Path) -> tuple[Path, str, str, str]:
    """Make a snapshot of two memories; then one is removed for good, and a third one written."""
    owner = clinic.mem(OWNER)
    stays = owner.extract("the zebra stays", subject="maria").memory_ids[0]
    goes = owner.extract("the giraffe goes", subject="maria").memory_ids[0]
    assert clinic.vault.wait(20)
    folder = Snapshots(clinic.vault.parts).create(ADMINISTRATOR, tmp_path / "backup").folder.path
    remove(clinic, goes)
    later = owner.extract("the lion came later", subject="john").memory_ids[0]
    clinic.close()
    return folder, stays, goes, later


@pytest.mark.parametrize("step", ["restore-copied", *COMMIT, "restored"])
def test_a_kill_in_a_restore_leaves_the_old_state_or_the_restored_one(
    clinic: Clinic, tmp_path: Path, step: str
) -> None:
    folder, stays, _, later = _prepared(clinic, tmp_path)
    assert run_child(partial(_restore, clinic.path, folder, step)).killed
    clinic.reopen()
    assert clinic.audit().verify().passed
    done = step in {"committed", "restored"}
    there = {str(one) for (one,) in clinic.sql("SELECT memory_id FROM memory")}
    assert there == ({stays} if done else {stays, later})
    told = [one for one in clinic.log() if one.event == "snapshot.restore"]
    assert len(told) == done
    assert not list(clinic.path.glob("restoring*"))


@pytest.mark.parametrize("step", ["placed", "restore-copied", *COMMIT, "restored"])
def test_after_a_kill_in_the_restore_of_a_lost_disk_nobody_is_served_before_it_is_done(
    clinic: Clinic, tmp_path: Path, step: str
) -> None:
    folder, stays, goes, _ = _prepared(clinic, tmp_path)
    (clinic.path / "vault.db").unlink()
    assert run_child(partial(_restore, clinic.path, folder, step)).killed
    with pytest.raises(StoreCorruptError, match="cut short"):
        Vault.open(clinic.path, options=clinic.options)
    restore_snapshot(clinic.path, folder, ADMINISTRATOR, options=clinic.options)
    clinic.reopen()
    assert clinic.sql("SELECT memory_id FROM memory") == [(stays,)]
    assert clinic.audit().verify().passed
    assert not [hit for hit in clinic.mem(OWNER).retrieve("giraffe goes").hits if hit.memory.id == goes]
    assert not list(clinic.path.glob("restoring*"))
