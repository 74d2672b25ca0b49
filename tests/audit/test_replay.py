"""Invariants of entries, replayed in order."""

from collections.abc import Iterable
from datetime import timedelta

import pytest

from audit.canonical import JsonValue
from audit.event import EntryDraft, EventType, Outcome, Verdict, encode_entry, parse_header
from audit.replay import CLOCK_SKEW, Breach, Invariant, Replay
from tests.simulators.small_deployment import POLICY, START, draft

LOAD = draft(EventType.POLICY_LOAD)
OTHER_POLICY = "sha256:" + "0b" * 32


def breaches(drafts: Iterable[EntryDraft], replay: Replay | None = None) -> list[Invariant]:
    return [breach.invariant for breach in observe(drafts, replay or Replay("clinic-a"))]


def observe(drafts: Iterable[EntryDraft], replay: Replay) -> list[Breach]:
    found: list[Breach] = []
    for made in drafts:
        payload: JsonValue = dict(made.payload)
        found += replay.observe(parse_header(encode_entry(made, bytes(32)).header), payload)
    return found


def read(resource: str | None = None, *memories: str, event: EventType = EventType.MEMORY_READ) -> EntryDraft:
    return draft(event, action="read", resource=resource, payload={"memories": list(memories)})


def test_an_honest_history_breaches_nothing() -> None:
    drafts = [
        LOAD,
        draft(resource="epi_aaaaaaaa", payload={"written": ["mem_aaaaaaaa", "mem_bbbbbbbb"]}),
        read("mem_aaaaaaaa"),
        read("epi_aaaaaaaa"),
        read("clinic-a"),
        read(None, "mem_aaaaaaaa", "mem_bbbbbbbb", event=EventType.MEMORY_SEARCH),
        draft(EventType.MEMORY_UPDATE, resource="mem_aaaaaaaa", payload={"written": ["mem_cccccccc"]}),
        read("mem_cccccccc"),
        draft(EventType.MEMORY_ORGANIZE, payload={"memories": ["mem_cccccccc"], "written": ["the_aaaaaaaa"]}),
        read("the_aaaaaaaa"),
    ]
    assert breaches(drafts) == []


def test_an_entry_of_another_tenant_is_a_breach() -> None:
    assert breaches([LOAD, draft(tenant="clinic-b")]) == [Invariant.TENANT]


def test_times_may_run_back_a_little_and_no_more() -> None:
    earlier = [draft(time=START - CLOCK_SKEW), draft(time=START), draft(time=START - CLOCK_SKEW * 2)]
    assert breaches([LOAD, *earlier]) == [Invariant.TIME_ORDER]


def test_no_time_may_lie_in_the_future_of_the_verifier() -> None:
    late = draft(time=START + CLOCK_SKEW + timedelta(seconds=1))
    assert breaches([LOAD, late], Replay("clinic-a", now=START)) == [Invariant.TIME_PAST]
    assert breaches([LOAD, late], Replay("clinic-a")) == []


def test_a_policy_must_have_been_loaded_before() -> None:
    assert breaches([draft(), LOAD, draft()]) == [Invariant.POLICY_KNOWN]
    assert breaches([LOAD, draft(policy=OTHER_POLICY)]) == [Invariant.POLICY_KNOWN]


def test_a_policy_that_failed_to_load_is_not_known() -> None:
    failed = draft(EventType.POLICY_LOAD, outcome=Outcome.FAILED)
    assert breaches([failed, draft()]) == [Invariant.POLICY_KNOWN] * 2


def test_a_policy_that_the_system_log_loaded_before_is_known() -> None:
    assert breaches([draft()], Replay("clinic-a", inherited={POLICY: START})) == []
    later = {POLICY: START + CLOCK_SKEW * 2}
    assert breaches([draft()], Replay("clinic-a", inherited=later)) == [Invariant.POLICY_KNOWN]


@pytest.mark.parametrize(
    ("decision", "outcome"), [(Verdict.DENIED, Outcome.OK), (Verdict.ALLOWED, Outcome.DENIED)]
)
def test_a_denial_that_was_carried_out_or_a_permission_that_was_denied_is_a_breach(
    decision: Verdict, outcome: Outcome
) -> None:
    assert breaches([LOAD, draft(decision=decision, outcome=outcome)]) == [Invariant.DECISION_OUTCOME]


