"""Restoring: the rows of a snapshot come back, the log goes on, and what was erased or held since is not undone."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from audit.key_file import create_key_file
from audit.signing import SignerKey
from policies.model import Purpose
from tests.end_to_end.test_removal import remove, subject_of
from tests.simulators.clinic import (
    ADMINISTRATOR,
    BANK,
    CLINIC,
    OFFICER,
    OWNER,
    SECOND_OFFICER,
    STRANGER,
    Clinic,
)
from tests.simulators.fakes import fake_options
from vault.erasure import Erasures
from vault.errors import (
    ConflictError,
    ErasedError,
    HeldError,
    KeyAccessError,
    LogRolledBackError,
    NotFoundError,
    SnapshotForeignError,
    StoreCorruptError,
    TamperedError,
)
from vault.hold_terms import Placing, Targets
from vault.hold_words import HoldReason, HoldScope
from vault.holds import Holds
from vault.model import Chat, SpeakerRole, Turn
from vault.opening import Vault
from vault.outside import Places, make_anchor
from vault.reencryption import Reencryption
from vault.restoration import Restoration, Restored, RestoreTerms
from vault.restoring import restore_snapshot
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
    assert clinic.mem(OWNER).update(changed, "the giraffe is grey").memory_ids
    assert clinic.audit().verify().passed


def test_a_memory_that_was_removed_for_good_does_not_come_back(clinic: Clinic, backup: Path) -> None:
    owner = clinic.mem(OWNER)
    gone = owner.extract("the giraffe goes", subject="maria").memory_ids[0]
    stays = owner.extract("the zebra stays", subject="maria").memory_ids[0]
    folder = snapshot(clinic, backup)
    remove(clinic, gone)
    restored = restore(clinic, folder)
    assert next(one for one in restored.tenants if one.tenant == CLINIC).suppressed == 1
    assert clinic.sql("SELECT memory_id FROM memory") == [(stays,)]
    assert texts(clinic, "giraffe goes zebra stays") == ["the zebra stays"]
    with pytest.raises(NotFoundError):
        clinic.mem(OWNER).get(gone)


def erase(clinic: Clinic, name: str) -> None:
    erasures = Erasures(clinic.vault.parts)
    erasures.erase(OFFICER, name, erasures.plan(OFFICER, name).digest)


@pytest.mark.parametrize("lost_disk", [False, True])
def test_an_erased_person_does_not_come_back_from_an_old_snapshot(
    clinic: Clinic, backup: Path, *, lost_disk: bool
) -> None:
    owner = clinic.mem(OWNER)
    gone = owner.extract("Anna Keller has a blue giraffe", subject="anna").memory_ids[0]
    joint = owner.extract("they met at the zoo", subject=["anna", "john"]).memory_ids[0]
    stays = owner.extract("the zebra stays", subject="john").memory_ids[0]
    folder = snapshot(clinic, backup)
    subject = subject_of(clinic, gone)
    erase(clinic, "anna")
    if lost_disk:
        clinic.vault.close()
        (clinic.path / "vault.db").unlink()
    restore(clinic, folder)
    assert clinic.sql("SELECT memory_id FROM memory") == [(stays,)]
    assert clinic.sql("SELECT count(*) FROM memory_subject WHERE subject_id = ?", subject) == [(0,)]
    assert clinic.sql("SELECT count(*) FROM subject WHERE subject_id = ?", subject) == [(0,)]
    assert texts(clinic, "blue giraffe zoo zebra stays met") == ["the zebra stays"]
    for memory_id in (gone, joint):
        with pytest.raises((NotFoundError, KeyAccessError)):
            clinic.mem(OWNER).reveal(memory_id)
    with pytest.raises((ErasedError, KeyAccessError)):
        clinic.mem(OWNER).extract("Anna Keller has a blue giraffe", subject="anna")


def hold(clinic: Clinic, *, subject: str = "", memory: str = "") -> str:
    targets = Targets(subjects=(subject,)) if subject else Targets(memories=(memory,))
    scope = HoldScope.SUBJECT if subject else HoldScope.MATTER
    review = clinic.vault.parts.clock() + timedelta(days=30)
    matter = None if subject else "case-a"
    placing = Placing(scope, HoldReason.LITIGATION, review, targets, matter)
    return Holds(clinic.vault.parts).place(OFFICER, placing).hold_id


def test_a_hold_refuses_a_restore_that_would_take_something_and_the_refusal_is_an_entry(
    clinic: Clinic, backup: Path
) -> None:
    owner = clinic.mem(OWNER)
    changed = owner.extract("the giraffe is tall", subject="maria").memory_ids[0]
    folder = snapshot(clinic, backup)
    owner.update(changed, "the giraffe is small")
    later = owner.extract("kept for the court", subject="maria").memory_ids[0]
    free = owner.extract("not held", subject="john").memory_ids[0]
    hold_id = hold(clinic, subject="maria")
    assert clinic.vault.wait(20)
    before = clinic.state()
    with pytest.raises(HeldError) as caught:
        restore(clinic, folder)
    assert set(caught.value.memories) == {changed, later}
    assert caught.value.holds == (hold_id,)
    assert clinic.state() == before
    (told,) = [one for one in clinic.log() if one.event == "snapshot.restore"]
    assert (told.outcome, told.payload["reason"]) == ("refused", "held")
    restored = restore(clinic, folder, RestoreTerms(keep_held=True))
    assert sorted(next(one for one in restored.tenants if one.tenant == CLINIC).held) == sorted(
        [changed, later]
    )
    assert texts(clinic, "giraffe small tall court held") == ["kept for the court", "the giraffe is small"]
    assert clinic.sql("SELECT count(*) FROM memory WHERE memory_id = ?", free) == [(0,)]
    assert len(clinic.mem(OWNER).extract("and on", subject="maria").memory_ids) == 1


def test_a_hold_that_only_the_ledger_knows_is_in_force_after_a_lost_disk(
    clinic: Clinic, backup: Path
) -> None:
    held = clinic.mem(OWNER).extract("kept for the court", subject="maria").memory_ids[0]
    folder = snapshot(clinic, backup)
    hold_id = hold(clinic, memory=held)
    clinic.vault.close()
    (clinic.path / "vault.db").unlink()
    assert restore(clinic, folder).replayed == 1
    with pytest.raises(HeldError):
        remove(clinic, held)
    holds = Holds(clinic.vault.parts)
    holds.ask_release(OFFICER, hold_id)
    holds.release(SECOND_OFFICER, hold_id)
    clinic.vault.close()
    (clinic.path / "vault.db").unlink()
    restore(clinic, folder)
    assert remove(clinic, held).removed.memories == 1, "a release is in the ledger, too"


def test_what_was_damaged_or_deleted_comes_back_as_it_was(clinic: Clinic, backup: Path) -> None:
    owner = clinic.mem(OWNER)
    altered = owner.extract("the giraffe is tall", subject="maria").memory_ids[0]
    deleted = owner.extract("the zebra stays", subject="maria").memory_ids[0]
    folder = snapshot(clinic, backup)
    later = owner.extract("the lion came later", subject="john").memory_ids[0]
    hold(clinic, memory=altered)
    clinic.sql("UPDATE memory SET text = zeroblob(200) WHERE memory_id = ?", altered)
    for table in ("memory", "memory_subject", "embedding"):
        clinic.sql(f"DELETE FROM {table} WHERE memory_id = ?", deleted)  # noqa: S608
    clinic.sql("DELETE FROM episode")
    assert not clinic.audit().verify().passed
    restored = restore(clinic, folder)
    assert next(one for one in restored.tenants if one.tenant == CLINIC).put_back == 2
    assert texts(clinic, "giraffe tall zebra stays") == ["the giraffe is tall", "the zebra stays"]
    with pytest.raises(NotFoundError):
        clinic.mem(OWNER).get(later)


def test_a_newer_snapshot_brings_back_what_an_older_one_took(clinic: Clinic, backup: Path) -> None:
    owner = clinic.mem(OWNER)
    first = owner.extract("the giraffe is tall", subject="maria").memory_ids[0]
    old = snapshot(clinic, backup)
    owner.update(first, "the giraffe is small")
    owner.extract("the lion came later", subject="john")
    new = snapshot(clinic, backup)
    state = clinic.state()
    for _ in range(2):
        restore(clinic, old)
        assert texts(clinic, "giraffe tall small lion later") == ["the giraffe is tall"]
        restore(clinic, new)
        assert clinic.state() == state
        assert texts(clinic, "giraffe tall small lion later") == [
            "the giraffe is small",
            "the lion came later",
        ]


def test_trust_and_edges_are_those_of_the_snapshot(clinic: Clinic, backup: Path) -> None:
    owner = clinic.mem(OWNER)
    said = ("My right knee hurts on stairs.", "Actually it's the left knee.")
    owner.extract(Chat(tuple(Turn("Maria", text, role=SpeakerRole.USER) for text in said)), subject="maria")
    clean = snapshot(clinic, backup)
    before = trust_and_edges(clinic)
    assert owner.organize(subject="maria").links
    organized = snapshot(clinic, backup)
    after = trust_and_edges(clinic)
    assert after != before
    for _ in range(2):
        restore(clinic, clean)
        assert trust_and_edges(clinic) == before
        restore(clinic, organized)
        assert trust_and_edges(clinic) == after


def trust_and_edges(clinic: Clinic) -> tuple[object, object]:
    trust = clinic.sql("SELECT memory_id, trust FROM memory ORDER BY 1")
    return trust, clinic.sql("SELECT source_id, kind, target_id FROM edge ORDER BY 1, 2, 3")


def test_only_the_tenants_that_were_named_are_restored(clinic: Clinic, backup: Path) -> None:
    folder = snapshot(clinic, backup)
    clinic.mem(OWNER).extract("the giraffe", subject="maria")
    ledger = clinic.mem(STRANGER, Purpose.SERVICE).extract("a ledger", subject="client").memory_ids[0]
    restore(clinic, folder, RestoreTerms(tenants=frozenset({CLINIC})))
    assert clinic.sql("SELECT memory_id FROM memory") == [(ledger,)]
    with pytest.raises(NotFoundError):
        restore(clinic, folder, RestoreTerms(tenants=frozenset({"nobody"})))


def test_a_plan_changes_nothing(clinic: Clinic, backup: Path) -> None:
    folder = snapshot(clinic, backup)
    clinic.mem(OWNER).extract("the giraffe", subject="maria")
    assert clinic.vault.wait(20)
    before = clinic.state()
    planned = restore(clinic, folder, RestoreTerms(plan_only=True))
    assert next(one for one in planned.tenants if one.tenant == CLINIC).lost == 1
    assert clinic.state() == before
    assert not [one for one in clinic.log() if one.event == "snapshot.restore"]


def test_a_snapshot_of_another_vault_or_of_another_history_is_refused(
    clinic: Clinic, template: Path, tmp_path: Path, backup: Path
) -> None:
    clinic.mem(OWNER).extract("the giraffe", subject="maria")
    folder = snapshot(clinic, backup)
    fork = Clinic(template, tmp_path / "fork", clinic.options)
    fork.mem(OWNER).extract("the lion", subject="john")
    state = fork.state()
    with pytest.raises(SnapshotForeignError, match="not the beginning"):
        restore(fork, folder)
    assert fork.state() == {**state, "embedding": 1}
    fork.close()
    other_key = tmp_path / "fork" / "log.key"
    other_key.unlink()
    create_key_file(other_key, SignerKey.for_deployment("embedded", b"x" * 32))
    with pytest.raises(SnapshotForeignError, match="signed by"):
        restore_snapshot(tmp_path / "fork", folder, ADMINISTRATOR, options=clinic.options)


def test_rows_that_were_sealed_anew_since_stay_so_and_lost_ones_come_back_in_the_older_sealing(
    clinic: Clinic, backup: Path
) -> None:
    owner, parts = clinic.mem(OWNER), clinic.vault.parts
    kept = owner.extract("the zebra stays", subject="maria").memory_ids[0]
    lost = owner.extract("the giraffe is tall", subject="maria").memory_ids[0]
    folder = snapshot(clinic, backup)
    parts.keyring.tenant(CLINIC).rotate(subject_of(clinic, kept))
    for _ in Reencryption(parts, CLINIC).run():
        pass
    sealed = clinic.sql("SELECT text FROM memory WHERE memory_id = ?", kept)
    for table in ("memory", "memory_subject", "embedding"):
        clinic.sql(f"DELETE FROM {table} WHERE memory_id = ?", lost)  # noqa: S608
    restore(clinic, folder)
    assert clinic.sql("SELECT text FROM memory WHERE memory_id = ?", kept) == sealed
    assert texts(clinic, "zebra stays giraffe tall") == ["the giraffe is tall", "the zebra stays"]
    told = [one for one in clinic.log() if one.event == "snapshot.restore" and "versions" in one.payload]
    assert [one.payload["memories"] for one in told][:1] == [[lost]]


def test_no_byte_of_a_snapshot_is_a_planted_value_or_its_token(clinic: Clinic, backup: Path) -> None:
    owner = clinic.mem(OWNER)
    owner.extract("Anna Keller, phone 212-555-0147, has a blue giraffe", subject="anna.keller@example.org")
    read = owner.retrieve("blue giraffe").hits[0].memory.text
    tokens = re.findall(r"\[([A-Z_]+-[a-z0-9]+)\]", read)
    assert tokens
    folder = snapshot(clinic, backup)
    content = b"".join(one.read_bytes() for one in sorted(folder.iterdir()))
    for planted in ("Anna", "Keller", "212-555-0147", "giraffe", "anna.keller", *tokens):
        for written in (planted, planted.lower(), planted.upper()):
            assert written.encode() not in content
            assert written.encode("utf-16-le") not in content
    assert b"memos-vault" in content, "the search finds what is there"


class StoppedError(Exception):
    """Stands for a crash."""


def test_an_erasure_under_way_is_finished_before_a_restore_and_goes_on_after_a_lost_disk(
    template: Path, tmp_path: Path, backup: Path
) -> None:
    interrupting: list[str] = []

    def probe(step: str) -> None:
        if step in interrupting:
            interrupting.clear()
            raise StoppedError

    clinic = Clinic(template, tmp_path / "vault", fake_options(probe=probe))
    gone = clinic.mem(OWNER).extract("Anna has a giraffe", subject="anna").memory_ids[0]
    old = snapshot(clinic, backup)
    interrupting.append("erase-begun")
    with pytest.raises(StoppedError):
        erase(clinic, "anna")
    parts, folder = clinic.vault.parts, SnapshotFolder(old)
    restoration = Restoration(
        parts, folder, folder.read_manifest(parts.log.keys.verifiers), RestoreTerms(), tmp_path / "copy.db"
    )
    with pytest.raises(ConflictError, match="erasure was begun"):
        restoration.run(ADMINISTRATOR)
    assert not list(tmp_path.glob("copy.db*"))
    begun = snapshot(clinic, backup)
    clinic.vault.close()
    (clinic.path / "vault.db").unlink()
    assert restore(clinic, begun).rows_were_lost
    assert clinic.sql("SELECT count(*) FROM memory WHERE memory_id = ?", gone) == [(0,)]
    Erasures(clinic.vault.parts).resume(CLINIC)
    assert clinic.sql("SELECT state FROM erasure") == [("done",)]
    restore(clinic, old)
    assert clinic.sql("SELECT count(*) FROM memory") == [(0,)]
    clinic.close()


def test_a_log_that_an_anchor_saw_longer_is_refused_and_all_is_as_it_was(
    template: Path, tmp_path: Path, backup: Path
) -> None:
    anchor = tmp_path / "anchor"
    make_anchor(Places(anchor=anchor))
    clinic = Clinic(template, tmp_path / "vault", replace(fake_options(), outside=Places(anchor=anchor)))
    clinic.mem(OWNER).extract("the zebra", subject="maria")
    folder = snapshot(clinic, backup)
    clinic.mem(OWNER).extract("the giraffe", subject="maria")
    clinic.close()
    (clinic.path / "vault.db").unlink()
    before = sorted(one.name for one in clinic.path.iterdir())
    with pytest.raises(LogRolledBackError):
        restore_snapshot(clinic.path, folder, ADMINISTRATOR, options=clinic.options)
    assert sorted(one.name for one in clinic.path.iterdir()) == before


def test_what_stands_in_the_way_of_a_lost_disk_s_restore_is_told(clinic: Clinic, backup: Path) -> None:
    folder = snapshot(clinic, backup)
    clinic.close()
    (clinic.path / "vault.db").rename(clinic.path / "vault.db-wal")
    with pytest.raises(StoreCorruptError, match="end of the log"):
        restore_snapshot(clinic.path, folder, ADMINISTRATOR, options=clinic.options)
    (clinic.path / "vault.db-wal").unlink()
    with pytest.raises(StoreCorruptError, match="missing"):
        restore_snapshot(
            clinic.path, folder, ADMINISTRATOR, options=clinic.options, terms=RestoreTerms(plan_only=True)
        )
    copy = folder / "vault.db"
    copy.write_bytes(copy.read_bytes()[:-1])
    with pytest.raises(TamperedError, match="not the one that was signed"):
        restore_snapshot(clinic.path, folder, ADMINISTRATOR, options=clinic.options)
    assert not list(clinic.path.glob("restoring*"))
    with pytest.raises(StoreCorruptError, match="missing"):
        Vault.open(clinic.path, options=clinic.options)


def test_a_snapshot_that_was_made_after_a_restore_is_of_what_that_restore_left(
    clinic: Clinic, backup: Path
) -> None:
    owner = clinic.mem(OWNER)
    owner.extract("the zebra stays", subject="maria")
    oldest = snapshot(clinic, backup)
    owner.extract("the giraffe goes twice", subject="maria")
    middle = snapshot(clinic, backup)
    restore(clinic, oldest)
    after = snapshot(clinic, backup)
    state = clinic.state()
    restore(clinic, middle)
    assert texts(clinic, "zebra giraffe stays goes twice") == ["the giraffe goes twice", "the zebra stays"]
    restore(clinic, after)
    assert {**clinic.state(), "subject": 0} == {**state, "subject": 0}
    assert texts(clinic, "zebra giraffe stays goes twice") == ["the zebra stays"]


def test_a_lost_disk_is_restored_whole_or_not_at_all(clinic: Clinic, backup: Path) -> None:
    """One tenant alone would leave the others as the snapshot has them: the erased in it, the holds not."""
    folder = snapshot(clinic, backup)
    clinic.close()
    (clinic.path / "vault.db").unlink()
    for name in ("vault.db-wal", "vault.db-shm"):
        (clinic.path / name).unlink(missing_ok=True)
    one = RestoreTerms(frozenset({CLINIC}))
    for _ in range(2):
        with pytest.raises(ConflictError, match="restored together"):
            restore_snapshot(clinic.path, folder, ADMINISTRATOR, options=clinic.options, terms=one)
        assert not (clinic.path / "vault.db").exists()
        assert not list(clinic.path.glob("restoring*"))
    assert restore_snapshot(clinic.path, folder, ADMINISTRATOR, options=clinic.options).rows_were_lost
