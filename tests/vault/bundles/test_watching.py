"""Other files in the policy folder are noticed without a reload, told once, and used by nobody."""

import os
from pathlib import Path

import pytest

from policies.bundle import ACCESS_RULES, Bundle
from policies.errors import PolicyRefusedError
from tests.simulators.clinic import CLINIC, Clinic
from tests.vault.bundles.folders import narrow, versioned, widen
from vault.bundles.following import InForce
from vault.bundles.source import BundleSource
from vault.bundles.watching import FolderWatch
from vault.errors import StorageError


@pytest.fixture
def watch(clinic: Clinic, folder: Path) -> FolderWatch:
    """A watch of the test's own, beside that of the vault, which looks every ten seconds."""
    cell = InForce()
    cell.parts = clinic.vault.parts
    made = FolderWatch(BundleSource(folder), cell)
    made.end()
    return made


def notices(clinic: Clinic, log: str = CLINIC) -> list[dict[str, object]]:
    return [one.payload for one in clinic.log(log) if one.event == "policy.refuse"]


def test_a_changed_file_is_told_once_in_every_log_and_not_used(
    clinic: Clinic, folder: Path, watch: FolderWatch
) -> None:
    assert not watch.differs
    digest = clinic.vault.parts.policy.digest
    narrow(folder)
    for _ in range(3):
        watch.look()
    assert watch.differs
    expected = {"kind": "noticed", "reason": "changed-file", "candidate": Bundle.read(folder).digest}
    assert notices(clinic) == notices(clinic, "system") == [expected]
    assert clinic.vault.parts.policy.digest == digest
    versioned(folder, 2)
    watch.look()
    assert len(notices(clinic)) == 2, "another change is told again"


def test_what_is_put_back_is_no_change_any_more(clinic: Clinic, folder: Path, watch: FolderWatch) -> None:
    widen(narrow(folder))
    watch.look()
    assert (watch.differs, notices(clinic)) == (False, [])
    narrow(folder)
    watch.look()
    widen(folder)
    watch.look()
    assert not watch.differs
    narrow(folder)
    watch.look()
    assert len(notices(clinic)) == 2


def test_what_cannot_be_read_differs_and_makes_nobody_wait(
    clinic: Clinic, folder: Path, watch: FolderWatch
) -> None:
    (folder / ACCESS_RULES).unlink()
    os.mkfifo(folder / ACCESS_RULES)
    watch.look()
    assert watch.differs
    assert notices(clinic)[0]["reason"] == "changed-file"
    folder.rename(folder.with_name("gone"))
    watch.look()
    watch.look()
    assert watch.differs
    assert notices(clinic)[1:] == [{"kind": "noticed", "reason": "changed-file"}]


def test_files_are_read_only_when_something_about_them_changed(
    folder: Path, watch: FolderWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    monkeypatch.setattr(BundleSource, "digest", lambda _self: read.append(1))
    watch.look()
    assert read == []
    (folder / ACCESS_RULES).touch()
    watch.look()
    assert read == [1]


def test_what_could_not_be_told_is_told_at_the_next_look(
    clinic: Clinic, folder: Path, watch: FolderWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StorageError("no space is left")

    narrow(folder)
    with monkeypatch.context() as broken:
        broken.setattr("vault.journal.Journal.write", full)
        watch.look()
    assert (watch.differs, notices(clinic)) == (True, [])
    watch.look()
    assert len(notices(clinic)) == 1


def test_a_refused_reload_says_it_already(clinic: Clinic, folder: Path) -> None:
    (folder / ACCESS_RULES).write_bytes(b"")
    with pytest.raises(PolicyRefusedError):
        clinic.vault.reload_policy()
    assert clinic.vault.policy_differs
    assert [one["kind"] for one in notices(clinic)] == ["refused"]
