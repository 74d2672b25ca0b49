"""Restoring: the rows of a snapshot come back, the log goes on, and what was erased or held since is not undone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from policies.model import Purpose
from tests.end_to_end.test_removal import place_hold, remove, subject_of
from tests.simulators.clinic import ADMINISTRATOR, BANK, CLINIC, OFFICER, OWNER, STRANGER, Clinic
from vault.erasure import Erasures
from vault.errors import (
    ConflictError,
    ErasedError,
    HeldError,
    KeyAccessError,
    NotFoundError,
    SnapshotForeignError,
    StoreCorruptError,
    TamperedError,
)
from vault.opening import Vault
from vault.restoring import Restored, RestoreTerms, restore_snapshot
from vault.snapshot_files import SnapshotFolder
from vault.snapshots import Snapshots


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    return tmp_path / "backup"


def snapshot(clinic: Clinic, backup: Path) -> Path:
    assert clinic.vault.wait(20)
    return Snapshots(clinic.vault.parts).create(ADMINISTRATOR, backup).folder.path


def restore(clinic: Clinic, folder: Path, terms: RestoreTerms | None = None) -> Restored:
    """Close the vault, restore it, open it again, and see that all of it verifies."""
    clinic.vault.close()
    try:
        return restore_snapshot(clinic.path, folder, ADMINISTRATOR, options=clinic.options, terms=terms)
    finally:
        clinic.vault = Vault.open(clinic.path, options=clinic.options)
        assert clinic.vault.wait(20)
        for tenant in (CLINIC, BANK):
            report = clinic.audit(tenant).verify()
            assert report.passed, (report.row_findings, report.log.findings)


def texts(clinic: Clinic, question: str) -> list[str]:
    return sorted(hit.memory.text for hit in clinic.mem(OWNER).retrieve(question, k=20).hits)


def test_rows_are_those_of_the_snapshot_again_and_the_log_goes_on(clinic: Clinic, backup: Path) -> None:
    owner = clinic.mem(OWNER)
    kept = owner.extract("the zebra stays", subject="maria").memory_ids[0]
    changed = owner.extract("the giraffe is tall", subject="maria").memory_ids[0]
    folder = snapshot(clinic, backup)
    before = clinic.state()
    entries = len(clinic.log())
    owner.update(changed, "the giraffe is small")
    owner.extract("the lion came later", subject="john")
    assert clinic.vault.wait(20)
    restored = restore(clinic, folder)
    (plan,) = [one for one in restored.tenants if one.tenant == CLINIC]
    assert (plan.lost, plan.suppressed, plan.held) == (1, 0, [])
    assert {**clinic.state(), "subject": 0} == {**before, "subject": 0}
    assert texts(clinic, "zebra giraffe lion stays tall small later") == [
        "the giraffe is tall",
        "the zebra stays",
    ]
    assert clinic.mem(OWNER).get(kept).text == "the zebra stays"
    assert clinic.mem(OWNER).get(changed).version == 1
    assert len(clinic.log()) > entries, "the log is never rolled back"
    told = [one for one in clinic.log() if one.event == "snapshot.restore"]
    assert [(one.payload["count"], one.payload["suppressed"]) for one in told] == [(1, 0)]
    assert clinic.mem(OWNER).update(changed, "the giraffe is grey")
    assert clinic.audit().verify().passed
