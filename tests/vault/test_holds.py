"""Legal holds: what they keep, who may let it go, and that nothing of them is lost, whoever comes when."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from audit.event import EventType
from policies.errors import DeniedError
from policies.model import Purpose
from tests.simulators.clinic import (
    ADMINISTRATOR,
    CLINIC,
    CLINICIAN,
    OFFICER,
    OTHER_OWNER,
    OWNER,
    SECOND_OFFICER,
    Clinic,
    make_template,
)
from tests.simulators.fakes import START, FrozenClock, fake_options
from tests.vault.retention_vault import RetentionVault, same
from vault import hold_query
from vault.clock import microseconds
from vault.crypto.ledger import Ledger
from vault.erasure import Erasures
from vault.errors import (
    ConflictError,
    HeldError,
    HoldTooLateError,
    IdentifierInvalidError,
    InputInvalidError,
    NotFoundError,
    StorageError,
)
from vault.expiry import Expiry
from vault.hold_terms import Placing, Targets
from vault.hold_words import HoldReason, HoldScope
from vault.holds import Holds
from vault.ledger_mirror import _latest
from vault.model import Chat, Turn
from vault.row_check import ROW_HOLD
from vault.storage import holding
from vault.storage.group_commit import WriteSet
from vault.storage.guards import LIFE_GUARDS
from vault.storage.holding import SECOND_PERSON
from vault.storage.removal import Removal, held_memories
from vault.storage.schema import HOLD, HOLD_TARGET

REVIEW = START + timedelta(days=180)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vault of two tenants, closed."""
    return make_template(tmp_path_factory.mktemp("template") / "vault")


@pytest.fixture
def clinic(template: Path, tmp_path: Path) -> Iterator[Clinic]:
    """A vault of its own."""
    made = Clinic(template, tmp_path / "vault")
    yield made
    made.close()


def holds(clinic: Clinic) -> Holds:
    return Holds(clinic.vault.parts)


def write(clinic: Clinic, *texts: str, subject: str | tuple[str, ...] = "anna") -> tuple[str, ...]:
    said = Chat(tuple(Turn("Maria Keller", text) for text in texts))
    return clinic.mem(OWNER).extract(said, subject=subject).memory_ids


def placing(
    scope: HoldScope,
    *,
    subjects: tuple[str, ...] = (),
    memories: tuple[str, ...] = (),
    queries: tuple[str, ...] = (),
    matter: str | None = None,
    review: datetime = REVIEW,
) -> Placing:
    return Placing(scope, HoldReason.LITIGATION, review, Targets(subjects, memories, queries), matter)


def place_over(clinic: Clinic, *subjects: str) -> str:
    return holds(clinic).place(OFFICER, placing(HoldScope.SUBJECT, subjects=subjects)).hold_id


def removal(clinic: Clinic, *memory_ids: str) -> Removal:
    tombstones = clinic.vault.parts.sealers.tombstones(CLINIC)
    return Removal(CLINIC, memory_ids, [tombstones.memory(one) for one in memory_ids], 1)


def remove(clinic: Clinic, *memory_ids: str) -> None:
    parts = clinic.vault.parts
    gone = parts.journal.event(EventType.MEMORY_EXPIRE, CLINIC, {"gone": list(memory_ids)})
    parts.store.submit(WriteSet(drafts=[gone], changes=[removal(clinic, *memory_ids).change]))


def held(clinic: Clinic, *memory_ids: str) -> set[str]:
    with clinic.vault.parts.store.log_connection(CLINIC) as connection:
        return {one.memory_id for one in held_memories(connection, CLINIC, memory_ids)}


def findings(clinic: Clinic) -> set[str]:
    return {one.check for one in clinic.audit().verify().row_findings}


# -- placing ---------------------------------------------------------------------------------------------------


def test_a_hold_of_a_person_keeps_what_is_written_later_and_joint_memories(clinic: Clinic) -> None:
    before = write(clinic, "the knee hurts")
    place_over(clinic, "anna")
    later = write(clinic, "the knee is better")
    joint = write(clinic, "both went to the lake", subject=("anna", "bob"))
    bobs = write(clinic, "bob sleeps well", subject="bob")
    assert held(clinic, *before, *later, *joint, *bobs) == {*before, *later, *joint}
    for memory in (*before, *later, *joint):
        with pytest.raises(HeldError):
            remove(clinic, memory)
    remove(clinic, *bobs)
    assert clinic.state()["memory"] == 3


