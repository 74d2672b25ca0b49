"""Feedback: what a verdict does to a memory, to what was derived from it, and to its echo."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.errors import DeniedError
from policies.model import Action, Purpose
from tests.simulators.clinic import (
    AUDITOR,
    CLINIC,
    OTHER_OWNER,
    OWNER,
    STRANGER,
    Clinic,
)
from tests.simulators.fakes import START
from tests.vault.erased_people import erase
from vault.errors import ConflictError, IdentifierInvalidError, InputInvalidError, NotFoundError
from vault.feedback import Rating
from vault.grant import EVERY_MEMORY, authorise
from vault.ledger_mirror import known_gone, mirror
from vault.memos import MemOS
from vault.model import Chat, EdgeKind, SpeakerRole, TrustState, Turn
from vault.storage.removal import TombstoneKind

DOSE = "She takes 20 mg of the red tablets."
OTHER = "The garden was full of yellow roses."
ABSENT = "mem_" + "a" * 26


def _say(memory: MemOS, *texts: str, at: datetime | None = START, who: str = "patient 17") -> tuple[str, ...]:
    chat = Chat(tuple(Turn("Ann", text, at=at) for text in texts))
    return memory.extract(chat, subject=who).memory_ids


def _derive(clinic: Clinic, edges: Sequence[tuple[str, str]]) -> None:
    parts = clinic.vault.parts
    grant = authorise(parts.policy, OWNER, Action.ORGANIZE, Purpose.TREATMENT, over=EVERY_MEMORY)
    unit = parts.store.write(grant)
    for derived, source in edges:
        unit.add_edge(derived, EdgeKind.DERIVED_FROM, source)
    links = [[EdgeKind.DERIVED_FROM.value, derived, source] for derived, source in edges]
    unit.entry(parts.journal.allowed(grant, {"links": links, "edges": len(set(edges))}))
    unit.commit()


def _trust(memory: MemOS, ids: Sequence[str]) -> list[TrustState]:
    return [memory.get(one).trust for one in ids]


def test_what_a_user_confirms_is_verified(clinic: Clinic) -> None:
    memory = clinic.mem(OWNER)
    chat = Chat((Turn("Bot", DOSE, SpeakerRole.ASSISTANT),))
    (one,) = memory.extract(chat, subject="patient 17").memory_ids
    assert _trust(memory, [one]) == [TrustState.CANDIDATE]
    verdict = memory.feedback.confirm(one)
    assert _trust(memory, [one]) == [TrustState.VERIFIED]
    entry = clinic.log()[verdict.receipt.leaf_index]
    assert (entry.event, entry.payload["reason"]) == ("memory.organize", "user-confirms")
    assert [hit.memory.id for hit in memory.retrieve("red tablets", verified=True).hits] == [one]


def test_a_correction_keeps_history_and_disputes_what_was_derived(clinic: Clinic) -> None:
    memory = clinic.mem(OWNER)
    one, summary, plan, free = _say(memory, DOSE, "A summary of tablets.", "A plan of tablets.", OTHER)
    _derive(clinic, [(summary, one), (plan, summary), (one, plan)])  # a cycle
    verdict = memory.feedback.correct(one, "She takes 10 mg of the red tablets.")
    assert sorted(verdict.disputed) == sorted([summary, plan])
    assert verdict.complete
    corrected = memory.get(one)
    assert (corrected.version, corrected.trust) == (2, TrustState.VERIFIED)
    assert _trust(memory, [summary, plan, free]) == [
        TrustState.DISPUTED,
        TrustState.DISPUTED,
        TrustState.VERIFIED,
    ]
    assert clinic.count("memory", f"memory_id = '{one}'") == 2
    reasons = {str(row[0]) for row in clinic.sql("SELECT reason FROM review")}
    assert reasons == {"derived"}
    assert clinic.log()[verdict.receipt.leaf_index].payload["reason"] == "user-corrects"
    assert clinic.audit().verify().passed


def test_what_was_retracted_is_found_no_more_and_is_as_one_that_never_was(clinic: Clinic) -> None:
    memory = clinic.mem(OWNER)
    one, other = _say(memory, DOSE, OTHER)
    memory.feedback.retract(one)
    assert one not in [hit.memory.id for hit in memory.retrieve("red tablets").hits]
    for again in (memory.feedback.confirm, memory.feedback.retract):
        with pytest.raises(NotFoundError, match="there is no such memory here"):
            again(one)
    with pytest.raises(NotFoundError, match="there is no such memory here"):
        memory.feedback.correct(one, "Anything else at all.")
    with pytest.raises(NotFoundError, match="there is no such memory here"):
        memory.update(one, "Anything else at all.")
    assert memory.get(other).trust is TrustState.VERIFIED


def test_feedback_on_what_is_not_there_is_one_error(clinic: Clinic) -> None:
    memory = clinic.mem(OWNER)
    (one,) = _say(memory, DOSE)
    for of, memory_id in ((memory, ABSENT), (clinic.mem(STRANGER), one), (clinic.mem(OTHER_OWNER), one)):
        for call in (
            of.feedback.confirm,
            of.feedback.retract,
            lambda given, of=of: of.feedback.correct(given, OTHER),
            lambda given, of=of: of.feedback.rate(given, Rating.USEFUL),
        ):
            with pytest.raises(NotFoundError, match="there is no such memory here"):
                call(memory_id)
    assert memory.get(one).version == 1
    with pytest.raises(IdentifierInvalidError):
        memory.feedback.confirm("mem_../x")


def test_who_may_not_update_may_not_correct(clinic: Clinic) -> None:
    (one,) = _say(clinic.mem(OWNER), DOSE)
    before = clinic.count("memory")
    with pytest.raises(DeniedError):
        clinic.mem(AUDITOR, Purpose.AUDIT).feedback.retract(one)
    assert clinic.last().decision == "denied"
    assert clinic.count("memory") == before


def test_feedback_on_what_was_erased_is_the_same_error(clinic: Clinic) -> None:
    memory = clinic.mem(OWNER)
    (one,) = _say(memory, DOSE, who="anna")
    erase(clinic, "anna")
    for call in (memory.feedback.confirm, memory.feedback.retract):
        with pytest.raises(NotFoundError, match="there is no such memory here"):
            call(one)
    with pytest.raises(NotFoundError, match="there is no such memory here"):
        memory.feedback.correct(one, OTHER)


def test_of_contradictory_corrections_at_once_one_stands(clinic: Clinic) -> None:
    memory = clinic.mem(OWNER)
    (one,) = _say(memory, DOSE)
    texts = [f"She takes {number} mg of the red tablets." for number in range(30, 38)]

    def correct(text: str) -> str | None:
        try:
            clinic.mem(OWNER).feedback.correct(one, text, expected_version=1)
        except ConflictError:
            return None
        return text

    with ThreadPoolExecutor(8) as pool:
        stood = [text for text in pool.map(correct, texts) if text is not None]
    assert [memory.get(one).text] == stood
    assert memory.get(one).version == 2
    assert clinic.audit().verify().passed


def test_a_grant_to_update_distrusts_and_never_verifies(clinic: Clinic) -> None:
    (one,) = _say(clinic.mem(OWNER), DOSE)
    parts = clinic.vault.parts
    grants = {
        action: authorise(parts.policy, OWNER, action, Purpose.TREATMENT, over=EVERY_MEMORY)
        for action in (Action.UPDATE, Action.ORGANIZE)
    }
    with pytest.raises(DeniedError):
        parts.store.write(grants[Action.UPDATE]).distrust(one, 1, TrustState.VERIFIED)
    with pytest.raises(DeniedError):
        parts.store.write(grants[Action.UPDATE]).set_trust(one, 1, TrustState.REVOKED)
    with pytest.raises(DeniedError):
        parts.store.write(grants[Action.ORGANIZE]).distrust(one, 1, TrustState.REVOKED)


def test_a_useless_memory_comes_up_for_review(clinic: Clinic) -> None:
    memory = clinic.mem(OWNER)
    (one,) = _say(memory, DOSE)
    memory.feedback.rate(one, Rating.USEFUL)
    assert clinic.count("review") == 0
    memory.feedback.rate(one, Rating.USELESS)
    assert clinic.sql("SELECT reason FROM review") == [("rated-useless",)]
    with pytest.raises(InputInvalidError):
        memory.feedback.rate(one, "useless")  # type: ignore[arg-type]


def test_a_correction_that_was_overtaken_is_refused(clinic: Clinic) -> None:
    memory = clinic.mem(OWNER)
    (one,) = _say(memory, DOSE)
    memory.feedback.correct(one, "She takes 10 mg of the red tablets.", expected_version=1)
    with pytest.raises(ConflictError):
        memory.feedback.correct(one, "She takes 40 mg of the red tablets.", expected_version=1)
    assert "10 mg" in memory.get(one).text


@pytest.mark.parametrize("verdict", ["correct", "retract"])
def test_an_old_source_does_not_bring_it_back(clinic: Clinic, verdict: str) -> None:
    memory = clinic.mem(OWNER)
    (one,) = _say(memory, f"Hello there again. {DOSE}")
    if verdict == "correct":
        memory.feedback.correct(one, "Hello there again. She takes 10 mg of the red tablets.")
    else:
        memory.feedback.retract(one)
    old = START - timedelta(days=30)
    echo, undated, unrelated = (
        *_say(memory, f"By the way, {DOSE.lower()} It rained all day.", at=old),
        *_say(memory, DOSE.upper(), at=None),
        *_say(memory, OTHER, at=old),
    )
    newer, other_person = (
        *_say(memory, DOSE, at=START + timedelta(days=300)),
        *_say(memory, DOSE, at=old, who="patient 18"),
    )
    assert _trust(memory, [echo, undated]) == [TrustState.DISPUTED] * 2
    assert _trust(memory, [unrelated, newer, other_person]) == [TrustState.VERIFIED] * 3
    kept = _say(memory, "Hello there again.", at=old)
    assert _trust(memory, kept) == [TrustState.VERIFIED if verdict == "correct" else TrustState.DISPUTED]
    assert clinic.audit().verify().passed
    memory.feedback.confirm(echo)
    assert _trust(memory, [echo]) == [TrustState.VERIFIED]


def test_an_echo_is_kept_as_a_digest_under_the_tenants_key(clinic: Clinic) -> None:
    memory = clinic.mem(OWNER)
    (one,) = _say(memory, DOSE)
    memory.feedback.retract(one)
    ((kind, digest),) = clinic.sql("SELECT kind, digest FROM tombstone")
    assert kind == "echo"
    assert isinstance(digest, bytes)
    assert len(digest) == 32
    assert clinic.count("memory", f"memory_id = '{one}'") == 1
    parts = clinic.vault.parts
    mirror(parts, CLINIC)  # a lost disk's vault knows it, too
    assert known_gone(parts.ledger.rows(CLINIC)) == {digest: TombstoneKind.ECHO}


def test_what_one_owner_took_back_shows_in_nothing_that_another_writes(clinic: Clinic) -> None:
    memory, others = clinic.mem(OWNER), clinic.mem(OTHER_OWNER)
    (one,) = _say(memory, DOSE)
    memory.feedback.retract(one)
    guessed = _say(others, DOSE, at=None)
    assert _trust(others, guessed) == [TrustState.VERIFIED]
    assert _trust(memory, _say(memory, DOSE, at=None)) == [TrustState.DISPUTED]


def test_what_hangs_on_it_out_of_reach_is_neither_changed_nor_told_of(clinic: Clinic) -> None:
    memory, others = clinic.mem(OWNER), clinic.mem(OTHER_OWNER)
    (one,) = _say(memory, DOSE)
    (theirs,) = _say(others, "A summary of tablets.")
    _derive(clinic, [(theirs, one)])
    verdict = memory.feedback.retract(one)
    assert verdict.disputed == ()
    assert theirs not in str(clinic.log()[verdict.receipt.leaf_index].payload)
    assert others.get(theirs).trust is TrustState.VERIFIED


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edges=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12).map(
        lambda found: [pair for pair in found if pair[0] != pair[1]]
    ),
    start=st.integers(0, 5),
)
def test_a_cascade_disputes_just_what_was_derived(
    clinic: Clinic, edges: list[tuple[int, int]], start: int
) -> None:
    memory = clinic.mem(OWNER)
    ids = _say(
        memory, *(f"Note number {place} of this day." for place in range(6)), at=START + timedelta(days=400)
    )
    if edges:
        _derive(clinic, [(ids[derived], ids[source]) for derived, source in edges])
    expected, fresh = set[int](), {start}
    while fresh:
        fresh = {derived for derived, source in edges if source in fresh} - expected - {start}
        expected |= fresh
    verdict = memory.feedback.retract(ids[start])
    assert sorted(verdict.disputed) == sorted(ids[place] for place in expected)
    for place, one in enumerate(ids):
        wanted = TrustState.DISPUTED if place in expected else TrustState.VERIFIED
        assert memory.get(one).trust is (TrustState.REVOKED if place == start else wanted)
