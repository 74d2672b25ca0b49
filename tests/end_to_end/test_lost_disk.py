"""After a lost disk: what was erased, dropped and masked since the snapshot is so again before anybody is served."""

from dataclasses import replace
from pathlib import Path

import pytest

from audit.certificate_check import verify_certificate
from audit.trust import Trust
from policies.model import Purpose
from tests.end_to_end.test_removal import subject_of
from tests.end_to_end.test_rescan import LATE, newer
from tests.simulators.clinic import ADMINISTRATOR, CLINIC, OFFICER, OWNER, Clinic
from vault.consistency import Consistency
from vault.erasure import Erased, Erasures
from vault.errors import ErasedError, KeyAccessError, StoreCorruptError
from vault.lost_erasures import lost_erasures
from vault.opening import Vault
from vault.restoration import Restored
from vault.restoring import restore_snapshot
from vault.snapshots import Snapshots


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    return tmp_path / "backup"


def snapshot(clinic: Clinic, backup: Path) -> Path:
    assert clinic.vault.wait(20)
    return Snapshots(clinic.vault.parts).create(ADMINISTRATOR, backup).folder.path


def erase(clinic: Clinic, name: str) -> Erased:
    erasures = Erasures(clinic.vault.parts)
    return erasures.erase(OFFICER, name, erasures.plan(OFFICER, name).digest)


def lose(clinic: Clinic) -> None:
    clinic.vault.close()
    for file in clinic.path.glob("vault.db*"):
        file.unlink()


def restore(clinic: Clinic, folder: Path) -> Restored:
    restored = restore_snapshot(clinic.path, folder, ADMINISTRATOR, options=clinic.options)
    clinic.vault = Vault.open(clinic.path, options=clinic.options)
    return restored


def payloads_naming(clinic: Clinic, *ids: str) -> list[str]:
    """Return the events of erasable payloads that name an id, but for those of erasures and restores."""
    return [
        one.event
        for one in clinic.log()
        if one.event in {"key.create", "memory.write", "memory.read", "memory.search"}
        and any(each in repr(one.payload) for each in ids)
    ]


def test_what_the_log_said_of_the_erased_is_dropped_anew_and_certified_anew(
    clinic: Clinic, backup: Path
) -> None:
    owner = clinic.mem(OWNER)
    gone = owner.extract("Anna Keller has a blue giraffe", subject="anna").memory_ids[0]
    joint = owner.extract("they met at the zoo", subject=["anna", "john"]).memory_ids[0]
    stays = owner.extract("the zebra stays", subject="john").memory_ids[0]
    owner.get(gone)
    assert [hit.memory.id for hit in owner.retrieve("blue giraffe", k=1).hits] == [gone]
    subject = subject_of(clinic, gone)
    assert {"memory.write", "memory.read", "memory.search"} <= set(payloads_naming(clinic, subject, gone))
    folder = snapshot(clinic, backup)
    first = erase(clinic, "anna")
    assert payloads_naming(clinic, subject, gone, joint) == []
    lose(clinic)
    assert restore(clinic, folder).erasures == 1
    assert payloads_naming(clinic, subject, gone, joint) == []
    assert payloads_naming(clinic, stays)
    assert [one.event for one in clinic.log() if one.event in {"payload.erase", "key.destroy"}][:1] == [
        "key.destroy"
    ]
    assert "payload.erase" in [one.event for one in clinic.log()]
    erasures = Erasures(clinic.vault.parts)
    shown = erasures.certificate(OFFICER, "anna")
    assert shown.erasure_id != first.erasure_id
    proven = verify_certificate(shown.certificate, Trust(clinic.vault.parts.log.keys.verifiers))
    assert (proven.certificate.subject, len(proven.certificate.keys)) == (subject, 1)
    assert proven.certificate.matched["memories"] == 2
    assert erasures.plan(OFFICER, "anna").erasure == shown.erasure_id
    assert clinic.sql("SELECT memory_id FROM memory") == [(stays,)]
    with pytest.raises((ErasedError, KeyAccessError)):
        clinic.mem(OWNER).extract("Anna Keller has a blue giraffe", subject="anna")
    found = Consistency(clinic.vault.parts).run(CLINIC)
    assert (found.errors, found.found) == (0, [])
    assert clinic.audit().verify().passed
    assert clinic.vault.unmatched_intents() == {}


