"""What nobody uses, what is overtaken and what says nothing comes up for review, and nothing of it is removed."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from policies.errors import DeniedError
from policies.model import Purpose
from tests.simulators.clinic import ADMINISTRATOR, BANK, CLINIC, OFFICER, OWNER
from tests.vault.retention.test_expiry import hold_person
from tests.vault.retention_vault import RULES, RetentionVault, same
from vault.errors import ConflictError, HeldError, IdentifierInvalidError, NotFoundError, RetainedError
from vault.review import Reviews, Verdict
from vault.staleness import Stale, Staleness, StaleReason, says_anything

NEVER = RULES.replace(
    "{id: note, description: some, term: P90D, from: recorded, then: expire}",
    "{id: note, description: some, term: forever}",
)
FLOORED = NEVER.replace("floors: []", "floors:\n  - {id: low, at-least: P5Y, entities: [PERSON]}").replace(
    "rules:\n", "rules:\n  - {id: numbers, class: kept, when: {entities: [PERSON]}}\n"
)


@pytest.fixture
def vault(template: Path, tmp_path: Path) -> Iterator[RetentionVault]:
    """Notes have no term here: what comes up is stale."""
    opened = RetentionVault(template, tmp_path / "vault", NEVER)
    yield opened
    opened.close()


def look(vault: RetentionVault) -> Stale:
    return Staleness(vault.vault.parts).run(CLINIC)


def reasons(vault: RetentionVault) -> dict[str, str]:
    found = Reviews(vault.vault.parts).waiting(OFFICER, Purpose.LEGAL)
    return {one.memory_id: one.reason for one in found}


@pytest.mark.parametrize("text", ["ok", "Yes, I think so.", "...", "and then?", "a b", "Thank you so much!"])
def test_texts_that_say_nothing(text: str) -> None:
    assert not says_anything(text)


@pytest.mark.parametrize("text", ["knee", "yes, 7", "ok [PERSON-k7f2qa]", "是", "don't panic"])
def test_texts_that_say_something(text: str) -> None:
    assert says_anything(text)


def test_each_memory_comes_up_once_with_why(vault: RetentionVault) -> None:
    fine, empty = vault.write("the knee hurts", "ok, thanks")
    old, new = vault.write("I live in Bern", "I live in Basel", subject="anna")
    parts = vault.vault.parts
    disputed = vault.write("the sea is green")[0]
    vault.sql("UPDATE memory SET trust = 'disputed' WHERE memory_id = ?", disputed)
    vault.sql(
        "INSERT INTO edge (tenant_id, source_id, kind, target_id, leaf_index) VALUES (?, ?, 'supersedes', ?, 0)",
        CLINIC,
        new,
        old,
    )
    before = vault.rows()
    done = look(vault)
    assert done.found == {
        StaleReason.DISPUTED: 1,
        StaleReason.SUPERSEDED: 1,
        StaleReason.UNUSED: 0,
        StaleReason.LOW_VALUE: 1,
    }
    assert reasons(vault) == {disputed: "disputed", old: "superseded", empty: "low-value"}
    told = [entry for entry in vault.log() if entry.event == "memory.review"]
    assert [entry.payload["reason"] for entry in told[:3]] == ["disputed", "superseded", "low-value"]
    assert vault.rows() == before
    assert sum(look(vault).found.values()) == 0
    vault.later(366)
    vault.mem(OWNER).get(fine)
    assert look(vault).found[StaleReason.UNUSED] == 1
    assert reasons(vault)[new] == "unused"
    assert vault.rows() == before
    assert parts.indexes.size(CLINIC) == len(before)


def test_what_cannot_be_opened_is_counted_and_left(vault: RetentionVault) -> None:
    (memory,) = vault.write("ok")
    vault.sql("UPDATE memory SET text = x'00' WHERE memory_id = ?", memory)
    assert look(vault).unreadable == 1
    assert reasons(vault) == {}


def test_a_run_that_is_told_to_stop_goes_on_later(vault: RetentionVault) -> None:
    (memory,) = vault.write("ok")
    done = Staleness(vault.vault.parts).run(CLINIC, may_go_on=lambda: False)
    assert not done.complete
    assert reasons(vault) == {}
    assert look(vault).found[StaleReason.LOW_VALUE] == 1
    assert set(reasons(vault)) == {memory}


def test_what_somebody_keeps_is_left_alone_for_a_while(vault: RetentionVault) -> None:
    (memory,) = vault.write("the knee hurts")
    vault.later(366)
    look(vault)
    reviews = Reviews(vault.vault.parts)
    leaf = reviews.decide(OFFICER, Purpose.LEGAL, memory, Verdict.KEEP)
    entry = vault.last()
    assert (entry.index, entry.event, entry.principal, entry.resource) == (
        leaf.index,
        "memory.review",
        OFFICER.id,
        memory,
    )
    assert entry.payload == {"memories": [memory], "reason": "unused"}
    assert reasons(vault) == {}
    with pytest.raises(NotFoundError):
        reviews.decide(OFFICER, Purpose.LEGAL, memory, Verdict.EXPIRE)
    assert vault.last().outcome == "not-found"
    assert look(vault).found[StaleReason.UNUSED] == 0
    vault.later(366)
    assert look(vault).found[StaleReason.UNUSED] == 1
    assert vault.rows() == [memory]


def test_what_somebody_lets_go_is_removed_for_good(vault: RetentionVault) -> None:
    (memory,) = vault.write("ok")
    look(vault)
    Reviews(vault.vault.parts).decide(OFFICER, Purpose.LEGAL, memory, Verdict.EXPIRE)
    assert vault.last().payload == {"gone": [memory], "count": 1, "class": "note", "reason": "low-value"}
    assert vault.rows() == []
    assert vault.count("review") == 0
    assert vault.mem(OWNER).retrieve("ok").hits == ()
    assert vault.clean()


def test_a_hold_refuses_the_decision_and_that_is_an_entry(vault: RetentionVault) -> None:
    (memory,) = vault.write("ok", subject="maria")
    look(vault)
    hold = hold_person(vault, "maria")
    with pytest.raises(HeldError):
        Reviews(vault.vault.parts).decide(OFFICER, Purpose.LEGAL, memory, Verdict.EXPIRE)
    assert (vault.last().outcome, vault.last().payload) == ("refused", {"held": [memory], "holds": [hold]})
    assert vault.rows() == [memory]
    assert set(reasons(vault)) == {memory}


def test_a_floor_refuses_the_decision_also_of_what_cannot_be_opened(template: Path, tmp_path: Path) -> None:
    old = RetentionVault(template, tmp_path / "vault", NEVER)
    named, plain, shut = old.write("I, Anna Keller", "ok", "so it is")
    look(old)
    old.later(366)
    look(old)
    old.close()
    vault = RetentionVault(old.path, tmp_path / "after", FLOORED)
    vault.clock.now = old.clock.now
    vault.sql("UPDATE memory SET attributes = x'00' WHERE memory_id = ?", shut)
    reviews = Reviews(vault.vault.parts)
    for kept in (named, shut):
        with pytest.raises(RetainedError, match="a floor keeps"):
            reviews.decide(OFFICER, Purpose.LEGAL, kept, Verdict.EXPIRE)
        assert (vault.last().outcome, vault.last().payload["reason"]) == ("refused", "floor")
    reviews.decide(OFFICER, Purpose.LEGAL, plain, Verdict.EXPIRE)
    assert same(vault.rows(), [named, shut])
    vault.clock.advance(timedelta(days=366 * 5))
    reviews.decide(OFFICER, Purpose.LEGAL, named, Verdict.EXPIRE)
    assert vault.rows() == [shut]
    vault.close()


def test_two_who_decide_at_one_time_are_told(vault: RetentionVault, monkeypatch: pytest.MonkeyPatch) -> None:
    (memory,) = vault.write("ok")
    look(vault)
    reviews = Reviews(vault.vault.parts)
    expect = reviews._expect_free  # the step between the looking and the transaction

    def decide_first(*arguments: object) -> None:
        Reviews(vault.vault.parts).decide(OFFICER, Purpose.LEGAL, memory, Verdict.KEEP)
        expect(*arguments)  # type: ignore[arg-type]  # handed on as they came

    monkeypatch.setattr(reviews, "_expect_free", decide_first)
    with pytest.raises(ConflictError):
        reviews.decide(OFFICER, Purpose.LEGAL, memory, Verdict.EXPIRE)
    assert vault.rows() == [memory]


def test_nobody_else_decides_or_sees_what_waits(vault: RetentionVault) -> None:
    (memory,) = vault.write("ok")
    look(vault)
    reviews = Reviews(vault.vault.parts)
    for principal in (OWNER, ADMINISTRATOR):
        with pytest.raises(DeniedError):
            reviews.decide(principal, Purpose.LEGAL, memory, Verdict.EXPIRE)
        assert (vault.last().event, vault.last().decision) == ("memory.review", "denied")
        with pytest.raises(DeniedError):
            reviews.waiting(principal, Purpose.LEGAL)
    with pytest.raises(IdentifierInvalidError):
        reviews.decide(OFFICER, Purpose.LEGAL, "all", Verdict.EXPIRE)
    assert Staleness(vault.vault.parts).run(BANK).found[StaleReason.LOW_VALUE] == 0
    assert vault.rows() == [memory]