def test_a_hold_of_a_person_whom_nobody_knows_yet_keeps_what_comes(clinic: Clinic) -> None:
    place_over(clinic, "nobody yet")
    written = write(clinic, "here they are", subject="nobody yet")
    assert held(clinic, *written) == set(written)


def test_a_hold_of_the_tenant_keeps_everything_and_nothing_of_another_tenant(clinic: Clinic) -> None:
    placed = holds(clinic).place(OFFICER, placing(HoldScope.TENANT))
    written = (*write(clinic, "a thing"), *write(clinic, "another", subject="bob"))
    assert (placed.subjects, placed.memories) == (0, 0)
    assert held(clinic, *written) == set(written)
    with pytest.raises(HeldError):
        remove(clinic, written[0])
    with clinic.vault.parts.store.log_connection("bank") as connection:
        assert held_memories(connection, "bank", ["mem_" + "0" * 26]) == []


def test_a_hold_for_a_matter_keeps_what_was_named_and_what_is_added(clinic: Clinic) -> None:
    first, second, third = write(clinic, "one thing", "another thing", "a third thing")
    bobs = write(clinic, "bob sleeps well", subject="bob")
    asked = placing(HoldScope.MATTER, memories=(first,), matter="case-2026-4")
    placed = holds(clinic).place(OFFICER, asked)
    assert held(clinic, first, second, third, *bobs) == {first}
    added = holds(clinic).extend(OFFICER, placed.hold_id, Targets(("bob",), (first, second)))
    assert (added.subjects, added.memories) == (1, 2)
    assert held(clinic, first, second, third, *bobs) == {first, second, *bobs}
    hold, ids = holds(clinic).named(OFFICER, placed.hold_id)
    assert (hold.subjects, hold.memories, hold.matter) == (1, 2, "case-2026-4")
    assert {first, second} < set(ids)
    assert findings(clinic) == set()


def test_a_hold_by_words_keeps_all_memories_that_have_them_and_no_text_of_the_query_stays(
    clinic: Clinic,
) -> None:
    many = write(clinic, *(f"the Falcon contracts were signed on day {day}" for day in range(60)))
    others = write(clinic, "the falcon flew away", "the contract of Anna Schmidt", subject="bob")
    asked = placing(HoldScope.QUERY, queries=("falcon contract",))
    placed = holds(clinic).place(OFFICER, asked)
    assert placed.memories == 60, "all matches, not the best few"
    assert held(clinic, *many, *others) == set(many)
    entry = next(one for one in clinic.log() if one.event == "hold.place")
    assert entry.payload["query"] == [clinic.vault.parts.sealers.query_digest(CLINIC, "falcon contract")]
    clinic.vault.close()
    for file in clinic.path.rglob("*"):
        assert not file.is_file() or b"falcon contract" not in file.read_bytes()


def test_a_hold_by_words_finds_originals_that_nobody_sees_and_what_was_written_since_when_it_is_extended(
    clinic: Clinic,
) -> None:
    (first,) = write(clinic, "Anna Schmidt came")
    asked = placing(HoldScope.QUERY, queries=("Schmidt", "falcon"))
    placed = holds(clinic).place(OFFICER, asked)
    assert held(clinic, first) == {first}
    (second,) = write(clinic, "Mrs Schmidt went")
    assert held(clinic, second) == set()
    again = holds(clinic).extend(OFFICER, placed.hold_id, Targets(queries=("Schmidt",)))
    assert (again.memories, held(clinic, first, second)) == (2, {first, second})
    assert findings(clinic) == set()


def test_a_hold_by_words_that_match_nothing_is_refused_and_logged(clinic: Clinic) -> None:
    write(clinic, "a thing")
    with pytest.raises(NotFoundError):
        holds(clinic).place(OFFICER, placing(HoldScope.QUERY, queries=("zeppelin",)))
    assert (clinic.last().event, clinic.last().outcome) == ("hold.place", "not-found")
    assert clinic.count("hold") == 0