@pytest.mark.parametrize("event", [EventType.MEMORY_READ, EventType.MEMORY_REVEAL, EventType.MEMORY_UPDATE])
def test_a_memory_must_have_been_written_before_it_is_used(event: EventType) -> None:
    used = draft(event, resource="mem_aaaaaaaa")
    assert breaches([LOAD, used]) == [Invariant.MEMORY_WRITTEN]
    assert breaches([LOAD, read(None, "mem_bbbbbbbb", event=event)]) == [Invariant.MEMORY_WRITTEN]


def test_a_use_that_came_to_nothing_needs_no_memory() -> None:
    missing = draft(EventType.MEMORY_READ, resource="mem_aaaaaaaa", outcome=Outcome.NOT_FOUND)
    denied = draft(
        EventType.MEMORY_READ, resource="mem_aaaaaaaa", decision=Verdict.DENIED, outcome=Outcome.DENIED
    )
    assert breaches([LOAD, missing, denied]) == []


def test_a_use_whose_writing_was_erased_is_neither_shown_nor_refuted() -> None:
    replay = Replay("clinic-a")
    observe([LOAD], replay)
    assert list(replay.observe(parse_header(encode_entry(draft(), bytes(32)).header), None)) == []
    assert observe([read("mem_aaaaaaaa")], replay) == []
    assert replay.unproven == 1


@pytest.mark.parametrize(
    "payload",
    [{"memories": "mem_aaaaaaaa"}, {"memories": [1, None]}, {"memories": ["Anna Meier"]}, {"other": ["x"]}],
)
def test_payloads_of_other_shapes_say_nothing_of_memories(payload: dict[str, JsonValue]) -> None:
    assert breaches([LOAD, draft(EventType.MEMORY_SEARCH, payload=payload)]) == []


def test_a_breach_says_what_was_expected_and_what_came() -> None:
    [breach] = observe([LOAD, read("mem_aaaaaaaa")], Replay("clinic-a"))
    assert breach == Breach(Invariant.MEMORY_WRITTEN, "an id from an entry before", "mem_aaaaaaaa")


ERASURE = "era_0123456789abcdefghjkmnpqrs"


def destroyed(*subjects: str, resource: str | None = ERASURE) -> EntryDraft:
    return draft(EventType.KEY_DESTROY, resource=resource, payload={"subjects": list(subjects)})


def begun(*subjects: str, step: str = "begun", outcome: Outcome = Outcome.OK) -> EntryDraft:
    payload: dict[str, JsonValue] = {"subjects": list(subjects), "step": step}
    return draft(EventType.SUBJECT_ERASE, resource=ERASURE, payload=payload, outcome=outcome)


def test_a_persons_key_is_destroyed_only_by_an_erasure_of_that_person() -> None:
    anna, bob = "sub_aaaaaaaa", "sub_bbbbbbbb"
    assert breaches([LOAD, begun(anna), destroyed(anna)]) == []
    for before in (
        [],
        [begun(bob)],
        [begun(anna, step="rows")],
        [begun(anna, outcome=Outcome.REFUSED)],
        [draft(EventType.SUBJECT_ERASE, resource=ERASURE, payload={})],
    ):
        assert breaches([LOAD, *before, destroyed(anna)]) == [Invariant.KEY_ERASED]
    assert breaches([LOAD, begun(anna), destroyed(anna, resource="era_other")]) == [Invariant.KEY_ERASED]
    assert breaches([LOAD, begun(anna), destroyed(anna, resource=None)]) == [Invariant.KEY_ERASED]
    assert breaches([LOAD, begun(anna), destroyed(anna, bob)]) == [Invariant.KEY_ERASED]


def test_versions_of_keys_that_were_left_behind_name_nobody_and_need_no_erasure() -> None:
    assert breaches([LOAD, draft(EventType.KEY_DESTROY, resource="vault", payload={"kind": "retired"})]) == []


def test_an_erasure_that_may_have_begun_before_what_is_shown_is_neither_shown_nor_refuted() -> None:
    replay = Replay("clinic-a", begun=True, inherited={POLICY: START})
    assert breaches([destroyed("sub_aaaaaaaa")], replay) == []
    assert replay.unproven == 1
