"""Removing memories for good: what goes, what stays, what a hold forbids, and what comes back refused."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.event import EventType
from policies.model import Action, Purpose
from tests.simulators.clinic import CLINIC, OWNER, Clinic
from vault.errors import ErasedError, HeldError, InputInvalidError, KeyAccessError
from vault.grant import EVERY_MEMORY, authorise
from vault.model import SCREENED_ISSUER, Chat, Replacement, Screened, Span, Turn
from vault.row_check import ROW_GONE
from vault.storage.group_commit import WriteSet
from vault.storage.removal import MAX_REMOVED, Removal, Tombstone, held_memories
from vault.storage.schema import HOLD, HOLD_TARGET
from vault.tombstones import Tombstones, normal_fact


def remove(
    clinic: Clinic, *memory_ids: str, subjects: tuple[str, ...] = (), more: tuple[Tombstone, ...] = ()
) -> Removal:
    """Remove as an operation does it: rows, tombstones and the entry in one transaction, then the index."""
    parts = clinic.vault.parts
    tombstones = parts.sealers.tombstones(CLINIC)
    removal = Removal(
        CLINIC, memory_ids, [*(tombstones.memory(one) for one in memory_ids), *more], 1, subjects=subjects
    )
    draft = parts.journal.event(EventType.MEMORY_EXPIRE, CLINIC, {"gone": list(memory_ids)})
    parts.store.submit(WriteSet(drafts=[draft], changes=[removal.change]))
    parts.indexes.remove(CLINIC, memory_ids)
    parts.embedding.forget(CLINIC, memory_ids)
    return removal


def place_hold(clinic: Clinic, kind: str, target: str, hold_id: str = "hld_a") -> None:
    """Put a hold's rows there, as placing one does."""
    hold: dict[str, object] = {
        "tenant_id": CLINIC, "hold_id": hold_id, "scope": kind, "matter": None, "reason": "litigation",
        "placed_by": "officer", "placed": 1, "review": 2, "asked_by": None, "asked": None,
        "released_by": None, "released": None, "leaf_index": 0,
    }  # fmt: skip
    target_row: dict[str, object] = {
        "tenant_id": CLINIC,
        "hold_id": hold_id,
        "kind": kind,
        "target_id": target,
        "leaf_index": 0,
    }
    clinic.vault.parts.store.submit(WriteSet(rows=[(HOLD, hold), (HOLD_TARGET, target_row)]))


def subject_of(clinic: Clinic, memory_id: str) -> str:
    return str(clinic.sql("SELECT subject_id FROM memory_subject WHERE memory_id = ?", memory_id)[0][0])


def test_a_removed_memory_leaves_no_row_and_no_trace_in_the_index_and_the_log_agrees(clinic: Clinic) -> None:
    owner = clinic.mem(OWNER)
    stays = owner.extract("the zebra stays", subject="maria")
    assert clinic.vault.wait(10)
    before = clinic.state()
    goes = owner.extract("the giraffe goes", subject="maria")
    owner.update(goes.memory_ids[0], "the giraffe goes now")
    assert clinic.vault.wait(10)
    removal = remove(clinic, *goes.memory_ids)
    assert (removal.removed.memories, removal.removed.episodes, removal.removed.embeddings) == (2, 1, 1)
    assert clinic.state() == before
    found = [hit.memory.id for hit in owner.retrieve("giraffe zebra goes stays").hits]
    assert set(found) == set(stays.memory_ids)
    verified = clinic.audit().verify()
    assert verified.passed
    assert not verified.row_findings


def test_an_episode_stays_while_one_of_its_memories_does(clinic: Clinic) -> None:
    said = (Turn("Ana", "My knee hurts."), Turn("Ana", "It is the left one."))
    first, *rest = clinic.mem(OWNER).extract(Chat(said), subject="ana").memory_ids
    assert rest
    assert remove(clinic, first).removed.episodes == 0
    assert clinic.audit().verify().passed
    assert remove(clinic, *rest).removed.episodes == 1
    assert clinic.audit().verify().passed