def test_a_hold_by_words_says_how_many_memories_it_could_not_look_into(clinic: Clinic) -> None:
    kept, bad = write(clinic, "the falcon", "another falcon")
    clinic.sql("UPDATE memory SET terms = x'00' WHERE memory_id = ?", bad)
    placed = holds(clinic).place(OFFICER, placing(HoldScope.QUERY, queries=("falcon",)))
    assert (placed.memories, placed.unreadable, held(clinic, kept)) == (1, 1, {kept})
    clinic.sql("INSERT INTO quarantine VALUES ('clinic', ?, 1, 'seal', 1, 0)", bad)
    again = holds(clinic).extend(OFFICER, placed.hold_id, Targets(queries=("falcon",)))
    assert (again.memories, again.unreadable) == (1, 1), "what is in quarantine is counted, too"


def test_a_hold_by_words_is_looked_for_again_where_a_match_was_removed_meanwhile(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = write(clinic, "the falcon", "another falcon")
    real = hold_query.match_queries

    def slow(*given: object) -> hold_query.Matched:
        found = real(*given)  # type: ignore[arg-type]  # passed on as they are
        monkeypatch.setattr("vault.holds.match_queries", real)
        remove(clinic, second)
        return found

    monkeypatch.setattr("vault.holds.match_queries", slow)
    placed = holds(clinic).place(OFFICER, placing(HoldScope.QUERY, queries=("falcon",)))
    assert (placed.memories, held(clinic, first)) == (1, {first})


@pytest.mark.parametrize(
    "wrong",
    [
        placing(HoldScope.SUBJECT),
        placing(HoldScope.SUBJECT, subjects=("anna",), queries=("x",)),
        placing(HoldScope.MATTER, subjects=("anna",)),
        placing(HoldScope.MATTER, matter="case-1"),
        placing(HoldScope.QUERY, memories=("mem_" + "0" * 26,)),
        placing(HoldScope.QUERY, queries=("the of and",)),
        placing(HoldScope.QUERY, queries=(" ",)),
        placing(HoldScope.TENANT, subjects=("anna",)),
        placing(HoldScope.SUBJECT, subjects=("anna",), review=START),
        placing(HoldScope.SUBJECT, subjects=("anna",), review=REVIEW.replace(tzinfo=None)),
        placing(HoldScope.MATTER, memories=("mem_no",), matter="case-1"),
    ],
    ids=range(11),
)
def test_a_hold_that_names_nothing_or_the_wrong_thing_is_refused(clinic: Clinic, wrong: Placing) -> None:
    with pytest.raises((InputInvalidError, IdentifierInvalidError)):
        holds(clinic).place(OFFICER, wrong)
    assert (clinic.count("hold"), clinic.count("hold_target")) == (0, 0)


def test_a_hold_over_a_memory_that_is_not_there_is_refused_and_logged(clinic: Clinic) -> None:
    (memory,) = write(clinic, "a thing")
    remove(clinic, memory)
    with pytest.raises(NotFoundError):
        holds(clinic).place(OFFICER, placing(HoldScope.MATTER, memories=(memory,), matter="case-1"))
    assert (clinic.last().event, clinic.last().outcome) == ("hold.place", "not-found")
    assert clinic.count("hold") == 0


@pytest.mark.parametrize("who", [OWNER, CLINICIAN, ADMINISTRATOR])
def test_whoever_is_no_privacy_officer_places_sees_and_releases_nothing(clinic: Clinic, who: object) -> None:
    hold_id = place_over(clinic, "anna")
    made = holds(clinic)
    calls: list[Callable[[], object]] = [
        lambda: made.place(who, placing(HoldScope.TENANT)),  # type: ignore[arg-type]  # a principal
        lambda: made.extend(who, hold_id, Targets(("bob",))),  # type: ignore[arg-type]
        lambda: made.review(who, hold_id, REVIEW),  # type: ignore[arg-type]
        lambda: made.ask_release(who, hold_id),  # type: ignore[arg-type]
        lambda: made.release(who, hold_id),  # type: ignore[arg-type]
        lambda: made.all(who),  # type: ignore[arg-type]
        lambda: made.named(who, hold_id),  # type: ignore[arg-type]
    ]
    for call in calls:
        with pytest.raises(DeniedError):
            call()
        assert clinic.last().decision == "denied"
    with pytest.raises(DeniedError):
        made.place(OFFICER, placing(HoldScope.TENANT), Purpose.OPERATIONS)
    assert (clinic.count("hold"), clinic.count("hold_target")) == (1, 1)


# -- releasing -------------------------------------------------------------------------------------------------


def test_a_release_takes_a_second_person_and_lets_go(clinic: Clinic) -> None:
    (memory,) = write(clinic, "the knee hurts")
    hold_id = place_over(clinic, "anna")
    refusals = []
    for who, asked in ((SECOND_OFFICER, False), (OFFICER, True)):
        if asked:
            holds(clinic).ask_release(OFFICER, hold_id)
        with pytest.raises(DeniedError) as refused:
            holds(clinic).release(who, hold_id)
        refusals.append(str(refused.value))
        last = clinic.last()
        assert (last.event, last.decision, last.resource) == ("hold.release", "denied", hold_id)
        with pytest.raises(HeldError):
            remove(clinic, memory)
    assert refusals == [SECOND_PERSON, SECOND_PERSON], "who asks learns nothing of why"
    holds(clinic).release(SECOND_OFFICER, hold_id)
    remove(clinic, memory)
    (hold,) = holds(clinic).all(OFFICER)
    assert (hold.in_force, hold.asked_by, hold.released_by) == (False, "officer-a", "officer-b")
    assert clinic.state()["memory"] == 0


def test_who_placed_a_hold_does_not_release_it_though_another_asked(clinic: Clinic) -> None:
    hold_id = place_over(clinic, "anna")
    holds(clinic).ask_release(SECOND_OFFICER, hold_id)
    for who in (OFFICER, SECOND_OFFICER):
        with pytest.raises(DeniedError, match="second person"):
            holds(clinic).release(who, hold_id)
    assert holds(clinic).all(OFFICER)[0].in_force


@pytest.mark.parametrize("change", ["extended", "reviewed"])
def test_a_hold_that_was_changed_since_its_release_was_asked_for_is_asked_about_anew(
    clinic: Clinic, change: str
) -> None:
    hold_id = place_over(clinic, "anna")
    made = holds(clinic)
    made.ask_release(OFFICER, hold_id)
    if change == "extended":
        made.extend(OFFICER, hold_id, Targets(("bob",)))
    else:
        made.review(OFFICER, hold_id, REVIEW + timedelta(days=9))
    with pytest.raises(DeniedError, match="once that was asked"):
        made.release(SECOND_OFFICER, hold_id)
    assert made.all(OFFICER)[0].asked_by is None
    assert findings(clinic) == set(), "the log says the same of the row"
    clinic.close()
    clinic.reopen()
    assert holds(clinic).all(OFFICER)[0].asked_by is None, "and so does the ledger"
    holds(clinic).ask_release(OFFICER, hold_id)
    holds(clinic).release(SECOND_OFFICER, hold_id)
    assert not holds(clinic).all(OFFICER)[0].in_force
    assert findings(clinic) == set()


def test_a_restore_arms_no_request_that_a_later_change_of_the_hold_took_back(clinic: Clinic) -> None:
    hold_id = place_over(clinic, "anna")
    made = holds(clinic)
    made.ask_release(OFFICER, hold_id)
    made.extend(OFFICER, hold_id, Targets(("bob",)))
    rows = list(clinic.vault.parts.ledger.rows(CLINIC, "hold"))
    for order in (rows, rows[::-1]):
        (latest,) = _latest(order)
        assert latest["asked"] is None


def test_a_released_hold_is_not_reviewed_extended_asked_or_released_again(clinic: Clinic) -> None:
    hold_id = place_over(clinic, "anna")
    made = holds(clinic)
    made.ask_release(OFFICER, hold_id)
    made.release(SECOND_OFFICER, hold_id)
    calls: list[Callable[[], object]] = [
        lambda: made.review(OFFICER, hold_id, REVIEW + timedelta(days=9)),
        lambda: made.extend(OFFICER, hold_id, Targets(("bob",))),
        lambda: made.ask_release(OFFICER, hold_id),
        lambda: made.release(SECOND_OFFICER, hold_id),
    ]
    for call in calls:
        with pytest.raises(ConflictError):
            call()
        assert clinic.last().outcome == "refused"
    assert clinic.count("hold_target") == 1
    assert findings(clinic) == set()


def test_a_hold_that_is_not_there_is_not_found_and_the_entry_says_so(clinic: Clinic) -> None:
    unknown = "hld_" + "0" * 26
    for call in (holds(clinic).ask_release, holds(clinic).release, holds(clinic).named):
        with pytest.raises(NotFoundError):
            call(OFFICER, unknown)
        assert clinic.last().outcome == "not-found"
    with pytest.raises(IdentifierInvalidError):
        holds(clinic).release(OFFICER, "anna")


def test_a_review_moves_the_date_and_says_who(clinic: Clinic) -> None:
    hold_id = place_over(clinic, "anna")
    again = REVIEW + timedelta(days=90)
    holds(clinic).review(SECOND_OFFICER, hold_id, again)
    last = clinic.last()
    assert (last.event, last.principal, last.payload) == (
        "hold.review",
        "officer-b",
        {"review": microseconds(again)},
    )
    assert holds(clinic).all(OFFICER)[0].review == again
    with pytest.raises(InputInvalidError):
        holds(clinic).review(OFFICER, hold_id, START - timedelta(days=1))
    assert findings(clinic) == set()


def test_looking_at_holds_is_an_entry_and_shows_no_content(clinic: Clinic) -> None:
    write(clinic, "the knee hurts")
    hold_id = place_over(clinic, "anna")
    holds(clinic).all(OFFICER)
    assert (clinic.last().event, clinic.last().payload) == ("vault.read", {"kind": "holds", "count": 1})
    holds(clinic).named(OFFICER, hold_id)
    assert clinic.last().payload == {"kind": "holds", "hold": hold_id, "count": 1}


def test_what_a_second_officer_did_meanwhile_is_seen_in_the_transaction(clinic: Clinic) -> None:
    """The hold is released between looking and changing."""
    hold_id = place_over(clinic, "anna")
    holds(clinic).ask_release(OFFICER, hold_id)
    holds(clinic).release(SECOND_OFFICER, hold_id)
    late = (
        holding.MarkHold(CLINIC, hold_id, {"review": 1}),
        holding.AddTargets(CLINIC, hold_id, HoldScope.SUBJECT, [holding.TargetsOfEntry(0, ())]),
    )
    for change in late:
        with pytest.raises(ConflictError):
            clinic.vault.parts.store.submit(WriteSet(changes=[change.change]))
    assert findings(clinic) == set()


def test_more_names_than_one_call_may_have_are_refused(clinic: Clinic) -> None:
    names = tuple(f"person {nth}" for nth in range(1_001))
    with pytest.raises(InputInvalidError, match="at most"):
        holds(clinic).place(OFFICER, placing(HoldScope.SUBJECT, subjects=names))
    assert clinic.count("hold") == 0


# -- races -----------------------------------------------------------------------------------------------------


def test_a_hold_that_comes_between_plan_and_erasure_stops_it(clinic: Clinic) -> None:
    memories = write(clinic, "the knee hurts", "at night")
    erasures = Erasures(clinic.vault.parts)
    plan = erasures.plan(OFFICER, "anna")
    hold_id = place_over(clinic, "anna")
    with pytest.raises(HeldError):
        erasures.erase(OFFICER, "anna", plan.digest)
    refused = clinic.last()
    assert (refused.event, refused.outcome, refused.payload["holds"]) == (
        "subject.erase",
        "refused",
        [hold_id],
    )
    assert clinic.state()["memory"] == 2
    assert [clinic.mem(OWNER).get(memory).text for memory in memories] == ["the knee hurts", "at night"]


def test_a_hold_over_one_joint_memory_stops_the_erasure_of_either(clinic: Clinic) -> None:
    (joint,) = write(clinic, "both went to the lake", subject=("anna", "bob"))
    holds(clinic).place(OFFICER, placing(HoldScope.MATTER, memories=(joint,), matter="case-1"))
    for name in ("anna", "bob"):
        plan = Erasures(clinic.vault.parts).plan(OFFICER, name)
        with pytest.raises(HeldError):
            Erasures(clinic.vault.parts).erase(OFFICER, name, plan.digest)
    assert clinic.mem(OWNER).get(joint).text == "both went to the lake"


@pytest.mark.parametrize("awaited", ["erase-begun", "erase-facts", "erase-shredded", "erase-rows"])
def test_a_hold_that_comes_after_an_erasure_was_begun_is_refused_and_says_why(
    template: Path, tmp_path: Path, awaited: str
) -> None:
    come: list[str] = []
    made: list[Clinic] = []

    def probe(step: str) -> None:
        if step != awaited or come:
            return
        for asked in (
            placing(HoldScope.SUBJECT, subjects=("anna",)),
            placing(HoldScope.MATTER, subjects=("anna", "bob"), matter="case-1"),
        ):
            with pytest.raises(HoldTooLateError):
                holds(made[0]).place(OFFICER, asked)
            come.append(made[0].last().outcome)

    made.append(Clinic(template, tmp_path / "vault", fake_options(clock=FrozenClock(), probe=probe)))
    try:
        write(made[0], "the knee hurts")
        erasures = Erasures(made[0].vault.parts)
        erasures.erase(OFFICER, "anna", erasures.plan(OFFICER, "anna").digest)
        assert come == ["refused", "refused"]
        assert made[0].count("hold") == 0
        with pytest.raises(HoldTooLateError):
            place_over(made[0], "anna")
    finally:
        made[0].close()


def test_a_hold_over_a_memory_or_the_tenant_waits_for_no_erasure_that_could_still_take_it(
    template: Path, tmp_path: Path
) -> None:
    made: list[Clinic] = []
    memories: list[str] = []
    come: list[str] = []

    def probe(step: str) -> None:
        if step != "erase-begun" or come:
            return
        for asked in (
            placing(HoldScope.MATTER, memories=(memories[0],), matter="case-1"),
            placing(HoldScope.TENANT),
        ):
            with pytest.raises(HoldTooLateError):
                holds(made[0]).place(OFFICER, asked)
            come.append("refused")

    made.append(Clinic(template, tmp_path / "vault", fake_options(clock=FrozenClock(), probe=probe)))
    try:
        memories += write(made[0], "the knee hurts")
        erasures = Erasures(made[0].vault.parts)
        erasures.erase(OFFICER, "anna", erasures.plan(OFFICER, "anna").digest)
        assert come == ["refused", "refused"]
        holds(made[0]).place(OFFICER, placing(HoldScope.TENANT))
    finally:
        made[0].close()


def test_a_hold_that_comes_between_two_batches_keeps_the_second(clinic: Clinic) -> None:
    first, second = write(clinic, "the knee hurts", "at night")
    remove(clinic, first)
    place_over(clinic, "anna")
    with pytest.raises(HeldError) as refused:
        remove(clinic, second)
    assert refused.value.memories == (second,)
    assert clinic.state()["memory"] == 1


def test_of_a_removal_and_a_hold_at_once_one_wins_and_nothing_is_half_gone(clinic: Clinic) -> None:
    """Whichever commits first: a memory is held and there, or gone and the hold refused."""
    memories = write(clinic, *(f"thing number {nth}" for nth in range(24)))
    outcomes: dict[str, dict[str, bool]] = {memory: {} for memory in memories}
    ready = threading.Barrier(2, timeout=20)

    def removing() -> None:
        ready.wait()
        for memory in memories:
            try:
                remove(clinic, memory)
                outcomes[memory]["removed"] = True
            except HeldError:
                outcomes[memory]["removed"] = False

    def placing_() -> None:
        ready.wait()
        for memory in reversed(memories):
            try:
                asked = placing(HoldScope.MATTER, memories=(memory,), matter="case-1")
                holds(clinic).place(OFFICER, asked)
                outcomes[memory]["held"] = True
            except NotFoundError:
                outcomes[memory]["held"] = False

    threads = [threading.Thread(target=removing), threading.Thread(target=placing_)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    there = {str(row[0]) for row in clinic.sql("SELECT memory_id FROM memory")}
    for memory, came in outcomes.items():
        assert came["held"] is not came["removed"], memory
        assert (memory in there) is came["held"], memory
    held_now = {memory for memory, came in outcomes.items() if came["held"]}
    assert held(clinic, *there) == held_now == there


def test_of_expiry_and_holds_at_once_one_wins_for_each_memory_and_each_refusal_is_an_entry(
    template: Path, tmp_path: Path
) -> None:
    vault = RetentionVault(template, tmp_path / "vault")
    try:
        memories = vault.write(*(f"zebra number {nth}" for nth in range(120)))
        vault.later(91)
        ready = threading.Barrier(2, timeout=20)
        kept: list[str] = []
        faults: list[BaseException] = []

        def expiring() -> None:
            ready.wait()
            try:
                Expiry(vault.vault.parts).run(CLINIC)
            except BaseException as error:  # noqa: BLE001  # told by the test's own thread
                faults.append(error)

        def placing_() -> None:
            ready.wait()
            for memory in reversed(memories):
                review = vault.clock.now + timedelta(days=100)
                asked = placing(HoldScope.MATTER, memories=(memory,), matter="case-1", review=review)
                with suppress(NotFoundError):
                    Holds(vault.vault.parts).place(OFFICER, asked)
                    kept.append(memory)

        threads = [threading.Thread(target=expiring), threading.Thread(target=placing_)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        assert faults == []
        vault.expire()
        assert same(vault.rows(), kept), "held and there, or gone and the hold refused"
        refused = [one for one in vault.log() if (one.event, one.outcome) == ("memory.expire", "refused")]
        assert bool(refused) is bool(kept)
        assert vault.clean()
    finally:
        vault.close()


# -- walls, each removed in turn --------------------------------------------------------------------------------


def test_without_the_condition_in_the_statement_the_guard_in_the_database_refuses_still(
    clinic: Clinic,
) -> None:
    hold_id = place_over(clinic, "anna")
    holds(clinic).ask_release(SECOND_OFFICER, hold_id)
    for one in ("officer-a", "officer-b"):
        unconditioned = holding.MarkHold(CLINIC, hold_id, {"released_by": one, "released": 1})
        with pytest.raises((StorageError, ConflictError)):
            clinic.vault.parts.store.submit(WriteSet(changes=[unconditioned.change]))
    assert clinic.count("hold", "released IS NULL") == 1


def test_without_the_guard_in_the_database_the_statement_refuses_still(clinic: Clinic) -> None:
    hold_id = place_over(clinic, "anna")
    clinic.sql("DROP TRIGGER hold_fixed")
    for asker in (OFFICER, SECOND_OFFICER):
        holds(clinic).ask_release(asker, hold_id)
        with pytest.raises(DeniedError):
            holds(clinic).release(asker, hold_id)
    with pytest.raises(DeniedError):
        holds(clinic).release(OFFICER, hold_id)
    assert clinic.count("hold", "released IS NULL") == 1


def test_without_both_one_person_could_release_so_the_tests_above_can_fail(clinic: Clinic) -> None:
    hold_id = place_over(clinic, "anna")
    clinic.sql("DROP TRIGGER hold_fixed")
    mark = holding.MarkHold(CLINIC, hold_id, {"released_by": "officer-a", "released": 1})
    clinic.vault.parts.store.submit(WriteSet(changes=[mark.change]))
    assert clinic.count("hold", "released IS NOT NULL") == 1
    assert findings(clinic) == {ROW_HOLD}, "and the log finds it"


def test_without_the_check_in_the_transaction_a_held_memory_would_go(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    (memory,) = write(clinic, "the knee hurts")
    place_over(clinic, "anna")
    with pytest.raises(HeldError):
        remove(clinic, memory)
    monkeypatch.setattr("vault.storage.removal.expect_not_held", lambda *_: None)
    remove(clinic, memory)
    assert clinic.state()["memory"] == 0


def test_each_guard_over_holds_refuses_by_itself(clinic: Clinic) -> None:
    hold_id = place_over(clinic, "anna")
    assert {"hold_keep", "hold_fixed", "hold_target_keep", "hold_target_fixed"} <= {
        statement.split()[2] for statement in LIFE_GUARDS["sqlite"]
    }
    for statement in (
        "DELETE FROM hold",
        "DELETE FROM hold_target",
        "UPDATE hold_target SET target_id = 'sub_x'",
        "UPDATE hold SET released = 1, released_by = 'officer-a'",
        "UPDATE hold SET placed_by = 'somebody'",
    ):
        with pytest.raises(Exception, match="vault: "):
            clinic.sql(statement)
    assert holds(clinic).named(OFFICER, hold_id)[0].in_force


# -- the log and the ledger ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("guard", "statement"),
    [
        ("hold_keep", "DELETE FROM hold"),
        ("hold_target_keep", "DELETE FROM hold_target"),
        ("hold_target_fixed", "UPDATE hold_target SET target_id = 'sub_aaaaaaaaaaaaaaaaaaaaaaaaaa'"),
        ("hold_fixed", "UPDATE hold SET released = 5, released_by = 'officer-b'"),
        ("hold_fixed", "UPDATE hold SET review = 5"),
        ("hold_fixed", "UPDATE hold SET placed_by = 'x\x1b[2J'"),
        ("hold_keep", ("INSERT INTO hold SELECT tenant_id, 'hld_x', scope, matter, reason, placed_by, placed,"
         " review, asked_by, asked, released_by, released, leaf_index FROM hold")),
        ("hold_keep", ("INSERT INTO hold_target SELECT tenant_id, hold_id, 'tenant', 'clinic', leaf_index"
         " FROM hold_target")),
    ],
    ids=range(8),
)  # fmt: skip
def test_a_hold_that_is_missing_altered_or_made_up_is_found_by_the_log(
    clinic: Clinic, guard: str, statement: str
) -> None:
    place_over(clinic, "anna")
    assert findings(clinic) == set()
    clinic.sql(f"DROP TRIGGER {guard}")
    clinic.sql(statement)
    found = clinic.audit().verify().row_findings
    assert {one.check for one in found} == {ROW_HOLD}
    assert all("\x1b" not in one.got + one.expected for one in found)


def test_refusals_and_denials_say_nothing_of_rows(clinic: Clinic) -> None:
    hold_id = place_over(clinic, "anna")
    with pytest.raises(DeniedError):
        holds(clinic).release(OFFICER, hold_id)
    with pytest.raises(NotFoundError):
        holds(clinic).place(OFFICER, placing(HoldScope.QUERY, queries=("zeppelin",)))
    assert findings(clinic) == set()


def test_a_hold_over_very_many_memories_has_several_entries_in_one_transaction(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.holds.MAX_NAMED", 4)
    memories = write(clinic, *(f"falcon number {nth}" for nth in range(10)))
    before = len(clinic.log())
    placed = holds(clinic).place(OFFICER, placing(HoldScope.QUERY, queries=("falcon",)))
    assert [len(entry.payload["targets"]) for entry in clinic.log()[before:]] == [4, 4, 2]  # type: ignore[arg-type]  # a list
    assert placed.memories == 10
    assert held(clinic, *memories) == set(memories)
    assert findings(clinic) == set()


def test_holds_and_their_release_stand_in_the_ledger_outside_the_data(clinic: Clinic) -> None:
    hold_id = place_over(clinic, "anna")
    ledger: Ledger = clinic.vault.parts.ledger
    assert [hold_id in row.body for row in ledger.rows(CLINIC, "hold")] == [True]
    holds(clinic).ask_release(OFFICER, hold_id)
    holds(clinic).release(SECOND_OFFICER, hold_id)
    rows = list(ledger.rows(CLINIC, "hold"))
    assert any('"released_by":"officer-b"' in row.body for row in rows)
    assert all("anna" not in row.body for row in rows), "ids, never a name"


def test_a_ledger_that_cannot_be_written_does_not_take_a_hold_back(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise StorageError("no space")

    with monkeypatch.context() as patched:
        patched.setattr("vault.holds.mirror", fail)
        hold_id = place_over(clinic, "anna")
    assert "lacks a change of a hold" in caplog.text
    assert holds(clinic).named(OFFICER, hold_id)[0].in_force
    holds(clinic).review(OFFICER, hold_id, REVIEW + timedelta(days=1))
    assert any(hold_id in row.body for row in clinic.vault.parts.ledger.rows(CLINIC, "hold"))


def test_a_hold_is_in_force_after_the_vault_was_closed_and_opened(clinic: Clinic) -> None:
    (memory,) = write(clinic, "the knee hurts")
    place_over(clinic, "anna")
    clinic.reopen()
    with pytest.raises(HeldError):
        remove(clinic, memory)
    assert clinic.mem(OWNER).get(memory).text == "the knee hurts"


def test_a_hold_at_one_tenant_keeps_nothing_of_another(clinic: Clinic) -> None:
    (memory,) = write(clinic, "a thing")
    write(clinic, "another", subject="bob")
    clinic.mem(OTHER_OWNER).extract("a note", subject="anna")

    def of_bank(connection: Connection, _leaves: object) -> None:
        fixed = {"scope": "tenant", "reason": "audit", "placed_by": "x", "placed": 1, "review": 2}
        connection.execute(
            HOLD.insert(), [{"tenant_id": "bank", "hold_id": "hld_1", "leaf_index": 0, **fixed}]
        )
        row = {"hold_id": "hld_1", "kind": "tenant", "target_id": "bank", "leaf_index": 0}
        connection.execute(HOLD_TARGET.insert(), [{"tenant_id": "bank", **row}])

    clinic.vault.parts.store.submit(WriteSet(changes=[of_bank]))
    assert held(clinic, memory) == set()
    remove(clinic, memory)
