"""Erasing payloads: the bytes go, the tree and every proof stay, and the entry says what happened."""

import json
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from audit.erasure import MAX_ERASED
from audit.siem.formats import Format
from policies.errors import DeniedError
from policies.model import Principal, Purpose
from tests.simulators.clinic import (
    ADMINISTRATOR,
    AUDITOR,
    CLINICIAN,
    OFFICER,
    OWNER,
    SECOND_OFFICER,
    Clinic,
)
from vault.auditing import verify_receipt
from vault.errors import ConflictError, HeldError, InputInvalidError
from vault.hold_terms import Placing, Targets
from vault.hold_words import HoldReason, HoldScope
from vault.holds import Holds
from vault.log_stream import StreamRequest
from vault.payload_erasure import ErasureReason, PayloadErasure
from vault.storage.folding import fold


def erase(clinic: Clinic, *indexes: int, by: Principal = ADMINISTRATOR) -> int:
    job = PayloadErasure(clinic.vault.parts)
    return job.erase(by, Purpose.OPERATIONS, indexes, ErasureReason.ERASURE_REQUEST).leaf.index


def test_a_payload_goes_and_the_tree_and_every_old_proof_stand(clinic: Clinic) -> None:
    view = clinic.mem(OWNER)
    receipts = [view.extract(f"note {nth} of Maria Keller", subject="maria") for nth in range(5)]
    before = [clinic.audit().prove(receipt) for receipt in receipts]
    headers = clinic.sql("SELECT header, leaf_hash FROM audit_leaf ORDER BY tenant_id, leaf_index")
    checkpoint = clinic.audit().checkpoint()
    gone = [receipts[1].leaf_index, receipts[3].leaf_index]
    eraser = erase(clinic, *gone)
    key = str(clinic.vault.parts.verifier_key.for_log("clinic"))
    for receipt, proof in zip(receipts, before, strict=True):
        verify_receipt(proof, key)
        verify_receipt(clinic.audit().prove(receipt), key)
    assert headers == [
        row
        for row in clinic.sql("SELECT header, leaf_hash FROM audit_leaf ORDER BY tenant_id, leaf_index")
        if row in headers
    ]
    clinic.audit().checkpoint()
    report = clinic.audit().verify()
    assert report.passed, report
    assert report.log.logs[-1].erased == 2
    assert checkpoint.signed.checkpoint.size <= eraser
    rows = clinic.sql(
        "SELECT leaf_index, salt, payload, erased_by FROM audit_leaf WHERE erased_by IS NOT NULL"
    )
    assert rows == [(index, None, None, eraser) for index in gone]


def test_the_entry_names_what_it_erased_and_why_in_the_same_transaction(clinic: Clinic) -> None:
    receipt = clinic.mem(OWNER).extract("a note")
    eraser = erase(clinic, receipt.leaf_index)
    told = clinic.last()
    assert (told.index, told.event, told.principal, told.resource) == (
        eraser,
        "payload.erase",
        ADMINISTRATOR.id,
        "audit-log",
    )
    assert told.payload == {"entries": [receipt.leaf_index], "log": "clinic", "reason": "erasure-request"}


@pytest.mark.parametrize("over", [HoldScope.SUBJECT, HoldScope.MATTER, HoldScope.TENANT])
def test_what_entries_say_of_the_held_stays_and_the_refusal_is_an_entry(
    clinic: Clinic, over: HoldScope
) -> None:
    view = clinic.mem(OWNER)
    written = view.extract("a note of Maria Keller", subject="maria")
    read = view.get(written.memory_ids[0]).receipt
    assert read is not None
    targets = {
        HoldScope.SUBJECT: Targets(("maria",)),
        HoldScope.MATTER: Targets((), written.memory_ids),
        HoldScope.TENANT: Targets(),
    }[over]
    matter = "case-7" if over is HoldScope.MATTER else None
    review = clinic.vault.parts.clock() + timedelta(days=9)
    holds = Holds(clinic.vault.parts)
    hold_id = holds.place(OFFICER, Placing(over, HoldReason.LITIGATION, review, targets, matter)).hold_id
    for entry in (written.leaf_index, read.leaf_index):
        with pytest.raises(HeldError):
            erase(clinic, entry)
        told = clinic.last()
        assert (told.event, told.outcome) == ("payload.erase", "refused")
        assert told.payload["holds"] == [hold_id]
    assert clinic.sql("SELECT count(*) FROM audit_leaf WHERE erased_by IS NOT NULL") == [(0,)]
    holds.ask_release(OFFICER, hold_id)
    holds.release(SECOND_OFFICER, hold_id)
    erase(clinic, written.leaf_index, read.leaf_index)
    assert clinic.audit().verify().passed


