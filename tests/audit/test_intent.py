"""Intents are paired with outcomes; what is left over is told."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from audit.canonical import JsonValue
from audit.event import EventType, Header, Outcome, Verdict
from audit.intent import Intent, IntentLedger, intent_payload, outcome_payload, unmatched_intents
from audit.reader import verify_stored
from audit.report import Check
from tests.audit.siem.conftest import POLICY, TIME
from tests.simulators.small_deployment import SmallDeployment, draft

Entry = tuple[int, Header, Mapping[str, JsonValue] | None]


def header(event: EventType, outcome: Outcome = Outcome.OK) -> Header:
    return Header(
        action="intend",
        commitment="5f" * 32,
        decision=Verdict.ALLOWED,
        event=event,
        outcome=outcome,
        policy=POLICY,
        principal="memvault",
        purpose=None,
        resource="audit-log",
        tenant="clinic-a",
        time=TIME,
    )


def intended(index: int, kind: str = "audit.export") -> Entry:
    return index, header(EventType.EFFECT_INTENT), intent_payload(kind, {"count": 1})


def told(index: int, intent: int, kind: str = "audit.export", outcome: Outcome = Outcome.OK) -> Entry:
    about = Intent(intent, kind, None, "memvault", TIME)
    return index, header(EventType.EFFECT_OUTCOME, outcome), outcome_payload(about, {})


def strays(entries: list[Entry]) -> list[tuple[int, int | None]]:
    ledger = IntentLedger()
    return [(stray.index, stray.intent) for entry in entries for stray in ledger.observe(*entry)]


def left(entries: list[Entry]) -> list[int]:
    return [intent.index for intent in unmatched_intents(entries)]


def test_an_intent_with_its_outcome_is_no_more_open_whatever_it_came_to() -> None:
    for outcome in (Outcome.OK, Outcome.FAILED):
        assert left([intended(3), intended(4), told(5, 3, outcome=outcome)]) == [4]


def test_an_open_intent_says_what_was_about_to_be_done_and_by_whom() -> None:
    assert unmatched_intents([intended(3)]) == (Intent(3, "audit.export", "audit-log", "memvault", TIME),)


def test_an_outcome_of_nothing_of_another_kind_or_twice_is_a_stray_and_closes_nothing() -> None:
    other = told(4, 3, "key.create")
    assert strays([intended(3), other]) == [(4, 3)]
    assert left([intended(3), other]) == [3]
    assert strays([told(4, 3)]) == [(4, 3)]
    assert strays([intended(3), told(4, 3), told(5, 3)]) == [(5, 3)]
    nameless: Entry = (4, header(EventType.EFFECT_OUTCOME), {"kind": "audit.export"})
    for intent in (True, "3", None):
        odd: Entry = (4, header(EventType.EFFECT_OUTCOME), {"kind": "audit.export", "intent": intent})
        assert [index for index, _ in strays([intended(1), odd])] == [4]
    assert strays([intended(3), nameless]) == [(4, None)]


def test_an_intent_that_was_denied_was_never_begun() -> None:
    denied: Entry = (3, header(EventType.EFFECT_INTENT, Outcome.DENIED), None)
    assert left([denied]) == []


def test_an_erased_intent_is_matched_by_its_index_and_an_erased_outcome_matches_none() -> None:
    erased: Entry = (3, header(EventType.EFFECT_INTENT), None)
    assert left([erased, told(4, 3)]) == []
    gone: Entry = (4, header(EventType.EFFECT_OUTCOME), None)
    assert left([intended(3), gone]) == [3]
    assert strays([intended(3), gone]) == []
    odd: Entry = (3, header(EventType.EFFECT_INTENT), {"kind": 7})
    assert unmatched_intents([odd])[0].kind == ""


def test_a_reviewed_outcome_says_so() -> None:
    about = Intent(3, "key.create", None, "memvault", TIME)
    assert outcome_payload(about, {}, reviewed=True) == {
        "intent": 3,
        "kind": "key.create",
        "reviewed": True,
    }


@given(st.lists(st.sampled_from(["intend", "conclude"]), max_size=40), st.randoms(use_true_random=False))
def test_intents_and_outcomes_balance_in_any_order(steps: list[str], chance: object) -> None:
    entries: list[Entry] = []
    open_: list[int] = []
    for index, step in enumerate(steps):
        if step == "intend":
            entries.append(intended(index))
            open_.append(index)
        elif open_:
            entries.append(told(index, open_.pop(chance.randrange(len(open_)))))  # type: ignore[attr-defined]  # hypothesis' Random
        else:
            entries.append((index, header(EventType.MEMORY_READ), {}))
    assert left(entries) == open_
    assert strays(entries) == []


def test_a_verification_warns_of_what_nobody_knows_and_passes(lived: SmallDeployment) -> None:
    def append(event: EventType, payload: dict[str, JsonValue], outcome: Outcome = Outcome.OK) -> int:
        entry = draft(event, time=lived.now, action="intend", outcome=outcome, payload=payload)
        return lived.log.append(lived.connection, [entry])[0].index

    matched = append(EventType.EFFECT_INTENT, {"kind": "key.create"})
    append(EventType.EFFECT_OUTCOME, {"intent": matched, "kind": "key.create"}, Outcome.FAILED)
    left_open = append(EventType.EFFECT_INTENT, {"kind": "key.create"})
    stray = append(EventType.EFFECT_OUTCOME, {"intent": matched, "kind": "key.create"})
    lived.sign()
    report = verify_stored(lived.connection, lived.key)
    assert report.passed, report.findings
    assert [(one.index, one.check) for one in report.warnings] == [
        (stray, Check.INTENT),
        (left_open, Check.INTENT),
    ]
