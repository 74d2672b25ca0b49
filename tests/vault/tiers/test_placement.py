"""Memories move between memory tiers by rule and by hand: nothing is lost, each move is an entry, erasure wins."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from lifecycle.catalogue import JOBS
from lifecycle.running import Runner, RunOutcome
from policies.errors import DeniedError
from policies.model import Purpose
from tests.simulators.clinic import ADMINISTRATOR, CLINIC, OFFICER, OWNER, STRANGER, Clinic
from tests.vault.retention_vault import RULES, RetentionVault
from vault.errors import ConflictError, LeaseLostError, NotFoundError
from vault.hold_terms import Placing, Targets
from vault.hold_words import HoldReason, HoldScope
from vault.holds import Holds
from vault.model import Chat, MemoryTier, Turn
from vault.storage.group_commit import Change, WriteSet
from vault.storage.placing import TierRow, tier_page
from vault.storage.schema import ERASURE
from vault.tiers import placement
from vault.tiers.placement import Placed, Placement

PLACING = (
    RULES
    + """
placement:
  - {id: back, from: [reference], to: plaintext, used-within: P7D}
  - {id: up, from: [plaintext], to: activation, used-within: P7D}
  - {id: down, from: [activation], to: plaintext, unused-for: P30D}
  - {id: away, from: [plaintext], to: reference, unused-for: P60D}
