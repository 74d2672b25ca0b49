"""Terms end on time and not before, under holds, floors and clocks; each end is an entry that the verifier knows."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from audit.log import Leaf
from policies.model import Purpose
from policies.retention_model import EndAction
from tests.simulators.clinic import ADMINISTRATOR, BANK, CLINIC, OFFICER, OWNER, SECOND_OFFICER
from tests.vault.retention_vault import RULES, RetentionVault, refuses_the_clock, same
from vault.errors import ClockUntrustedError, KeyDestroyedError, LeaseLostError, NotFoundError
from vault.expiry import Expiry, Pace
from vault.hold_terms import Placing, Targets
from vault.hold_words import HoldReason, HoldScope
from vault.holds import Holds
from vault.payload_erasure import ErasureReason, PayloadErasure
from vault.retention_desk import RetentionDesk
from vault.storage.due import ANY_LEAF, still_due
from vault.term_bounds import TermBounds

END = EndAction.EXPIRE


def hold_person(vault: RetentionVault, name: str) -> str:
    review = vault.clock.now + timedelta(days=300)
    placing = Placing(HoldScope.SUBJECT, HoldReason.LITIGATION, review, Targets(subjects=(name,)))
    return Holds(vault.vault.parts).place(OFFICER, placing).hold_id


def test_a_memory_ends_with_its_term_and_not_a_moment_before(vault: RetentionVault) -> None:
    (memory,) = vault.write("the zebra goes")
    vault.later(90 - 1 / 86_400)
    assert vault.expire()[END] == 0
    assert vault.rows() == [memory]
    vault.later(1 / 86_400)
    assert vault.expire()[END] == 1
    assert vault.rows() == []
    assert vault.last().event == "memory.expire"
    assert vault.last().payload == {"gone": [memory], "count": 1, "class": "note"}
    assert vault.count("tombstone", f"kind = 'memory' AND tenant_id = '{CLINIC}'") == 1
    assert vault.mem(OWNER).retrieve("zebra").hits == ()
    with pytest.raises(NotFoundError):
        vault.mem(OWNER).get(memory)
    assert vault.clean()
    vault.reopen()
    assert vault.mem(OWNER).retrieve("zebra").hits == ()


@pytest.mark.parametrize(
    ("said", "over"),
    [
        (datetime(2026, 2, 28, 15, tzinfo=UTC), datetime(2027, 3, 1, tzinfo=UTC)),
        (datetime(2028, 2, 29, 0, tzinfo=UTC), datetime(2029, 3, 1, tzinfo=UTC)),  # no 29 February 2029
        (
            datetime(2028, 2, 28, 15, tzinfo=UTC),
            datetime(2029, 3, 1, tzinfo=UTC),
        ),  # rounded up to the leap day
        (datetime(2027, 12, 31, 23, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_year_from_an_event_ends_by_the_calendar(
    vault: RetentionVault, said: datetime, over: datetime
) -> None:
    vault.write("said then", purpose=Purpose.TREATMENT, at=said)
    for now, left in ((over - timedelta(microseconds=1), 1), (over, 0)):
        vault.clock.now = now
        vault.believe(now)
        vault.expire()
        assert len(vault.rows()) == left


def test_what_is_used_stays_as_long_as_it_is_and_the_read_path_writes_no_use(vault: RetentionVault) -> None:
    used, unused, read = (
        vault.write(text, purpose=Purpose.SERVICE)[0] for text in ("zebra", "giraffe", "lion")
    )
    vault.later(60)
    mem = vault.mem(OWNER, Purpose.SERVICE)
    assert [hit.memory.id for hit in mem.retrieve("zebra", k=1).hits] == [used]
    mem.get(read)
    assert vault.count("usage") == 0
    vault.later(31)
    assert vault.expire()[END] == 1
    assert same(vault.rows(), [used, read])
    assert unused not in vault.rows()
    assert vault.count("usage") == 2
    vault.later(60)
    assert vault.expire()[END] == 2
    assert vault.rows() == []
    assert vault.count("usage") == 0
    assert vault.clean()


def test_a_use_between_the_looking_and_the_ending_counts(vault: RetentionVault) -> None:
    (memory,) = vault.write("zebra", purpose=Purpose.SERVICE)
    vault.later(91)
    calls = iter([True])

    def use_first() -> bool:
        if next(calls, False):
            vault.mem(OWNER, Purpose.SERVICE).get(memory)
        return True

    done = Expiry(vault.vault.parts).run(CLINIC, may_go_on=use_first)
    assert done[END] == 0
    assert vault.rows() == [memory]


def test_a_use_whose_entry_was_erased_tells_of_nothing(vault: RetentionVault) -> None:
    first, second = (vault.write(text, purpose=Purpose.SERVICE)[0] for text in ("zebra", "lion"))
    mem = vault.mem(OWNER, Purpose.SERVICE)
    vault.later(60)
    receipt = mem.get(first).receipt
    assert receipt is not None
    mem.get(second)
    erasure = PayloadErasure(vault.vault.parts)
    erasure.erase(ADMINISTRATOR, Purpose.OPERATIONS, [receipt.leaf_index], ErasureReason.RETENTION)
    vault.later(31)
    assert vault.expire()[END] == 1
    assert vault.rows() == [second]


def test_what_a_hold_keeps_is_left_and_said_and_the_rest_goes(vault: RetentionVault) -> None:
    held = vault.write("about Maria", "and more", subject="maria")
    hold = hold_person(vault, "maria")
    vault.write("about Ines", subject="ines")
    vault.later(91)
    done = vault.expire()
    assert (done[END], done.held) == (1, 2)
    assert same(vault.rows(), held)
    (refused,) = [entry for entry in vault.log() if entry.outcome == "refused"]
    assert refused.event == "memory.expire"
    assert refused.payload == {"held": sorted(held), "holds": [hold], "count": 2, "class": "note"}
    assert vault.clean()
    holds = Holds(vault.vault.parts)
    holds.ask_release(OFFICER, hold)
    holds.release(SECOND_OFFICER, hold)
    assert vault.expire()[END] == 2
    assert vault.rows() == []


def test_a_hold_that_comes_while_a_batch_is_on_its_way_keeps_its_memories_alone(
    vault: RetentionVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = vault.write("about Maria", subject="maria")
    vault.write("about Ines", subject="ines")
    vault.later(91)
    remove = Expiry._remove  # the step between the looking and the transaction
    placed: list[str] = []

    def hold_first(self: Expiry, *arguments: object) -> None:
        if not placed:
            placed.append(hold_person(vault, "maria"))
        remove(self, *arguments)  # type: ignore[arg-type]  # handed on as they came

    monkeypatch.setattr(Expiry, "_remove", hold_first)
    done = vault.expire()
    assert (done[END], done.held) == (1, 1)
    assert vault.rows() == list(held)
    assert [entry.payload["held"] for entry in vault.log() if entry.outcome == "refused"] == [list(held)]
    assert vault.clean()


FLOORED = RULES.replace(
    "floors: []",
    "floors:\n  - {id: old, at-least: P5Y, entities: [MEDICAL_RECORD]}\n"
    "  - {id: young, at-least: P30D, classes: [record]}",
).replace("rules:\n", "rules:\n  - {id: numbers, class: kept, when: {entities: [MEDICAL_RECORD]}}\n")


def test_a_floor_counts_from_the_writing_and_holds_for_what_older_rules_classed(
    template: Path, tmp_path: Path
) -> None:
    before = RetentionVault(template, tmp_path / "vault")
    (numbered,) = before.write("MRN 123456 has pain")
    (plain,) = before.write("no number")
    before.close()
    after = RetentionVault(before.path, tmp_path / "after", FLOORED)
    (dated,) = after.write("long ago", purpose=Purpose.TREATMENT, at=datetime(1999, 1, 1, tzinfo=UTC))
    after.expire()
    assert same(after.rows(), [numbered, plain, dated])  # its event is over; its writing is not 30 days old
    after.later(91)
    done = after.expire()
    assert (done[END], done.floored) == (2, 1)
    assert after.rows() == [numbered]
    after.later(366 * 5)
    assert after.expire()[END] == 1
    assert after.rows() == []
    after.close()


def test_no_floor_ends_early_for_what_is_written_while_the_clock_is_behind(
    template: Path, tmp_path: Path
) -> None:
    before = RetentionVault(template, tmp_path / "vault")
    before.write("by the right clock", purpose=Purpose.TREATMENT)
    before.clock.advance(timedelta(days=-366 * 8))
    (numbered,) = before.write("MRN 123456 has pain")
    (plain,) = before.write("no number")
    before.close()
    after = RetentionVault(before.path, tmp_path / "after", FLOORED)
    after.expire()
    after.later(91)
    done = after.expire()
    assert (done[END], done.floored) == (1, 1)
    assert numbered in after.rows()
    assert plain not in after.rows()
    after.later(366 * 5)
    after.expire()
    assert numbered not in after.rows()
    after.close()


def test_a_floor_sees_what_a_former_version_holds(template: Path, tmp_path: Path) -> None:
    before = RetentionVault(template, tmp_path / "vault")
    (changed,) = before.write("MRN 123456 has pain")
    (plain,) = before.write("no number")
    before.mem(OWNER, Purpose.OPERATIONS).update(changed, "somebody has pain")
    before.close()
    after = RetentionVault(before.path, tmp_path / "after", FLOORED)
    after.later(91)
    done = after.expire()
    assert (done[END], done.floored) == (1, 1)
    assert (after.rows(), plain in after.rows()) == ([changed], False)
    after.close()


def test_a_former_version_that_is_no_row_keeps_the_memory(template: Path, tmp_path: Path) -> None:
    vault = RetentionVault(template, tmp_path / "vault", FLOORED)
    (memory,) = vault.write("no number")
    vault.mem(OWNER, Purpose.OPERATIONS).update(memory, "still none")
    vault.sql("UPDATE memory SET trust = 'odd' WHERE version = 1")
    vault.later(91)
    done = vault.expire()
    assert (done[END], done.unreadable) == (0, 1)
    assert vault.rows() == [memory]
    vault.close()


def test_what_cannot_be_opened_is_left_where_a_floor_asks_what_it_holds(
    template: Path, tmp_path: Path
) -> None:
    vault = RetentionVault(template, tmp_path / "vault", FLOORED)
    (memory,) = vault.write("no number")
    vault.sql("UPDATE memory SET attributes = x'00' WHERE memory_id = ?", memory)
    vault.later(91)
    done = vault.expire()
    assert (done[END], done.unreadable) == (0, 1)
    assert vault.rows() == [memory]
    vault.close()


def test_a_clock_that_jumps_forward_ends_nothing_until_somebody_confirms_it(vault: RetentionVault) -> None:
    (memory,) = vault.write("the zebra goes")
    vault.expire()
    vault.clock.advance(timedelta(days=3_650))
    with pytest.raises(ClockUntrustedError, match="confirm it"):
        vault.expire()
    assert refuses_the_clock(vault)
    assert vault.rows() == [memory]
    assert (vault.last().event, vault.last().outcome, vault.last().payload) == (
        "memory.expire",
        "refused",
        {"reason": "clock"},
    )
    vault.reopen()
    assert refuses_the_clock(vault)
    RetentionDesk(vault.vault.parts).confirm_clock(ADMINISTRATOR, Purpose.OPERATIONS)
    assert vault.last().principal == ADMINISTRATOR.id
    assert vault.expire()[END] == 1


def test_a_clock_that_jumps_back_ends_nothing_early_and_nothing_twice(vault: RetentionVault) -> None:
    first = vault.write("the first")
    vault.later(60)
    second = vault.write("the second")
    vault.later(31)
    assert vault.expire()[END] == 1
    assert vault.rows() == list(second)
    assert first[0] not in vault.rows()
    vault.clock.advance(timedelta(days=-80))
    done = vault.expire()
    assert (done[END], done.clock_went_back) == (0, True)
    third = vault.write("the third")
    vault.clock.advance(timedelta(days=29))
    assert vault.expire()[END] == 0
    assert same(vault.rows(), [*second, *third])
    vault.clock.advance(
        timedelta(days=32)
    )  # the bound counts from the run before, not from the highest time seen
    assert refuses_the_clock(vault)


@pytest.mark.parametrize("purpose", [Purpose.OPERATIONS, Purpose.SERVICE])
def test_what_is_written_while_the_clock_is_years_behind_has_its_whole_term(
    vault: RetentionVault, purpose: Purpose
) -> None:
    vault.write("written before, by the right clock", purpose=Purpose.TREATMENT)
    vault.clock.advance(timedelta(days=-1_500))
    (behind,) = vault.write("the zebra goes", purpose=purpose)
    vault.clock.advance(timedelta(days=1_500))
    vault.later(0)
    done = vault.expire()
    assert (done[END], done.behind) == (0, 1)
    assert behind in vault.rows()
    vault.later(91)
    done = vault.expire()
    assert (done[END], done.behind) == (1, 0)
    assert behind not in vault.rows()
    assert vault.clean()


@pytest.mark.parametrize("page", [1, 1_000])
def test_a_use_while_the_clock_is_years_behind_begins_the_term_again(
    vault: RetentionVault, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.usage.PAGE", page)
    used, unused = vault.write("the zebra goes", "the giraffe stays", purpose=Purpose.SERVICE)
    vault.later(80)
    vault.expire()
    vault.write("by the right clock", purpose=Purpose.TREATMENT)
    vault.clock.advance(timedelta(days=-1_500))
    for _ in range(3):
        vault.mem(OWNER, Purpose.SERVICE).get(used)
    vault.clock.advance(timedelta(days=1_500))
    vault.later(20)
    assert vault.expire()[END] == 1
    assert used in vault.rows()
    assert unused not in vault.rows()
    vault.later(91)
    assert vault.expire()[END] == 1
    assert used not in vault.rows()
    assert vault.clean()


def test_a_memory_that_is_changed_to_look_due_in_the_transaction_is_seen_there_too(
    vault: RetentionVault,
) -> None:
    vault.write("by the right clock", purpose=Purpose.TREATMENT)
    vault.clock.advance(timedelta(days=-1_500))
    (behind,) = vault.write("the zebra goes")
    vault.clock.advance(timedelta(days=1_500))
    now = vault.later(0)
    parts = vault.vault.parts
    (note,) = (one for one in parts.retention.classes if one.id == "note")
    with parts.store.log_connection(CLINIC) as connection:
        due = TermBounds(parts).due(connection, note, CLINIC, now)
        assert due is not None
        assert still_due(connection, due, [behind]) == set()
        assert still_due(connection, replace(due, leaf=ANY_LEAF), [behind]) == {behind}


def test_entries_of_a_clock_that_was_ahead_keep_nothing_for_ever(vault: RetentionVault) -> None:
    vault.clock.advance(timedelta(days=3_000))
    vault.write("by a clock that is ahead", purpose=Purpose.TREATMENT)
    vault.clock.advance(timedelta(days=-3_000))
    (memory,) = vault.write("the zebra goes")
    vault.later(91)
    done = vault.expire()
    assert (done[END], done.behind) == (1, 0)
    assert memory not in vault.rows()


def test_a_first_run_long_after_the_tenant_was_made_asks_for_the_clock_and_so_does_a_damaged_state(
    vault: RetentionVault,
) -> None:
    vault.clock.advance(timedelta(days=31))
    assert refuses_the_clock(vault)
    vault.later(0)
    vault.expire()
    vault.sql("UPDATE job SET cursor = '{\"clock\": \"soon\"}' WHERE name = 'retention'")
    assert refuses_the_clock(vault)


def test_a_redacted_memory_keeps_no_original_in_any_version_and_is_of_the_next_class(
    vault: RetentionVault,
) -> None:
    (memory,) = vault.write("Anna Keller called 555-123-4567", purpose=Purpose.RESEARCH)
    mem = vault.mem(OWNER, Purpose.RESEARCH)
    mem.update(memory, "Anna Keller called again from 555-123-4567")
    vault.later(91)
    assert vault.expire()[EndAction.REDACT] == 1
    assert mem.get(memory).text == "[PERSON] called again from [PHONE]"
    assert vault.mem(OWNER, Purpose.SERVICE).reveal(memory).text == "[PERSON] called again from [PHONE]"
    assert vault.sql("SELECT DISTINCT retention, retention_rule FROM memory") == [("kept", "research")]
    assert [hit.memory.id for hit in mem.retrieve("who called again?").hits] == [memory]
    assert vault.clean()
    assert vault.expire()[EndAction.REDACT] == 0
    vault.reopen()
    assert vault.clean()
    assert [hit.memory.text for hit in vault.mem(OWNER).retrieve("called").hits] == [
        "[PERSON] called again from [PHONE]"
    ]


def test_a_hold_forbids_to_redact(vault: RetentionVault) -> None:
    (memory,) = vault.write("Anna Keller called", purpose=Purpose.RESEARCH)
    hold_person(vault, "maria")
    vault.later(91)
    done = vault.expire()
    assert (done[EndAction.REDACT], done.held) == (0, 1)
    assert vault.mem(OWNER, Purpose.SERVICE).reveal(memory).text == "Anna Keller called"


def test_an_archived_memory_is_reference_memory_under_the_next_class_and_its_new_term_begins(
    vault: RetentionVault,
) -> None:
    (memory,) = vault.write("paid by Anna Keller", purpose=Purpose.PAYMENT)
    vault.later(91)
    assert vault.expire()[EndAction.ARCHIVE] == 1
    found = vault.mem(OWNER, Purpose.PAYMENT).get(memory)
    assert found.memory_tier.value == "reference"
    assert vault.mem(OWNER, Purpose.PAYMENT).reveal(memory).text == "paid by Anna Keller"
    assert vault.clean()
    vault.later(360)
    assert vault.expire()[END] == 0
    vault.later(10)
    assert vault.expire()[END] == 1
    assert vault.rows() == []
    assert vault.clean()


def test_re_encrypting_rotates_keys_that_are_older_than_the_term_and_begins_the_term_again(
    template: Path, tmp_path: Path
) -> None:
    rules = RULES.replace("default: note", "default: fresh")
    vault = RetentionVault(template, tmp_path / "vault", rules)
    (memory,) = vault.write("the zebra stays")
    vault.later(91)
    assert vault.expire()[EndAction.RE_ENCRYPT] == 1
    (rotated,) = [entry for entry in vault.log() if entry.event == "key.rotate"]
    assert rotated.payload["versions"] == [2]
    assert vault.expire()[EndAction.RE_ENCRYPT] == 0
    assert vault.mem(OWNER).get(memory).text == "the zebra stays"
    assert vault.clean()
    vault.later(91)
    assert vault.expire()[EndAction.RE_ENCRYPT] == 1
    assert len([entry for entry in vault.log() if entry.event == "key.rotate"]) == 2
    vault.close()


def test_a_row_that_somebody_altered_is_not_vouched_for_and_keeps_no_other(vault: RetentionVault) -> None:
    altered, whole = vault.write("paid first", "paid second", purpose=Purpose.PAYMENT)
    vault.sql("UPDATE memory SET owner = 'another' WHERE memory_id = ?", altered)
    vault.later(91)
    done = vault.expire()
    assert (done[EndAction.ARCHIVE], done.left) == (1, 1)
    classes = {(str(one), str(of)) for one, of in vault.sql("SELECT memory_id, retention FROM memory")}
    assert classes == {(altered, "paid"), (whole, "record")}
    assert not vault.clean()


def test_somebody_is_asked_once_in_a_term(vault: RetentionVault) -> None:
    asked = vault.write("a contract", "another", purpose=Purpose.LEGAL)
    vault.later(91)
    assert vault.expire()[EndAction.ASK] == 2
    assert vault.last().event == "memory.review"
    assert vault.last().payload["reason"] == "term-over"
    assert vault.expire()[EndAction.ASK] == 0
    assert same(vault.rows(), asked)
    assert vault.count("review", "reason = 'term-over'") == 2


def test_a_class_that_the_rules_do_not_know_ends_nothing_and_is_counted(
    template: Path, tmp_path: Path
) -> None:
    before = RetentionVault(template, tmp_path / "vault")
    (memory,) = before.write("the zebra stays")
    before.close()
    renamed = RULES.replace("id: note", "id: memo").replace("default: note", "default: memo")
    after = RetentionVault(before.path, tmp_path / "after", renamed)
    after.later(3_650)
    done = after.expire()
    assert (done[END], done.unknown) == (0, 1)
    assert after.rows() == [memory]
    after.close()


def test_another_tenants_memories_are_not_touched(vault: RetentionVault) -> None:
    vault.write("the zebra goes")
    vault.later(91)
    assert Expiry(vault.vault.parts).run(BANK, now=vault.clock.now - timedelta(days=80))[END] == 0
    assert len(vault.rows()) == 1


def test_a_run_whose_lease_is_lost_ends_nothing(vault: RetentionVault) -> None:
    kept = vault.write("the zebra stays")
    vault.later(91)

    def lost(_connection: Connection, _leaves: Sequence[Leaf]) -> None:
        raise LeaseLostError("another has the lease")

    before = vault.log()
    with pytest.raises(LeaseLostError):
        Expiry(vault.vault.parts).run(CLINIC, fence=lost)
    assert vault.rows() == list(kept)
    assert vault.log() == before


def test_a_run_that_is_told_to_stop_leaves_the_rest_due(vault: RetentionVault) -> None:
    vault.write(*(f"number {number}" for number in range(100)))
    vault.later(91)
    turns = iter([True, True])  # one class has nothing due; the next begins a batch
    done = Expiry(vault.vault.parts).run(CLINIC, may_go_on=lambda: next(turns, False))
    assert not done.complete
    assert 0 < done[END] < 100
    assert len(vault.rows()) == 100 - done[END]
    assert vault.clean()
    assert vault.expire()[END] == 100 - done[END]
    assert vault.clean()


@pytest.mark.parametrize("seconds", [1e-9, 1e3])
def test_batches_are_as_large_as_fits_the_time_that_writers_may_wait(seconds: float) -> None:
    pace = Pace(seconds)
    for _ in range(20):
        pace.begin(None, ())  # type: ignore[arg-type]  # looks at neither
        pace.end(pace.size)
    assert pace.size == (64 if seconds < 1 else 500)


def test_a_shredded_subjects_memories_still_end(vault: RetentionVault) -> None:
    (memory,) = vault.write("the zebra goes")
    (subject,) = {row[0] for row in vault.sql("SELECT subject_id FROM memory_subject")}
    vault.vault.parts.keyring.tenant(CLINIC).destroy(str(subject))
    with pytest.raises(KeyDestroyedError):
        vault.mem(OWNER).get(memory)
    vault.later(91)
    assert vault.expire()[END] == 1
    assert vault.rows() == []


def test_memories_that_wait_for_their_vector_are_forgotten(vault: RetentionVault) -> None:
    vault.write("the zebra goes")
    assert vault.vault.wait(10)
    vault.later(91)
    vault.expire()
    assert vault.count("embedding") == 0
    assert vault.vault.parts.embedding.backlog == 0
    assert vault.vault.parts.indexes.size(CLINIC) == 0