def test_a_hold_over_one_person_keeps_no_entry_about_another(clinic: Clinic) -> None:
    view = clinic.mem(OWNER)
    view.extract("a note of Maria Keller", subject="maria")
    other = view.extract("a note of Bob Weiss", subject="bob")
    review = clinic.vault.parts.clock() + timedelta(days=9)
    placing = Placing(HoldScope.SUBJECT, HoldReason.LITIGATION, review, Targets(("maria",)), None)
    Holds(clinic.vault.parts).place(OFFICER, placing)
    erase(clinic, other.leaf_index)
    assert clinic.sql("SELECT count(*) FROM audit_leaf WHERE erased_by IS NOT NULL") == [(1,)]


class _Bytes:
    """What stands in the files of a vault of one entry's payload."""

    def __init__(self, clinic: Clinic, index: int) -> None:
        (row,) = clinic.sql(
            "SELECT payload, salt FROM audit_leaf WHERE tenant_id = 'clinic' AND leaf_index = ?", index
        )
        payload = str(row[0]).encode()
        self._parts = (payload, bytes(row[1]), json.loads(payload)["digests"][0].encode())  # type: ignore[call-overload]  # a blob
        self._path = clinic.path

    def standing(self) -> list[str]:
        """Return the names of the files that hold any of it."""
        files = (self._path / name for name in ("vault.db", "vault.db-wal", "vault.db-shm"))
        held = {file.name: file.read_bytes() for file in files if file.exists()}
        return [name for name, content in held.items() if any(part in content for part in self._parts)]


def test_no_byte_of_an_erased_payload_is_left_on_the_disk_while_the_vault_is_open(clinic: Clinic) -> None:
    receipt = clinic.mem(OWNER).extract("a note of Maria Keller", subject="maria keller")
    hunted = _Bytes(clinic, receipt.leaf_index)
    assert "vault.db-wal" in hunted.standing()
    job = PayloadErasure(clinic.vault.parts)
    done = job.erase(ADMINISTRATOR, Purpose.OPERATIONS, [receipt.leaf_index], ErasureReason.ERASURE_REQUEST)
    assert not done.bytes_may_remain
    assert hunted.standing() == []
    clinic.close()
    assert hunted.standing() == []
    clinic.reopen()
    assert hunted.standing() == []
    assert clinic.audit().verify().passed


