"""While a person is erased others go on working: what they do about the person is refused, or goes with them."""

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
from sqlalchemy import Connection

from audit.certificate import Ran
from policies.model import AccessTier
from tests.simulators.clinic import CLINIC, OWNER, Clinic
from tests.vault.erased_people import OFFICER, People, erase, erasures, hold, proven, says
from vault.consistency import Check, Consistency, Severity
from vault.erasing.beginning import begin, new_erasure_id
from vault.erasing.plan import plan_of
from vault.erasing.record import ErasureRecord, Voice, record_of
from vault.erasing.run import ErasureRun
from vault.errors import ConflictError, ErasedError, HeldError, KeyDestroyedError, NotFoundError
from vault.restrictions import Restrictions
from vault.storage.group_commit import WriteSet
from vault.storage.schema import CONSENT


def at_step(monkeypatch: pytest.MonkeyPatch, step: str, act: Callable[[], object]) -> None:
    """Let something happen each time an erasure comes to a step."""
    before = getattr(ErasureRun, step)

    def act_first(self: ErasureRun, *given: object) -> object:
        act()
        return before(self, *given)

    monkeypatch.setattr(ErasureRun, step, act_first)


def test_no_memory_is_promoted_once_the_erasure_of_its_person_was_begun(
    clinic: Clinic, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []

    def promote() -> None:
        with pytest.raises((ErasedError, KeyDestroyedError)):
            clinic.mem(OWNER).promote(people.alone[1], AccessTier.INSTITUTIONAL)
        refused.append(clinic.last().outcome)

    at_step(monkeypatch, "_remember_facts", promote)
    erase(clinic)
    assert refused == ["refused"]
    assert clinic.count("memory") == 1
    assert not [one for one in clinic.log() if (one.event, one.outcome) == ("memory.promote", "ok")]
    assert clinic.audit().verify().passed


def in_threads(stop: threading.Event, *work: Callable[[int], object]) -> list[threading.Thread]:
    """Let others work until they are stopped, each refusal a word."""

    def go_on(act: Callable[[int], object]) -> None:
        for nth in range(100_000):
            if stop.is_set():
                return
            with suppress(ErasedError, KeyDestroyedError, ConflictError, NotFoundError):
                act(nth)

    threads = [threading.Thread(target=go_on, args=(act,), daemon=True) for act in work]
    for thread in threads:
        thread.start()
    return threads


def test_who_is_written_about_all_the_time_is_erased_at_the_first_confirmation(
    clinic: Clinic, people: People
) -> None:
    parts, stop, written = clinic.vault.parts, threading.Event(), threading.Semaphore(0)
    plan = erasures(clinic).plan(OFFICER, "anna")

    def write(nth: int) -> None:
        clinic.mem(OWNER).extract(says(f"visit {nth} of anna"), subject="anna")
        written.release()

    def change(nth: int) -> None:
        clinic.mem(OWNER).update(people.alone[1], f"the knee, look {nth}")

    def restrict(nth: int) -> None:
        restrictions = Restrictions(parts)
        (restrictions.lift if nth % 2 else restrictions.restrict)(OFFICER, "anna")

    threads = in_threads(stop, write, write, change, restrict)
    try:
        assert all(written.acquire(timeout=30) for _ in range(3)), "it is written about her"
        erased = erasures(clinic).erase(OFFICER, "anna", plan.digest)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    certificate = proven(clinic, erased).certificate
    assert certificate.matched["memories"] >= 6
    assert {one.name for one in certificate.tests if one.result is not Ran.PASSED} == {"import"}
    assert [clinic.count(table) for table in ("memory", "restriction", "subject")] == [1, 0, 1]
    assert not erasures(clinic).plan(OFFICER, "anna").found
    clinic.reopen()
    assert clinic.audit().verify().passed
    assert Consistency(clinic.vault.parts).run(CLINIC).counts["errors"] == 0


def stand_again(clinic: Clinic) -> None:
    """Let a row about an erased person stand, as an older version wrote some."""
    subject = erasures(clinic).plan(OFFICER, "anna").subject
    row = {"tenant_id": CLINIC, "subject_id": subject, "purpose": "research", "since": 1, "leaf_index": 0}

    def insert(connection: Connection, _leaves: object) -> None:
        connection.execute(CONSENT.insert(), [row])

    clinic.vault.parts.store.submit(WriteSet(changes=[insert]))


def test_what_stands_about_an_erased_person_is_planned_confirmed_and_erased_under_a_certificate_of_its_own(
    clinic: Clinic, people: People
) -> None:
    first = erase(clinic)
    stand_again(clinic)
    plan = erasures(clinic).plan(OFFICER, "anna")
    assert (dict(plan.counts), plan.erasure, plan.keys) == ({"consents": 1}, first.erasure_id, 0)
    with pytest.raises(ConflictError, match="plan again"):
        erasures(clinic).erase(OFFICER, "anna", "0" * 64)
    assert clinic.count("consent") == 1
    second = erasures(clinic).erase(OFFICER, "anna", plan.digest)
    assert (second.again, second.erasure_id != first.erasure_id) == (False, True)
    assert clinic.count("consent") == 0
    assert dict(proven(clinic, second).certificate.matched) == {"consents": 1}
    assert proven(clinic, first).certificate.erasure == first.erasure_id, "the first one verifies as before"
    third = erasures(clinic).erase(OFFICER, "anna", plan.digest)
    assert (third.again, third.erasure_id) == (True, second.erasure_id)
    assert erasures(clinic).certificate(OFFICER, "anna").erasure_id == second.erasure_id
    assert clinic.audit().verify().passed


def test_of_what_stands_about_an_erased_person_one_erasure_is_begun_by_however_many_ask(
    clinic: Clinic, people: People
) -> None:
    erase(clinic)
    stand_again(clinic)
    before = record_of_anna(clinic)
    plan, found = plan_of(clinic.vault.parts, CLINIC, before.subject, with_log=False)
    voices = [Voice(clinic.vault.parts.journal, CLINIC, new_erasure_id(clinic.vault.parts)) for _ in range(2)]
    begin(clinic.vault.parts, voices[0], plan, found, before)
    entries = len(clinic.log())
    with pytest.raises(ConflictError, match="begun meanwhile"):
        begin(clinic.vault.parts, voices[1], plan, found, before)
    assert len(clinic.log()) == entries
    assert record_of_anna(clinic).erasure_id == voices[0].erasure_id
    assert erasures(clinic).resume(CLINIC) == (voices[0].erasure_id,)
    assert clinic.count("consent") == 0


def test_a_hold_over_an_erased_persons_name_keeps_what_stands(clinic: Clinic, people: People) -> None:
    erase(clinic)
    stand_again(clinic)
    hold(clinic, "subject", erasures(clinic).plan(OFFICER, "anna").subject)
    with pytest.raises(HeldError):
        erase(clinic)
    assert clinic.count("consent") == 1


@pytest.mark.parametrize("erased", [False, True])
def test_a_row_about_an_erased_person_is_an_error_of_the_consistency_check(
    clinic: Clinic, people: People, *, erased: bool
) -> None:
    if erased:
        erase(clinic)
    stand_again(clinic)
    found = [one for one in Consistency(clinic.vault.parts).run(CLINIC).found if one.check is Check.TOMBSTONE]
    if not erased:
        assert found == []
        return
    (one,) = found
    assert (one.severity, one.where) == (Severity.ERROR, record_of_anna(clinic).subject)
    assert (one.got, one.repaired) == ("rows of consent", False)
    erase(clinic)
    assert Consistency(clinic.vault.parts).run(CLINIC).counts["errors"] == 0


def test_an_erasure_that_is_under_way_is_no_finding(
    clinic: Clinic, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    at_step(
        monkeypatch,
        "_remember_facts",
        lambda: seen.append(Consistency(clinic.vault.parts).run(CLINIC).counts["errors"]),
    )
    erase(clinic)
    assert seen == [0]


def record_of_anna(clinic: Clinic) -> ErasureRecord:
    subject = erasures(clinic).plan(OFFICER, "anna").subject
    with clinic.vault.parts.store.log_connection(CLINIC) as connection:
        record = record_of(connection, CLINIC, subject)
    assert record is not None
    return record