"""
)
LONG = "The knee is better, and the knee is better than it was, and Anna Keller says so. " * 3


@pytest.fixture
def vault(template: Path, tmp_path: Path) -> Iterator[RetentionVault]:
    opened = RetentionVault(template, tmp_path / "placing", PLACING)
    yield opened
    opened.close()


def run(vault: RetentionVault) -> Placed:
    return Placement(vault.vault.parts).run(CLINIC)


def said(*texts: str) -> Chat:
    return Chat(tuple(Turn("Ana", text) for text in texts))


def tier(vault: Clinic, memory_id: str) -> str:
    query = "SELECT memory_tier FROM memory WHERE memory_id = ? AND is_current = 1"
    return str(vault.sql(query, memory_id)[0][0])


def moves(vault: Clinic) -> list[dict[str, object]]:
    return [one.payload for one in vault.log() if one.event == "memory.move"]


def test_a_memory_goes_where_its_use_says_and_comes_back_as_it_was(vault: RetentionVault) -> None:
    (used,), (idle,) = vault.write(LONG), vault.write("The hip is fine.")
    before = vault.mem(OWNER).get(used)
    assert vault.mem(OWNER).reveal(used).text != before.text
    assert run(vault).moved[MemoryTier.ACTIVATION] == 1
    assert (tier(vault, used), tier(vault, idle)) == ("activation", "plaintext")
    vault.later(31)
    assert run(vault).moved[MemoryTier.PLAINTEXT] == 1
    vault.later(30)
    assert run(vault).moved[MemoryTier.REFERENCE] == 2
    assert (tier(vault, used), tier(vault, idle)) == ("reference", "reference")
    after = vault.mem(OWNER).get(used)
    assert (after.text, after.provenance, after.annotations) == (
        before.text,
        before.provenance,
        before.annotations,
    )
    assert run(vault).moved == {MemoryTier.PLAINTEXT: 1, MemoryTier.REFERENCE: 0, MemoryTier.ACTIVATION: 0}
    assert run(vault).moved[MemoryTier.ACTIVATION] == 1
    assert "Anna Keller" in vault.mem(OWNER).reveal(used).text
    assert [(one["reason"], one["tier"]) for one in moves(vault)] == [
        ("up", "activation"),
        ("down", "plaintext"),
        ("away", "reference"),
        ("back", "plaintext"),
        ("up", "activation"),
    ]
    assert vault.clean()


def test_what_is_where_it_belongs_is_not_moved_again(vault: RetentionVault) -> None:
    (memory,) = vault.write(LONG)
    vault.mem(OWNER).get(memory)
    run(vault)
    size = len(vault.log())
    assert run(vault) == Placed()
    assert len(vault.log()) == size, "no entry says nothing"


def test_a_hold_does_not_stand_against_a_move(vault: RetentionVault) -> None:
    (memory,) = vault.write(LONG, subject="anna")
    terms = Placing(
        HoldScope.SUBJECT, HoldReason.LITIGATION, vault.clock() + timedelta(days=300), Targets(("anna",))
    )
    Holds(vault.vault.parts).place(OFFICER, terms)
    vault.later(61)
    assert run(vault).moved[MemoryTier.REFERENCE] == 1
    assert tier(vault, memory) == "reference"


@pytest.mark.parametrize("to", [MemoryTier.ACTIVATION, MemoryTier.REFERENCE])
def test_an_erasure_that_begins_meanwhile_stands_against_it(
    vault: RetentionVault, to: MemoryTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    (memory,) = vault.write(LONG, subject="anna")
    (other,) = vault.write(LONG, subject="berta")

    def then_erased(connection: Connection, *args: object) -> list[TierRow]:
        found = tier_page(connection, *args)  # type: ignore[arg-type]
        if found:
            begin_erasure(vault)
        return found

    monkeypatch.setattr(placement, "tier_page", then_erased)
    if to is MemoryTier.REFERENCE:
        vault.later(61)
    else:
        vault.mem(OWNER).get(memory)
        vault.mem(OWNER).get(other)
    done = run(vault)
    assert (done.moved[to], done.unmoved) == (1, 1)
    assert (tier(vault, memory), tier(vault, other)) == ("plaintext", to.value)


def begin_erasure(vault: Clinic) -> None:
    if vault.count("erasure"):
        return
    (subject,) = vault.vault.parts.sealers.subject_ids(CLINIC, ("anna",))
    row = {
        "tenant_id": CLINIC,
        "erasure_id": "era_00000000000000000000000000",
        "subject_id": subject,
        "state": "begun",
        "begun": 1,
        "finished": None,
        "intent_leaf": 1,
        "certificate": None,
    }
    vault.vault.parts.store.submit(WriteSet(rows=[(ERASURE, row)]))


def test_a_bad_row_keeps_no_other_from_moving(vault: RetentionVault) -> None:
    good, bad = vault.write(LONG, "The hip is fine, and it is fine.")
    vault.sql("UPDATE memory SET text = ? WHERE memory_id = ?", b"\x01nothing", bad)
    vault.later(61)
    done = run(vault)
    assert (done.moved[MemoryTier.REFERENCE], done.unmoved) == (1, 1)
    assert (tier(vault, good), tier(vault, bad)) == ("reference", "plaintext")


def test_a_run_that_is_stopped_goes_on_from_its_place(
    vault: RetentionVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    memories = vault.write(*(f"{LONG} {number}" for number in range(5)))
    vault.later(61)
    monkeypatch.setattr(placement, "BATCH", 2)
    looks, places = iter([True, False]), list[str]()
    place = Placement(vault.vault.parts)

    def save(at: str) -> Change:
        places.append(at)
        return lambda _connection, _leaves: None

    assert not place.run(CLINIC, may_go_on=lambda: next(looks), save=save).complete
    assert [tier(vault, one) for one in memories].count("reference") == 2
    done = place.run(CLINIC, after=places[-1])
    assert done.complete
    assert done.moved[MemoryTier.REFERENCE] == 3


def test_who_lost_the_lease_moves_nothing(vault: RetentionVault) -> None:
    (memory,) = vault.write(LONG)
    vault.later(61)

    def lost(_connection: Connection, _leaves: object) -> None:
        raise LeaseLostError("lost")

    with pytest.raises(LeaseLostError):
        Placement(vault.vault.parts).run(CLINIC, fence=lost)
    assert tier(vault, memory) == "plaintext"


def test_the_job_moves_and_counts(vault: RetentionVault) -> None:
    vault.write(LONG)
    vault.later(61)
    job = next(one for one in JOBS if one.name == "placement")
    ran = Runner(vault.vault.parts).run(job, CLINIC)
    assert ran is not None
    assert ran.outcome is RunOutcome.COMPLETE
    assert ran.counts == {"to-reference": 1, "to-activation": 0, "to-plaintext": 0, "unmoved": 0}


def test_an_administrator_moves_one_by_hand(clinic: Clinic) -> None:
    (memory,) = clinic.mem(OWNER).extract(LONG, subject="anna").memory_ids
    admin = clinic.mem(ADMINISTRATOR, Purpose.OPERATIONS)
    for to in (MemoryTier.REFERENCE, MemoryTier.ACTIVATION, MemoryTier.PLAINTEXT):
        leaf = admin.move_to_tier(memory, to)
        entry = clinic.last()
        assert (entry.index, entry.event, entry.resource) == (leaf.index, "memory.move", memory)
        assert (entry.payload["reason"], entry.payload["tier"]) == ("by-hand", to.value)
        assert tier(clinic, memory) == to.value
    with pytest.raises(ConflictError, match="already"):
        admin.move_to_tier(memory, MemoryTier.PLAINTEXT)
    assert (
        clinic.mem(OWNER).get(memory).text
        == clinic.mem(OWNER).episode(clinic.mem(OWNER).get(memory).provenance.episode_id).turns[0].text
    )
    assert not clinic.audit().verify().row_findings


def test_others_move_nothing_and_nothing_of_other_tenants(clinic: Clinic) -> None:
    (memory,) = clinic.mem(OWNER).extract(LONG).memory_ids
    with pytest.raises(DeniedError):
        clinic.mem(OWNER).move_to_tier(memory, MemoryTier.ACTIVATION)
    assert (clinic.last().event, clinic.last().decision) == ("memory.move", "denied")
    with pytest.raises(NotFoundError):
        clinic.mem(ADMINISTRATOR, Purpose.OPERATIONS).move_to_tier("mem_" + "0" * 26, MemoryTier.ACTIVATION)
    assert clinic.last().outcome == "not-found"
    foreign = clinic.mem(STRANGER).extract(LONG).memory_ids[0]
    with pytest.raises(NotFoundError):
        clinic.mem(ADMINISTRATOR, Purpose.OPERATIONS).move_to_tier(foreign, MemoryTier.ACTIVATION)
    assert tier(clinic, foreign) == "plaintext"


# -- warming and status ------------------------------------------------------------------------------------------


def test_what_stands_in_activation_is_at_hand_when_the_vault_is_opened(clinic: Clinic) -> None:
    memories = clinic.mem(OWNER).extract(said("The knee hurts.", "The hip is fine.")).memory_ids
    clinic.mem(ADMINISTRATOR, Purpose.OPERATIONS).move_to_tier(memories[0], MemoryTier.ACTIVATION)
    clinic.reopen()
    at_hand = clinic.vault.parts.sealers.at_hand
    assert at_hand.status(CLINIC).items == 2
    assert at_hand.status("bank").items == 0
    before = at_hand.status(CLINIC).hits
    clinic.mem(OWNER).get(memories[0])
    assert at_hand.status(CLINIC).hits == before + 2


def test_what_is_opened_beforehand_is_found_by_an_index_of_its_own(clinic: Clinic) -> None:
    query = "EXPLAIN QUERY PLAN SELECT memory_id FROM memory WHERE tenant_id = ? AND is_current = ? AND memory_tier = 'activation'"
    assert "memory_in_activation" in str(clinic.sql(query, CLINIC, 1))


def test_a_bad_row_keeps_no_vault_from_opening(clinic: Clinic) -> None:
    good, bad = clinic.mem(OWNER).extract(said("The knee hurts.", "The hip is fine.")).memory_ids
    for memory in (good, bad):
        clinic.mem(ADMINISTRATOR, Purpose.OPERATIONS).move_to_tier(memory, MemoryTier.ACTIVATION)
    clinic.sql("UPDATE memory SET text = ? WHERE memory_id = ?", b"\x01nothing", bad)
    clinic.reopen()
    assert clinic.vault.parts.sealers.at_hand.status(CLINIC).items >= 2


def test_the_status_counts_what_is_the_tenants_own(clinic: Clinic) -> None:
    memories = clinic.mem(OWNER).extract(said("The knee hurts.", "The hip is fine.")).memory_ids
    clinic.mem(STRANGER).extract("The account is empty.")
    admin = clinic.mem(ADMINISTRATOR, Purpose.OPERATIONS)
    admin.move_to_tier(memories[0], MemoryTier.ACTIVATION)
    clinic.mem(OWNER).context("knee")
    clinic.mem(OWNER).context("knee")
    status = admin.tiers()
    assert {one.memory_tier: one.memories for one in status.tiers} == {
        "reference": 0,
        "activation": 1,
        "plaintext": 1,
    }
    assert all(one.size > 0 for one in status.tiers if one.memories)
    assert status.at_hand.hits > 0
    assert status.context.windows == 1
    assert status.context.hit_rate > 0
    assert (clinic.last().event, clinic.last().payload) == ("vault.read", {"count": 2, "kind": "tiers"})
    with pytest.raises(DeniedError):
        clinic.mem(OWNER).tiers()
    assert clinic.last().decision == "denied"


# -- episodes ----------------------------------------------------------------------------------------------------


def test_an_episode_is_shown_as_it_was_written_masked_and_logged(clinic: Clinic) -> None:
    receipt = clinic.mem(OWNER).extract(
        said("Anna Keller has a bad knee.", "The hip is fine."), subject="anna"
    )
    assert receipt.episode_id is not None
    clinic.mem(OWNER).update(receipt.memory_ids[1], "The hip hurts.")
    shown = clinic.mem(OWNER).episode(receipt.episode_id)
    assert [turn.id for turn in shown.turns] == list(receipt.memory_ids)
    assert shown.turns[1].text == "The hip is fine."
    assert "Keller" not in shown.turns[0].text
    assert not shown.more
    entry = clinic.last()
    assert (entry.event, entry.resource, entry.index) == (
        "memory.read",
        receipt.episode_id,
        shown.receipt.leaf_index,
    )
    assert entry.payload["memories"] == list(receipt.memory_ids)
    first = clinic.mem(OWNER).episode(receipt.episode_id, limit=1)
    assert (len(first.turns), first.more) == (1, True)
    rest = clinic.mem(OWNER).episode(receipt.episode_id, start=1)
    assert [turn.id for turn in rest.turns] == [receipt.memory_ids[1]]


def test_an_episode_out_of_reach_is_none(clinic: Clinic) -> None:
    episode = clinic.mem(OWNER).extract("The knee hurts.").episode_id
    assert episode is not None
    for principal in (STRANGER, OFFICER):
        with pytest.raises((NotFoundError, DeniedError)):
            clinic.mem(principal).episode(episode)
    with pytest.raises(NotFoundError):
        clinic.mem(OWNER).episode("epi_" + "0" * 26)
    assert clinic.last().decision == "denied"
