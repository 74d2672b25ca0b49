"""Erasing a person where rows are damaged, steps fail, others overtake it, and the tests after it notice what they are for."""

import threading

import pytest

from audit.certificate import Ran
from audit.event import Outcome
from policies.errors import DeniedError
from policies.model import Purpose
from tests.simulators.clinic import (
    ADMINISTRATOR,
    CLINIC,
    OWNER,
    Clinic,
)
from tests.vault.erased_people import OFFICER, People, erase, erasures, hold, proven, says
from vault.erasure import Erased, ErasureUnfinishedWarning
from vault.errors import (
    ConflictError,
    ErasedError,
    ErasureIncompleteError,
    HeldError,
    KeyDestroyedError,
    NotFoundError,
    StorageFullError,
    TamperedError,
)
from vault.intents import Effects
from vault.opening import Vault
from vault.organizer import Organizer
from vault.payload_erasure import ErasureReason, PayloadErasure
from vault.storage.schema import MEMORY_SUBJECT


def test_only_tests_that_got_nothing_back_let_an_erasure_be_certified(
    clinic: Clinic, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = clinic.vault.parts
    monkeypatch.setattr(type(parts.indexes), "found_anywhere", lambda *_: [people.alone[0]])
    with pytest.raises(ErasureIncompleteError, match="search"):
        erase(clinic)
    last = clinic.last()
    assert (last.event, last.outcome, last.payload["step"]) == ("subject.erase", "failed", "tested")
    assert clinic.count("erasure", "state = 'shredded' AND certificate IS NULL") == 1
    assert clinic.vault.unmatched_intents()[CLINIC][0].kind == "subject.erase"
    with pytest.raises(NotFoundError):
        erasures(clinic).certificate(OFFICER, "anna")
    monkeypatch.undo()
    assert erasures(clinic).resume(CLINIC)
    assert clinic.vault.unmatched_intents() == {}
    assert proven(clinic, erasures(clinic).certificate(OFFICER, "anna")).certificate.matched["memories"] == 3


DAMAGE = {
    "other bytes": "UPDATE memory SET text = CAST(X'00' || substr(text, 2) AS BLOB) WHERE memory_id = ? AND version = 1",
    "a text that is none": "UPDATE memory SET text = X'FF' || text WHERE memory_id = ?",
    "a number": "UPDATE memory SET trust = 7 WHERE memory_id = ?",
    "an episode that is no text": "UPDATE memory SET episode_id = CAST(X'FFFE' AS TEXT) WHERE memory_id = ?",
    "a person that is no text": "UPDATE memory SET subjects = CAST(X'FFFE' AS TEXT) WHERE memory_id = ?",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=list(DAMAGE))
def test_a_row_that_does_not_open_is_erased_all_the_same_and_counted(
    clinic: Clinic, people: People, damage: str
) -> None:
    clinic.sql(damage, people.alone[0])
    found = proven(clinic, erase(clinic)).certificate
    assert {one.what: one.count for one in found.remaining}["texts-not-opened"] == 1
    assert clinic.count("memory") == 1


def interrupted(clinic: Clinic, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Erase Anna as far as a step that fails."""

    def fail(*_given: object, **_named: object) -> None:
        raise StorageFullError("no space is left for the store")

    with monkeypatch.context() as patched:
        patched.setattr(f"vault.erasing.run.ErasureRun.{step}", fail)
        with pytest.raises(StorageFullError):
            erase(clinic)


@pytest.mark.parametrize(
    "step", ["_remember_facts", "_shred", "_remove_rows", "_erase_payloads", "_conclude"]
)
def test_what_failed_in_the_middle_is_finished_by_the_next_opening(
    clinic: Clinic, people: People, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    interrupted(clinic, monkeypatch, step)
    with pytest.raises((ErasedError, KeyDestroyedError)):
        clinic.mem(OWNER).extract(says("anna is back"), subject="anna")
    clinic.reopen()
    found = proven(clinic, erasures(clinic).certificate(OFFICER, "anna")).certificate
    assert found.matched["memories"] == 3
    assert {one.what: one.count for one in found.remaining}.get("texts-not-opened") is None
    assert clinic.count("memory") == 1
    assert clinic.audit().verify().passed
    entry = [one for one in clinic.log() if one.event == "subject.erase"][-2]
    assert entry.principal == "memvault", "nobody's grant is needed again"


def test_what_failed_in_the_middle_is_finished_by_whoever_asks_again(
    clinic: Clinic, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(clinic, monkeypatch, "_erase_payloads")
    assert erasures(clinic).resumed_by(OFFICER) != ()
    assert erasures(clinic).resumed_by(OFFICER) == ()
    with pytest.raises(DeniedError):
        erasures(clinic).resumed_by(ADMINISTRATOR)


def test_a_hold_that_comes_before_the_keys_are_destroyed_stops_an_erasure_that_was_begun(
    clinic: Clinic, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(clinic, monkeypatch, "_remember_facts")
    hold(clinic, "memory", people.alone[0])
    with pytest.raises(HeldError):
        erasures(clinic).resume(CLINIC)
    assert (clinic.last().outcome, clinic.last().payload["reason"]) == ("refused", "held")
    assert clinic.mem(OWNER).reveal(people.alone[0]).text
    clinic.vault.close()
    with pytest.warns(ErasureUnfinishedWarning, match="not finished: 1 memory under 1 legal hold"):
        clinic.vault = Vault.open(clinic.path, options=clinic.options)
    assert clinic.count("erasure", "state = 'begun'") == 1
    assert clinic.count("memory") == 5
    clinic.sql("UPDATE hold SET asked_by = 'officer-b', asked = 3, released_by = 'officer-c', released = 4")
    assert len(erasures(clinic).resume(CLINIC)) == 1
    assert clinic.count("memory") == 1


def test_an_erasure_whose_entries_were_lost_is_certified_by_nobody(
    clinic: Clinic, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    erase(clinic)
    clinic.sql("UPDATE erasure SET state = 'done', erasure_id = 'era_other'")
    with pytest.raises(TamperedError, match="no entry names the certificate"):
        erasures(clinic).certificate(OFFICER, "anna")
    clinic.sql("UPDATE erasure SET state = 'shredded'")
    with pytest.raises(TamperedError, match="no entry of its step"):
        erasures(clinic).resume(CLINIC)


def test_a_reader_of_an_older_state_keeps_old_pages_and_the_certificate_says_so(
    clinic: Clinic, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.erasing.run.FOLD_SECONDS", 0.1)
    with clinic.vault.parts.store.log_connection(CLINIC) as connection:
        connection.execute(MEMORY_SUBJECT.select()).all()
        found = proven(clinic, erase(clinic)).certificate
    assert {one.what: one.count for one in found.remaining}["old-pages"] == 1
    tests = {test.name: test.result for test in found.tests}
    assert (tests["bytes"], tests["rows"]) == (Ran.NOT_RUN, Ran.PASSED)


@pytest.mark.parametrize("test", ["rows", "keys", "copies", "write", "restore", "bytes"])
def test_each_test_notices_what_it_is_for(
    clinic: Clinic, people: People, monkeypatch: pytest.MonkeyPatch, test: str
) -> None:
    parts = clinic.vault.parts
    row = erasures(clinic).plan(OFFICER, "anna")
    with monkeypatch.context() as patched:
        if test == "rows":
            patched.setattr("vault.erasing.negative._rows_of", lambda *_: 1)
        elif test == "keys":
            patched.setattr(type(parts.sealers), "try_key", lambda *_: None)
        elif test == "copies":
            opens = type(parts.sealers).open_memory

            def opened(*given: object, reveal: bool = False) -> object:
                return "opened" if reveal else opens(*given)  # type: ignore[arg-type]  # passed on

            patched.setattr(type(parts.sealers), "open_memory", opened)
        elif test == "write":
            patched.setattr("vault.erasing.negative.expect_not_erased", lambda *_: None)
        elif test == "restore":
            patched.setattr("vault.erasing.negative.known_gone", lambda _: {})
        else:
            (text,) = clinic.sql(
                "SELECT text FROM memory WHERE memory_id = ? AND version = 1", people.alone[0]
            )[0]
            assert isinstance(text, bytes)
            (clinic.path / "left-over").write_bytes(bytes((1 << 21) - 40) + text)
        with pytest.raises(ErasureIncompleteError, match=f"got back by: {test}$"):
            erasures(clinic).erase(OFFICER, "anna", row.digest)
    (clinic.path / "left-over").unlink(missing_ok=True)
    assert clinic.count("erasure", "certificate IS NULL") == 1
    assert erasures(clinic).erase(OFFICER, "anna", row.digest).certificate


def test_organizing_that_was_overtaken_brings_no_edge_back(
    clinic: Clinic, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, applied = clinic.mem(OWNER), Organizer._apply
    for text in ("the knee hurts", "no, the knee does not hurt", "the knee hurts at night, too"):
        owner.extract(says(text), subject="anna")

    def overtaken(self: Organizer, *given: object) -> object:
        assert given[2] != (), "there are links to be made"
        erase(clinic)
        return applied(self, *given)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(Organizer, "_apply", overtaken)
    with pytest.raises(ConflictError, match="removed meanwhile"):
        owner.organize(subject="anna")
    assert clinic.count("edge") == 0
    assert clinic.audit().verify().passed


def test_two_who_ask_at_one_time_erase_once(clinic: Clinic, people: People) -> None:
    plan = erasures(clinic).plan(OFFICER, "anna")
    done: list[Erased] = []
    refused: list[ConflictError] = []

    def ask() -> None:
        try:
            done.append(erasures(clinic).erase(OFFICER, "anna", plan.digest))
        except ConflictError as error:
            refused.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    erasures(clinic).resume(CLINIC)
    for thread in threads:
        thread.join(30)
    assert len(done) + len(refused) == 4
    assert done
    assert len({one.erasure_id for one in done}) == 1
    entries = clinic.log()
    assert [one.payload["step"] for one in entries if one.payload.get("step") == "certified"] == ["certified"]
    assert (
        len([one for one in entries if one.event == "effect.outcome" and one.resource == done[0].erasure_id])
        == 1
    )
    assert clinic.audit().verify().passed


def test_an_intent_that_somebody_closed_meanwhile_keeps_nothing_from_being_erased(
    clinic: Clinic, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(clinic, monkeypatch, "_remove_rows")
    (intent,) = clinic.vault.unmatched_intents()[CLINIC]
    Effects(clinic.vault.parts).close(ADMINISTRATOR, Purpose.OPERATIONS, intent.index, Outcome.OK)
    assert len(erasures(clinic).resume(CLINIC)) == 1
    assert proven(clinic, erasures(clinic).certificate(OFFICER, "anna")).certificate.matched["memories"] == 3
    assert clinic.count("memory") == 1


def test_a_row_that_comes_back_is_found_under_its_own_id_and_under_another(
    clinic: Clinic, people: People
) -> None:
    columns = [str(row[1]) for row in clinic.sql("PRAGMA table_info(memory)")]
    kept = clinic.sql("SELECT * FROM memory WHERE memory_id = ? AND version = 1", people.alone[0])[0]
    erase(clinic)
    insert = f"INSERT INTO memory VALUES ({', '.join('?' * len(columns))})"  # noqa: S608  # question marks alone
    clinic.sql(insert, *kept)
    found = clinic.audit().verify().row_findings
    assert "removed rows stay away" in {finding.check for finding in found}
    clinic.sql("DELETE FROM memory WHERE memory_id = ?", people.alone[0])
    other = "mem_01m81j18kr0000000000000000"
    clinic.sql(
        insert, *(other if name == "memory_id" else value for name, value in zip(columns, kept, strict=True))
    )
    (finding,) = (
        one for one in clinic.audit().verify().row_findings if one.check == "removed rows stay away"
    )
    assert other in finding.got
    clinic.sql("DELETE FROM memory WHERE memory_id = ?", other)
    assert clinic.audit().verify().row_findings == ()


def test_what_an_administrator_dropped_from_the_log_is_warned_of_still(
    clinic: Clinic, people: People
) -> None:
    written = next(one.index for one in clinic.log() if one.payload.get("written") == list(people.bobs))
    PayloadErasure(clinic.vault.parts).erase(
        ADMINISTRATOR, Purpose.OPERATIONS, [written], ErasureReason.ERASURE_REQUEST
    )
    erase(clinic)
    (warning,) = clinic.audit().verify().row_warnings
    assert (warning.index, warning.check) == (written, "rows of erased entries")