def test_a_reader_of_an_older_state_holds_bytes_back_and_that_is_said(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.payload_erasure.FOLD_SECONDS", 0.2)
    receipts = [clinic.mem(OWNER).extract(f"note {nth}", subject="maria") for nth in range(2)]
    hunted = _Bytes(clinic, receipts[0].leaf_index)
    job = PayloadErasure(clinic.vault.parts)

    def erase_one(index: int) -> bool:
        return job.erase(ADMINISTRATOR, Purpose.OPERATIONS, [index], ErasureReason.RETENTION).bytes_may_remain

    with clinic.vault.parts.store.log_connection("clinic") as connection:
        assert len(list(clinic.vault.parts.log.entries(connection, "clinic"))) > 1
        assert erase_one(receipts[0].leaf_index)
        assert "vault.db-wal" in hunted.standing()
    assert not erase_one(receipts[1].leaf_index), "the next erasure takes the old bytes with it"
    assert hunted.standing() == []


def test_writers_go_on_while_an_erasure_waits_for_a_reader(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.payload_erasure.FOLD_SECONDS", 3.0)
    receipt = clinic.mem(OWNER).extract("a note", subject="maria")
    with clinic.vault.parts.store.log_connection("clinic") as connection:
        list(clinic.vault.parts.log.entries(connection, "clinic"))
        erasing = threading.Thread(target=erase, args=(clinic, receipt.leaf_index))
        erasing.start()
        written = [clinic.mem(OWNER).extract(f"meanwhile {nth}") for nth in range(5)]
        assert erasing.is_alive(), "all were written before it gave up"
    erasing.join(10)
    assert not erasing.is_alive()
    assert len({one.leaf_index for one in written}) == 5
    assert clinic.audit().verify().passed


def test_what_cannot_be_folded_is_said_and_raises_nothing(tmp_path: Path) -> None:
    (tmp_path / "no.db").write_bytes(b"no database" * 100)
    assert not fold(tmp_path / "no.db", 0)
    assert not fold(tmp_path / "absent.db", 0)
    assert not (tmp_path / "absent.db").exists()


def test_entries_and_streams_say_that_a_payload_was_erased_and_by_which_entry(clinic: Clinic) -> None:
    receipt = clinic.mem(OWNER).extract("a note")
    eraser = erase(clinic, receipt.leaf_index)
    (entry,) = clinic.audit().entries(start=receipt.leaf_index, limit=1)
    assert (entry.payload, entry.erased_by) == (None, eraser)
    (item,) = clinic.audit().stream(StreamRequest(Format.OCSF, receipt.leaf_index, 1)).take()
    assert (item.fields, item.erased_by) == (None, eraser)


def test_what_tells_of_keys_logins_exports_signatures_and_erasures_stays(clinic: Clinic) -> None:
    receipt = clinic.mem(OWNER).extract("a note")
    list(clinic.audit().stream(StreamRequest(Format.OCSF)).batches())
    eraser = erase(clinic, receipt.leaf_index)
    kinds = {entry.event: entry.index for entry in clinic.log()}
    for event in ("policy.load", "vault.init", "vault.open", "audit.export", "payload.erase"):
        with pytest.raises(ConflictError, match="stays"):
            erase(clinic, kinds[event])
    with pytest.raises(ConflictError, match="already"):
        erase(clinic, receipt.leaf_index)
    assert clinic.last().index == eraser
    assert clinic.count("audit_leaf", "erased_by IS NOT NULL") == 1


def test_checkpoints_in_the_system_log_cannot_be_erased_by_the_code_or_in_the_database(
    clinic: Clinic,
) -> None:
    clinic.audit().checkpoint()
    with pytest.raises(Exception, match="only erased"):
        clinic.sql(
            "UPDATE audit_leaf SET payload = NULL, salt = NULL, erased_by = leaf_index + 1"
            " WHERE event = 'log.checkpoint'"
        )
    system = Principal("admin-a", "system", ADMINISTRATOR.roles)
    with pytest.raises((ConflictError, InputInvalidError)):
        erase(clinic, 2, by=system)
    assert clinic.count("audit_leaf", "payload IS NULL") == 0


@pytest.mark.parametrize("indexes", [(), (-1,), (10**9,), (2, 2), tuple(range(MAX_ERASED + 1))])
def test_indexes_that_are_none_of_this_log_erase_nothing(clinic: Clinic, indexes: tuple[int, ...]) -> None:
    clinic.mem(OWNER).extract("a note")
    size = len(clinic.log())
    with pytest.raises(InputInvalidError):
        erase(clinic, *indexes)
    assert len(clinic.log()) == size
    assert clinic.count("audit_leaf", "payload IS NULL") == 0


def test_one_entry_that_stays_lets_all_stand(clinic: Clinic) -> None:
    receipt = clinic.mem(OWNER).extract("a note")
    with pytest.raises(ConflictError):
        erase(clinic, receipt.leaf_index, 0)
    assert clinic.count("audit_leaf", "payload IS NULL") == 0
    assert clinic.last().event == "memory.write"


def test_only_who_runs_the_vault_may_erase(clinic: Clinic) -> None:
    receipt = clinic.mem(OWNER).extract("a note")
    for other in (OWNER, AUDITOR, CLINICIAN):
        with pytest.raises(DeniedError):
            erase(clinic, receipt.leaf_index, by=other)
        assert (clinic.last().decision, clinic.last().principal) == ("denied", other.id)
    assert clinic.count("audit_leaf", "payload IS NULL") == 0
