"""Erasing a person: what goes, what stays, who may, and what is refused; crashes are `end_to_end`'s."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from audit.certificate import Ran
from policies.errors import DeniedError
from policies.model import Principal, Purpose, Role
from tests.simulators.clinic import (
    ADMINISTRATOR,
    CLINIC,
    CLINICIAN,
    OTHER_OWNER,
    OWNER,
    Clinic,
    person,
)
from tests.simulators.fakes import FrozenClock, fake_options
from tests.vault.erased_people import OFFICER, OTHER_OFFICER, People, erase, erasures, hold, proven, says
from vault.erasing.plan import plan_of
from vault.erasing.record import record_of
from vault.errors import (
    ConflictError,
    ErasedError,
    HeldError,
    IdentifierInvalidError,
    KeyDestroyedError,
    NotFoundError,
    TamperedError,
)
from vault.storage.group_commit import WriteSet
from vault.storage.schema import EDGE, MEMORY_SUBJECT, USAGE


def test_a_plan_counts_what_would_go_and_changes_nothing(clinic: Clinic, people: People) -> None:
    before = clinic.state()
    plan = erasures(clinic).plan(OFFICER, "anna")
    assert {kind: plan.counts[kind] for kind in ("memories", "versions", "joint-memories", "episodes")} == {
        "memories": 3,
        "versions": 4,
        "joint-memories": 1,
        "episodes": 2,
    }
    assert (plan.others, plan.keys, plan.holds, plan.erasure) == (1, 1, (), None)
    assert plan.entries is not None
    assert plan.entries.alone
    assert clinic.state() == before
    last = clinic.last()
    assert (last.event, last.outcome, last.principal) == ("subject.plan", "ok", "officer-a")
    assert last.payload["plan"] == plan.digest


def test_a_plan_is_the_same_until_it_touches_somebody_else_or_a_hold_comes(
    clinic: Clinic, people: People
) -> None:
    seen = [erasures(clinic).plan(OFFICER, "anna").digest]
    clinic.mem(OWNER).get(people.alone[0])
    clinic.mem(OTHER_OWNER).extract(says("bob eats well"), subject="bob")
    clinic.mem(OWNER).update(people.alone[1], "the knee is well")
    clinic.mem(OWNER).extract(says("anna came back"), subject="anna")
    clinic.mem(OWNER).extract(says("both came back"), subject=("anna", "bob"))
    assert erasures(clinic).plan(OFFICER, "ANNA ").digest == seen[0]
    clinic.mem(OWNER).extract(says("carl came, too"), subject=("anna", "carl"))
    seen.append(erasures(clinic).plan(OFFICER, "anna").digest)
    hold(clinic, "memory", people.alone[0])
    seen.append(erasures(clinic).plan(OFFICER, "anna").digest)
    assert len(set(seen)) == 3


def test_of_an_unknown_name_the_plan_has_the_same_shape_and_nothing_in_it(
    clinic: Clinic, people: People
) -> None:
    plan = erasures(clinic).plan(OFFICER, "nobody")
    assert (plan.found, plan.counts, plan.keys) == (False, {}, 0)
    with pytest.raises(NotFoundError, match="nothing here belongs to that name"):
        erasures(clinic).erase(OFFICER, "nobody", plan.digest)
    assert (clinic.last().event, clinic.last().outcome) == ("subject.erase", "not-found")
    assert clinic.count("erasure") == 0
    assert clinic.count("tombstone") == 0


def test_an_erasure_takes_all_of_the_person_and_nothing_of_others(clinic: Clinic, people: People) -> None:
    erase(clinic)
    assert clinic.state() == {
        "subject": 1,
        "episode": 1,
        "memory": 1,
        "memory_subject": 1,
        "embedding": 1,
        "edge": 0,
    }
    bob = clinic.mem(OTHER_OWNER)
    assert bob.reveal(people.bobs[0]).text == "bob sleeps well"
    assert [hit.memory.id for hit in bob.retrieve("sleeps").hits] == list(people.bobs)
    for memory in people.annas:
        for reads in (clinic.mem(OWNER).get, clinic.mem(CLINICIAN).reveal):
            with pytest.raises(NotFoundError):
                reads(memory)
    assert clinic.mem(OWNER).retrieve("knee lake").hits == ()
    report = clinic.audit().verify()
    assert (report.passed, report.row_warnings) == (True, ())


def test_the_certificate_says_what_was_matched_what_stays_and_what_was_tried(
    clinic: Clinic, people: People
) -> None:
    erased = erase(clinic)
    found = proven(clinic, erased).certificate
    assert (found.tenant, found.erasure, found.subject) == (CLINIC, erased.erasure_id, erased.subject)
    assert found.matched["versions"] == 4
    assert (found.others, len(found.keys), found.backup_horizon_days) == (1, 1, None)
    assert {test.name: test.result for test in found.tests} == {
        "rows": Ran.PASSED,
        "keys": Ran.PASSED,
        "copies": Ran.PASSED,
        "search": Ran.PASSED,
        "write": Ran.PASSED,
        "bytes": Ran.PASSED,
        "restore": Ran.PASSED,
        "import": Ran.NOT_RUN,
    }
    stays = {one.what: one.count for one in found.remaining}
    assert stays["tombstones"] == 4
    assert {one.what for one in found.not_reached} == {
        "backups",
        "mentions",
        "exports",
        "packages",
        "snapshots",
    }
    assert (
        clinic.count(
            "erasure", f"state = 'done' AND certificate IS NOT NULL AND subject_id = '{erased.subject}'"
        )
        == 1
    )


def test_a_backup_horizon_that_was_configured_stands_in_plan_and_certificate(
    template: Path, tmp_path: Path
) -> None:
    options = replace(
        fake_options(clock=FrozenClock(step=timedelta(milliseconds=10))), backup_horizon_days=30
    )
    clinic = Clinic(template, tmp_path / "vault", options)
    People(clinic)
    assert erasures(clinic).plan(OFFICER, "anna").backup_horizon_days == 30
    assert proven(clinic, erase(clinic)).certificate.backup_horizon_days == 30
    clinic.close()


def test_done_twice_it_says_so_and_gives_the_certificate_again(clinic: Clinic, people: People) -> None:
    first = erase(clinic)
    state, log = clinic.state(), len(clinic.log())
    plan = erasures(clinic).plan(OFFICER, "anna")
    again = erasures(clinic).erase(OFFICER, "anna", plan.digest)
    assert (first.again, again.again, plan.erasure, plan.found) == (False, True, first.erasure_id, False)
    assert proven(clinic, again).certificate == proven(clinic, first).certificate
    assert (clinic.state(), clinic.count("erasure")) == (state, 1)
    assert [entry.event for entry in clinic.log()[log:]] == ["subject.plan", "subject.erase"]
    assert erasures(clinic).certificate(OFFICER, "anna").again


def test_a_certificate_of_nobodys_erasure_is_not_found(clinic: Clinic, people: People) -> None:
    with pytest.raises(NotFoundError):
        erasures(clinic).certificate(OFFICER, "bob")
    assert clinic.last().outcome == "not-found"


@pytest.mark.parametrize("who", [OWNER, CLINICIAN, ADMINISTRATOR], ids=lambda one: one.id)
def test_only_who_answers_for_persons_rights_may_ask(clinic: Clinic, people: People, who: Principal) -> None:
    before = clinic.state()
    for asked in (
        lambda: erasures(clinic).plan(who, "anna"),
        lambda: erasures(clinic).erase(who, "anna", "0" * 64),
        lambda: erasures(clinic).certificate(who, "anna"),
    ):
        with pytest.raises(DeniedError):
            asked()
        assert (clinic.last().decision, clinic.last().principal) == ("denied", who.id)
    with pytest.raises(DeniedError):
        erasures(clinic).plan(OFFICER, "anna", Purpose.OPERATIONS)
    assert clinic.state() == before


def test_another_tenants_officer_finds_nothing_of_that_name(clinic: Clinic, people: People) -> None:
    assert not erasures(clinic).plan(OTHER_OFFICER, "anna").found
    assert clinic.state()["memory"] == 5


def test_a_name_that_is_none_is_refused(clinic: Clinic, people: People) -> None:
    for name in ("", " ", "\x00", "x" * 300):
        with pytest.raises(IdentifierInvalidError):
            erasures(clinic).plan(OFFICER, name)


def test_another_plan_than_the_present_one_erases_nothing(clinic: Clinic, people: People) -> None:
    plan, before = erasures(clinic).plan(OFFICER, "anna"), clinic.state()
    with pytest.raises(ConflictError, match="plan again"):
        erasures(clinic).erase(OFFICER, "anna", "0" * 64)
    clinic.mem(OWNER).extract(says("anna came back with carl"), subject=("anna", "carl"))
    clinic.vault.wait(20)
    after = clinic.state()
    with pytest.raises(ConflictError, match="plan again"):
        erasures(clinic).erase(OFFICER, "anna", plan.digest)
    assert (clinic.last().outcome, clinic.last().payload["reason"]) == ("refused", "plan-changed")
    assert (clinic.state(), after["memory"]) == (after, before["memory"] + 1)
    assert clinic.count("tombstone") == 0


def test_a_plan_of_nobody_confirms_nothing_that_is_written_later(clinic: Clinic, people: People) -> None:
    plan = erasures(clinic).plan(OFFICER, "carl")
    written = clinic.mem(OWNER).extract(says("carl came"), subject="carl").memory_ids
    with pytest.raises(ConflictError, match="plan again"):
        erasures(clinic).erase(OFFICER, "carl", plan.digest)
    assert clinic.mem(OWNER).get(written[0]).text == "carl came"


def overtaken(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, text: str, subject: str | tuple[str, ...]
) -> list[str]:
    """Let something be written between each look at what there is and the beginning; return what."""
    written: list[str] = []

    def plan_and_be_overtaken(*given: object, **named: object) -> object:
        found = plan_of(*given, **named)  # type: ignore[arg-type]  # passed on
        written.extend(clinic.mem(OWNER).extract(says(text), subject=subject).memory_ids)
        return found

    monkeypatch.setattr("vault.erasure.plan_of", plan_and_be_overtaken)
    return written


@pytest.mark.parametrize("subject", ["anna", ("anna", "bob")])
def test_what_is_written_between_the_plan_and_the_beginning_is_taken_in_and_counted(
    clinic: Clinic, people: People, monkeypatch: pytest.MonkeyPatch, subject: str | tuple[str, ...]
) -> None:
    plan = erasures(clinic).plan(OFFICER, "anna")
    with monkeypatch.context() as patched:
        written = overtaken(clinic, patched, "anna came in between", subject)
        erased = erasures(clinic).erase(OFFICER, "anna", plan.digest)
    certificate = proven(clinic, erased).certificate
    assert (certificate.matched["memories"], certificate.matched["versions"]) == (4, 5)
    assert {test.name: test.result for test in certificate.tests}["rows"] is Ran.PASSED
    assert clinic.state()["memory"] == 1
    with pytest.raises(NotFoundError):
        clinic.mem(OWNER).get(written[0])
    with pytest.raises((ErasedError, KeyDestroyedError)):
        clinic.mem(OTHER_OWNER).extract(says("anna came in between"), subject=subject)
    if subject != "anna":
        with pytest.raises(ErasedError):  # it was read before its key was destroyed, and is known again
            clinic.mem(OTHER_OWNER).extract(says("anna came in between"), subject="bob")
    assert clinic.audit().verify().passed


def test_what_touches_others_between_the_plan_and_the_beginning_stops_it(
    clinic: Clinic, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = erasures(clinic).plan(OFFICER, "anna")
    overtaken(clinic, monkeypatch, "anna came with carl", ("anna", "carl"))
    with pytest.raises(ConflictError, match="touches others"):
        erasures(clinic).erase(OFFICER, "anna", plan.digest)
    assert (clinic.last().outcome, clinic.last().payload["reason"]) == ("refused", "plan-changed")
    assert (clinic.count("erasure"), clinic.count("tombstone"), clinic.state()["memory"]) == (0, 0, 6)


@pytest.mark.parametrize("kind", ["subject", "memory", "tenant", "subject of a joint memory"])
def test_a_hold_refuses_it_with_an_entry_and_nothing_changes(
    clinic: Clinic, people: People, kind: str
) -> None:
    ids = clinic.vault.parts.sealers.named(CLINIC, ["anna", "bob"])
    by_name = {name: subject for subject, name in ids.items()}
    target = {"subject": by_name["anna"], "memory": people.joint[0], "tenant": CLINIC}.get(
        kind, by_name["bob"]
    )
    hold(clinic, kind.partition(" ")[0], target)
    plan, before = erasures(clinic).plan(OFFICER, "anna"), clinic.state()
    assert plan.holds == ("hld_1",)
    with pytest.raises(HeldError):
        erasures(clinic).erase(OFFICER, "anna", plan.digest)
    last = clinic.last()
    assert (last.event, last.outcome, last.payload["reason"]) == ("subject.erase", "refused", "held")
    assert last.payload["holds"] == ["hld_1"]
    assert (clinic.state(), clinic.count("erasure"), clinic.count("tombstone")) == (before, 0, 0)
    assert clinic.mem(OWNER).reveal(people.alone[0]).text


def test_a_hold_that_comes_after_the_plan_still_refuses_it(
    clinic: Clinic, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = erasures(clinic).plan(OFFICER, "anna")

    def plan_and_be_held(*given: object, **named: object) -> object:
        found = plan_of(*given, **named)  # type: ignore[arg-type]  # passed on
        hold(clinic, "memory", people.alone[0])
        return found

    monkeypatch.setattr("vault.erasure.plan_of", plan_and_be_held)
    with pytest.raises(HeldError):
        erasures(clinic).erase(OFFICER, "anna", plan.digest)
    assert clinic.count("erasure") == 0
    assert clinic.last().payload["reason"] == "held"
    assert clinic.mem(OWNER).reveal(people.alone[0]).text


def test_what_was_erased_is_refused_when_it_is_written_again(clinic: Clinic, people: People) -> None:
    erase(clinic)
    before = clinic.state()
    for text, subject in (
        ("anything at all", "anna"),
        ("anything at all", " ANNA"),
        ("anything at all", ("anna", "carl")),
        ("maria KELLER has a sore knee -- call +49 170 1234567!", "carl"),
        ("Both went to the lake.", "bob"),
    ):
        with pytest.raises((ErasedError, KeyDestroyedError)):
            clinic.mem(OWNER).extract(says(text), subject=subject)
        assert (clinic.last().event, clinic.last().outcome) == ("memory.write", "refused")
    assert clinic.state() == before
    clinic.mem(OWNER).extract(says("the knee hurts at night"), subject="carl")
    assert clinic.state()["memory"] == before["memory"] + 1, "a sentence without personal values is nobody's"


def test_memories_that_were_derived_from_the_persons_go_too(clinic: Clinic, people: People) -> None:
    derived = clinic.mem(OWNER).extract(says("somebody has a sore knee"), subject="carl").memory_ids[0]
    further = clinic.mem(OWNER).extract(says("knees are sore"), subject="carl").memory_ids[0]
    kept = clinic.mem(OWNER).extract(says("carl runs"), subject="carl").memory_ids[0]

    def derive(connection: Connection, _leaves: object) -> None:
        for source, target in ((derived, people.alone[0]), (further, derived), (people.alone[0], kept)):
            row = {"tenant_id": CLINIC, "source_id": source, "kind": "derived-from", "target_id": target}
            connection.execute(EDGE.insert(), [{**row, "leaf_index": 0}])
        connection.execute(
            USAGE.insert(), [{"tenant_id": CLINIC, "memory_id": people.alone[0], "last_used": 7}]
        )

    clinic.vault.parts.store.submit(WriteSet(changes=[derive]))
    plan = erasures(clinic).plan(OFFICER, "anna")
    assert (plan.counts["derived-memories"], plan.counts["edges"]) == (2, 3)
    assert plan.counts["times-of-last-use"] == 1
    erasures(clinic).erase(OFFICER, "anna", plan.digest)
    for memory in (derived, further):
        with pytest.raises(NotFoundError):
            clinic.mem(OWNER).get(memory)
    assert clinic.mem(OWNER).reveal(kept).text == "carl runs"
    assert (clinic.count("edge"), clinic.count("usage")) == (0, 0)


def test_a_memory_whose_link_to_the_person_was_lost_is_found_by_its_own_row(
    clinic: Clinic, people: People
) -> None:
    def lose(connection: Connection, _leaves: object) -> None:
        connection.execute(MEMORY_SUBJECT.delete().where(MEMORY_SUBJECT.c.memory_id == people.alone[0]))

    clinic.vault.parts.store.submit(WriteSet(changes=[lose]))
    assert erasures(clinic).plan(OFFICER, "anna").counts["memories"] == 3
    erase(clinic)
    assert clinic.count("memory") == 1


def test_the_log_keeps_every_leaf_and_drops_what_it_said_of_the_person_alone(
    clinic: Clinic, people: People
) -> None:
    clinic.mem(OWNER).retrieve("knee")
    clinic.mem(CLINICIAN).retrieve("sleeps knee lake", k=10)
    before = clinic.log()
    shared = before[-1]
    subject = erase(clinic).subject
    after = clinic.log()[: len(before)]
    assert [entry.event for entry in after] == [entry.event for entry in before]
    of_annas = {
        entry.index
        for entry in before
        if entry.event.startswith("memory.") and any(one in str(entry.payload) for one in people.annas)
    }
    assert shared.index in of_annas
    for index in of_annas - {shared.index}:
        assert after[index].payload == {}, before[index]
    assert after[shared.index].payload == shared.payload, "it says what was read of Bob"
    bobs = [entry for entry in after if entry.payload.get("written") == list(people.bobs)]
    assert len(bobs) == 1
    named = [entry for entry in clinic.log() if subject in str(entry.payload)]
    assert {entry.event for entry in named} <= {
        "subject.plan",
        "subject.erase",
        "key.destroy",
        "effect.intent",
    }


def test_a_certificate_that_the_log_does_not_bear_out_is_not_given(clinic: Clinic, people: People) -> None:
    erased = erase(clinic)
    clinic.sql("UPDATE erasure SET certificate = replace(certificate, '\"versions\":4', '\"versions\":9')")
    with pytest.raises(TamperedError, match="no entry names the certificate"):
        erasures(clinic).certificate(OFFICER, "anna")
    with pytest.raises(TamperedError, match="no entry names the certificate"):
        erasures(clinic).erase(OFFICER, "anna", "0" * 64)
    clinic.sql("UPDATE erasure SET certificate = NULL")
    with pytest.raises(TamperedError):
        erasures(clinic).certificate(OFFICER, "anna")
    clinic.sql("UPDATE erasure SET state = 'perhaps'")
    with pytest.raises(TamperedError):
        erasures(clinic).certificate(OFFICER, "anna")
    assert erased.erasure_id


def test_an_erased_persons_other_tenant_is_untouched(clinic: Clinic, people: People) -> None:
    bank = clinic.mem(person("agent-1", Role.OWNER_AGENT, tenant="bank"))
    theirs = bank.extract(says("anna has an account"), subject="anna").memory_ids
    erase(clinic)
    assert bank.reveal(theirs[0]).text == "anna has an account"
    with clinic.vault.parts.store.log_connection("bank") as connection:
        assert record_of(connection, "bank", erasures(clinic).plan(OTHER_OFFICER, "anna").subject) is None