def test_a_row_that_comes_back_after_its_removal_is_a_finding(clinic: Clinic) -> None:
    receipt = clinic.mem(OWNER).extract("the giraffe goes", subject="maria")
    row = clinic.sql("SELECT * FROM memory WHERE memory_id = ?", receipt.memory_ids[0])[0]
    remove(clinic, *receipt.memory_ids)
    clinic.sql(f"INSERT INTO memory VALUES ({', '.join('?' * len(row))})", *row)  # noqa: S608
    found = clinic.audit().verify()
    assert not found.passed
    assert ROW_GONE in {one.check for one in found.row_findings}


@pytest.mark.parametrize("kind", ["memory", "subject", "tenant"])
def test_a_hold_stops_the_whole_removal_and_nothing_of_it_happens(clinic: Clinic, kind: str) -> None:
    owner = clinic.mem(OWNER)
    held = owner.extract("kept for the court", subject="maria").memory_ids[0]
    free = owner.extract("somebody else's", subject="john").memory_ids[0]
    place_hold(clinic, kind, {"memory": held, "subject": subject_of(clinic, held), "tenant": CLINIC}[kind])
    assert clinic.vault.wait(10)
    before, entries = clinic.state(), clinic.sql("SELECT count(*) FROM audit_leaf")
    with pytest.raises(HeldError) as caught:
        remove(clinic, free, held)
    assert held in caught.value.memories
    assert caught.value.holds == ("hld_a",)
    assert clinic.state() == before
    assert clinic.sql("SELECT count(*) FROM audit_leaf") == entries, "no entry tells of what did not happen"
    assert clinic.sql("SELECT count(*) FROM tombstone") == [(0,)]
    if kind != "tenant":
        assert remove(clinic, free).removed.memories == 1


def test_what_is_written_about_a_held_subject_later_is_held_too(clinic: Clinic) -> None:
    owner = clinic.mem(OWNER)
    first = owner.extract("one", subject="maria").memory_ids[0]
    place_hold(clinic, "subject", subject_of(clinic, first))
    joint = owner.extract("two", subject=["maria", "john"]).memory_ids[0]
    with pytest.raises(HeldError):
        remove(clinic, joint)


def test_a_released_hold_holds_nothing_and_only_two_people_release_one(clinic: Clinic) -> None:
    held = clinic.mem(OWNER).extract("kept", subject="maria").memory_ids[0]
    place_hold(clinic, "memory", held)
    ask = "UPDATE hold SET asked_by = 'officer', asked = 3"
    for one_person in (
        "UPDATE hold SET released_by = 'second', released = 4",
        f"{ask}, released_by = 'officer', released = 4",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="two people"):
            clinic.sql(one_person)
    for way in ("DELETE FROM hold", "DELETE FROM hold_target", "UPDATE hold_target SET target_id = 'x'"):
        with pytest.raises(sqlite3.IntegrityError, match="vault:"):
            clinic.sql(way)
    clinic.sql("UPDATE hold SET asked_by = 'another', asked = 3, released_by = 'second', released = 4")
    with clinic.vault.parts.store.log_connection(CLINIC) as connection:
        assert held_memories(connection, CLINIC, [held]) == []
    assert remove(clinic, held).removed.memories == 1


def test_tombstones_are_never_changed_and_never_removed(clinic: Clinic) -> None:
    remove(clinic, clinic.mem(OWNER).extract("one", subject="maria").memory_ids[0])
    for way in (
        "DELETE FROM tombstone",
        "UPDATE tombstone SET kind = 'x'",
        "INSERT OR REPLACE INTO tombstone SELECT tenant_id, digest, 'fact', recorded, leaf_index FROM tombstone",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="tombstones"):
            clinic.sql(way)
    assert clinic.sql("SELECT kind FROM tombstone") == [("memory",)]


def test_a_removal_twice_is_a_removal_once(clinic: Clinic) -> None:
    gone = clinic.mem(OWNER).extract("one", subject="maria").memory_ids[0]
    remove(clinic, gone)
    assert remove(clinic, gone).removed.memories == 0
    assert clinic.sql("SELECT count(*) FROM tombstone") == [(1,)]


def test_a_removal_is_bounded() -> None:
    with pytest.raises(InputInvalidError, match=f"at most {MAX_REMOVED}"):
        Removal(CLINIC, ["mem_a"] * (MAX_REMOVED + 1), [], 0)


