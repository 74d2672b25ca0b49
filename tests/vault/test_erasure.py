"""Erasing a person: what goes, what stays, who may, and what is refused; crashes are `end_to_end`'s."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from audit.certificate import Ran
from audit.certificate_check import ProvenErasure, verify_certificate
from audit.event import Outcome
from audit.trust import Trust
from policies.errors import DeniedError
from policies.model import Principal, Purpose, Role
from tests.simulators.clinic import (
    ADMINISTRATOR,
    CLINIC,
    CLINICIAN,
    OTHER_OWNER,
    OWNER,
    Clinic,
    make_template,
    person,
)
from tests.simulators.fakes import FrozenClock, fake_options
from vault.erasing.plan import plan_of
from vault.erasing.record import record_of
from vault.erasure import Erased, Erasures, ErasureUnfinishedWarning
from vault.errors import (
    ConflictError,
    ErasedError,
    ErasureIncompleteError,
    HeldError,
    IdentifierInvalidError,
    KeyDestroyedError,
    NotFoundError,
    StorageFullError,
    TamperedError,
)
from vault.intents import Effects
from vault.model import Chat, Turn
from vault.opening import Vault
from vault.organizer import Organizer
from vault.payload_erasure import ErasureReason, PayloadErasure
from vault.storage.group_commit import WriteSet
from vault.storage.schema import EDGE, HOLD, HOLD_TARGET, MEMORY_SUBJECT, USAGE

OFFICER = person("officer-a", Role.PRIVACY_OFFICER)
OTHER_OFFICER = person("officer-b", Role.PRIVACY_OFFICER, tenant="bank")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vault of two tenants, closed."""
    return make_template(tmp_path_factory.mktemp("template") / "vault")


@pytest.fixture
def clinic(template: Path, tmp_path: Path) -> Iterator[Clinic]:
    """A vault that knows Anna alone, Anna with Bob, and Bob alone."""
    made = Clinic(template, tmp_path / "vault")
    yield made
    made.close()


def says(*texts: str) -> Chat:
    return Chat(tuple(Turn("Maria Keller", text) for text in texts))


class People:
    """What was written of Anna and Bob."""

    def __init__(self, clinic: Clinic) -> None:
        owner = clinic.mem(OWNER)
        self.alone = owner.extract(
            says("Maria Keller has a sore knee, call +49 170 1234567", "the knee hurts at night"),
            subject="anna",
        ).memory_ids
        self.joint = owner.extract(says("both went to the lake"), subject=("anna", "bob")).memory_ids
        self.bobs = clinic.mem(OTHER_OWNER).extract(says("bob sleeps well"), subject="bob").memory_ids
        owner.update(self.alone[1], "the knee hurts in the morning")
        clinic.vault.wait(20)

    @property
    def annas(self) -> tuple[str, ...]:
        return (*self.alone, *self.joint)


@pytest.fixture
def people(clinic: Clinic) -> People:
    """What was written of Anna and Bob."""
    return People(clinic)


def erasures(clinic: Clinic) -> Erasures:
    return Erasures(clinic.vault.parts)


def erase(clinic: Clinic, name: str = "anna") -> Erased:
    plan = erasures(clinic).plan(OFFICER, name)
    return erasures(clinic).erase(OFFICER, name, plan.digest)


def proven(clinic: Clinic, erased: Erased) -> ProvenErasure:
    return verify_certificate(erased.certificate, Trust((clinic.vault.parts.verifier_key,)))


def hold(clinic: Clinic, kind: str, target: str) -> None:
    """Place a hold behind the facade's back: what it does to an erasure is looked at here."""

    def place(connection: Connection, _leaves: object) -> None:
        fixed = {"scope": kind, "reason": "litigation", "placed_by": "officer-a", "placed": 1, "review": 2}
        connection.execute(
            HOLD.insert(), [{"tenant_id": CLINIC, "hold_id": "hld_1", "leaf_index": 0, **fixed}]
        )
        row = {"tenant_id": CLINIC, "hold_id": "hld_1", "kind": kind, "target_id": target, "leaf_index": 0}
        connection.execute(HOLD_TARGET.insert(), [row])

    clinic.vault.parts.store.submit(WriteSet(changes=[place]))


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


def test_a_plan_is_the_same_until_something_about_the_person_changes(clinic: Clinic, people: People) -> None:
    plan = erasures(clinic).plan(OFFICER, "anna").digest
    clinic.mem(OWNER).get(people.alone[0])
    clinic.mem(OTHER_OWNER).extract(says("bob eats well"), subject="bob")
    assert erasures(clinic).plan(OFFICER, "ANNA ").digest == plan
    clinic.mem(OWNER).update(people.alone[1], "the knee is well")
    assert erasures(clinic).plan(OFFICER, "anna").digest != plan


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
    clinic.mem(OWNER).extract(says("anna came back"), subject="anna")
    clinic.vault.wait(20)
    after = clinic.state()
    with pytest.raises(ConflictError, match="plan again"):
        erasures(clinic).erase(OFFICER, "anna", plan.digest)
    assert (clinic.last().outcome, clinic.last().payload["reason"]) == ("refused", "plan-changed")
    assert (clinic.state(), after["memory"]) == (after, before["memory"] + 1)
    assert clinic.count("tombstone") == 0


def test_what_is_written_between_the_plan_and_the_beginning_stops_it(
    clinic: Clinic, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = erasures(clinic).plan(OFFICER, "anna")

    def plan_and_be_overtaken(*given: object, **named: object) -> object:
        found = plan_of(*given, **named)  # type: ignore[arg-type]  # passed on
        clinic.mem(OWNER).extract(says("anna came in between"), subject="anna")
        return found

    monkeypatch.setattr("vault.erasure.plan_of", plan_and_be_overtaken)
    with pytest.raises(ConflictError, match="meanwhile"):
        erasures(clinic).erase(OFFICER, "anna", plan.digest)
    assert clinic.count("erasure") == 0
    assert clinic.state()["memory"] == 6


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


def test_a_certificate_that_the_log_does_not_bear_out_is_not_given(clinic: Clinic, people: People) -> None:
    erased = erase(clinic)
    clinic.sql("UPDATE erasure SET certificate = replace(certificate, '\"versions\":4', '\"versions\":9')")
    forged = erasures(clinic).certificate(OFFICER, "anna").certificate
    with pytest.raises(Exception, match="certificate digest"):
        verify_certificate(forged, Trust((clinic.vault.parts.verifier_key,)))
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
    with pytest.warns(ErasureUnfinishedWarning, match="not finished: 1 memories stand under 1 legal holds"):
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