def test_of_a_person_whom_the_snapshot_does_not_know_the_destroyed_key_is_told(
    clinic: Clinic, backup: Path
) -> None:
    folder = snapshot(clinic, backup)
    clinic.mem(OWNER).extract("the giraffe", subject="anna")
    erase(clinic, "anna")
    lose(clinic)
    assert restore(clinic, folder).erasures == 1
    found = Consistency(clinic.vault.parts).run(CLINIC)
    assert (found.errors, found.found) == (0, [])
    shown = Erasures(clinic.vault.parts).certificate(OFFICER, "anna")
    proven = verify_certificate(shown.certificate, Trust(clinic.vault.parts.log.keys.verifiers))
    assert proven.certificate.matched == {"keys": 1}


def test_an_erasure_that_the_snapshot_knows_is_not_begun_again_nor_is_one_by_a_second_restore(
    clinic: Clinic, backup: Path
) -> None:
    clinic.mem(OWNER).extract("the giraffe", subject="anna")
    clinic.mem(OWNER).extract("the zebra", subject="john")
    erased = erase(clinic, "anna")
    folder = snapshot(clinic, backup)
    lose(clinic)
    assert restore(clinic, folder).erasures == 0
    assert Erasures(clinic.vault.parts).certificate(OFFICER, "anna").erasure_id == erased.erasure_id
    later = erase(clinic, "john")
    clinic.vault.close()
    assert restore(clinic, folder).erasures == 0, "nothing was lost: the erasure stands"
    assert Erasures(clinic.vault.parts).certificate(OFFICER, "john").erasure_id == later.erasure_id
    assert lost_erasures(clinic.vault.parts, CLINIC, folder.name, []) == []


@pytest.mark.parametrize("last", ["restored", "erase-shredded", "erase-payloads", "erase-certified"])
def test_a_restore_that_ends_in_the_midst_of_it_opens_to_nobody_until_it_is_done(
    clinic: Clinic, backup: Path, last: str
) -> None:
    gone = clinic.mem(OWNER).extract("the giraffe", subject="anna").memory_ids[0]
    subject = subject_of(clinic, gone)
    folder = snapshot(clinic, backup)
    erase(clinic, "anna")
    lose(clinic)

    def cut(step: str) -> None:
        if step == last:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_snapshot(clinic.path, folder, ADMINISTRATOR, options=replace(clinic.options, probe=cut))
    with pytest.raises(StoreCorruptError, match="restore was cut short"):
        Vault.open(clinic.path, options=clinic.options)
    restore(clinic, folder)
    assert payloads_naming(clinic, subject, gone) == []
    assert clinic.count("erasure") == clinic.count("erasure", "state = 'done'") == 1
    assert Consistency(clinic.vault.parts).run(CLINIC).errors == 0
    assert clinic.audit().verify().passed


@pytest.mark.parametrize("lost", [True, False])
def test_what_a_newer_gate_had_masked_is_masked_before_anybody_reads_it(
    clinic: Clinic, backup: Path, *, lost: bool
) -> None:
    memory = clinic.mem(OWNER).extract(f"We met at the {LATE}.", subject="maria").memory_ids[0]
    folder = snapshot(clinic, backup)
    clinic.options = newer(clinic.options)
    if lost:
        lose(clinic)
    else:
        clinic.sql("UPDATE memory SET text = zeroblob(99)")
        clinic.vault.close()
    assert restore(clinic, folder).masked == 1
    read = clinic.mem(OWNER).get(memory).text
    assert LATE not in read
    assert read.startswith("We met at the ")
    assert [one.event for one in clinic.log() if one.event == "incident.open"] == ["incident.open"]
    assert clinic.mem(OWNER, Purpose.TREATMENT).retrieve("met").hits
    assert clinic.audit().verify().passed