def test_an_erased_fact_is_refused_in_other_case_and_punctuation_and_the_refusal_is_an_entry(
    clinic: Clinic,
) -> None:
    owner = clinic.mem(OWNER)
    gone = owner.extract("The patient's LEFT knee, hurts!", subject="maria")
    parts = clinic.vault.parts
    grant = authorise(parts.policy, OWNER, Action.READ, Purpose.TREATMENT, over=EVERY_MEMORY)
    with parts.store.read(grant) as unit:
        stored = unit.memories(gone.memory_ids)[gone.memory_ids[0]]
    sealers = parts.sealers
    text = sealers.screened_again(CLINIC, stored).text
    facts = tuple(sealers.tombstones(CLINIC).facts(stored.subjects, text))
    remove(clinic, *gone.memory_ids, more=facts)
    assert clinic.vault.wait(10)
    before = clinic.state()
    for again in (
        "the patient's left knee hurts",
        "THE PATIENT’S \N{FULLWIDTH LATIN CAPITAL LETTER L}eft  knee - hurts",
    ):
        with pytest.raises(ErasedError, match="erased fact"):
            owner.extract(again, subject="maria")
    assert clinic.state() == before
    assert [(entry.event, entry.outcome) for entry in clinic.log()[-2:]] == [("memory.write", "refused")] * 2
    assert owner.extract("the patient's left knee hurts", subject="john").memory_ids, "another person's own"
    other = owner.extract("something else", subject="maria").memory_ids[0]
    with pytest.raises(ErasedError):
        owner.update(other, "The patient's left knee hurts")


def test_a_subject_that_was_erased_is_not_written_about_again(clinic: Clinic) -> None:
    owner = clinic.mem(OWNER)
    gone = owner.extract("one", subject="maria").memory_ids[0]
    subject = subject_of(clinic, gone)
    buried = clinic.vault.parts.sealers.tombstones(CLINIC).subject(subject)
    removal = remove(clinic, gone, subjects=(subject,), more=(buried,))
    assert removal.removed.subjects == 1
    with pytest.raises((ErasedError, KeyAccessError)):
        owner.extract("two", subject="maria")
    assert clinic.sql("SELECT count(*) FROM memory_subject WHERE subject_id = ?", subject) == [(0,)]


KEY = bytes(32)


def screened(text: str, *replaced: tuple[str, str | None]) -> Screened:
    """A screened text in which each token stands for an original, or for none."""
    replacements = tuple(
        Replacement("PERSON", Span(at, at + len(token)), Span(at, at + len(token)), token, original)
        for token, original in replaced
        for at in (text.index(token),)
    )
    return Screened(text, replacements, "test", SCREENED_ISSUER)


def test_a_fact_with_a_name_is_known_under_every_subject_and_one_without_under_its_own() -> None:
    tombstones = Tombstones(KEY)
    named = {one.digest for one in tombstones.facts(["sub_a"], screened("[P-1] fell", ("[P-1]", "Anna")))}
    plain = {one.digest for one in tombstones.facts(["sub_a"], screened("Anna fell"))}
    elsewhere = {
        one.digest for one in tombstones.facts(["sub_b"], screened("[P-9] FELL.", ("[P-9]", "anna")))
    }
    assert (len(named), len(plain)) == (2, 1)
    assert plain < named, "a token stands for what it hides"
    assert len(named & elsewhere) == 1
    redacted = list(tombstones.facts(["sub_a"], screened("[P-1] fell", ("[P-1]", None))))
    assert len(redacted) == 1, "what nobody knows any more names nobody"
    assert list(tombstones.facts(["sub_a"], screened("?! …"))) == []


def test_digests_need_the_key_and_tell_kinds_apart() -> None:
    one, other = Tombstones(KEY), Tombstones(b"k" * 32)
    made = {one.subject("x"), one.memory("x"), other.subject("x"), other.memory("x")}
    assert len({made_one.digest for made_one in made}) == 4


@given(st.text(max_size=40))
def test_the_normal_form_of_a_fact_is_its_own_and_knows_no_case(text: str) -> None:
    normal = normal_fact(text)
    assert normal_fact(normal) == normal
    assert normal_fact(f" {text} .") == normal
    assert normal_fact(text.swapcase()) == normal_fact(text.swapcase().swapcase()) or not text.isascii()
    assert not text.isascii() or normal_fact(text.upper()) == normal
