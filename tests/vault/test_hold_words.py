"""What entries say of holds: entries of a strange form are errors, and refusals say nothing."""

from datetime import UTC, datetime

import pytest

from audit.canonical import JsonValue, canonical
from audit.event import EntryDraft, EventType, Outcome, Verdict, encode_entry
from audit.evidence import StoredEntry
from vault.hold_words import HoldRows, HoldWords, Target

HOLD = "hld_" + "0" * 26
MEMORY = "mem_" + "0" * 26
PLACED: dict[str, JsonValue] = {
    "scope": "matter",
    "reason": "litigation",
    "review": 9,
    "matter": "case-1",
    "targets": [MEMORY],
}


def entry(
    event: EventType,
    payload: dict[str, JsonValue],
    *,
    index: int = 0,
    resource: str | None = HOLD,
    outcome: Outcome = Outcome.OK,
) -> StoredEntry:
    draft = EntryDraft(
        event=event,
        time=datetime(2026, 11, 23, tzinfo=UTC),
        principal="officer-a",
        tenant="clinic",
        action="hold",
        decision=Verdict.ALLOWED,
        policy="sha256:" + "0" * 64,
        outcome=outcome,
        resource=resource,
        payload=payload,
    )
    made = encode_entry(draft, b"\0" * 32)
    return StoredEntry(index, made.header, made.salt, made.payload, made.leaf_hash, event.value, 0, None)


def placed() -> HoldWords:
    words = HoldWords("clinic")
    words.read(entry(EventType.HOLD_PLACE, PLACED))
    return words


def test_a_hold_is_what_its_entries_say() -> None:
    words = placed()
    words.read(entry(EventType.HOLD_REVIEW, {"review": 10}, index=1))
    words.read(entry(EventType.HOLD_RELEASE, {"step": "asked"}, index=2))
    words.read(entry(EventType.HOLD_RELEASE, {"step": "released"}, index=3))
    hold = words.holds[HOLD]
    assert (hold.review, hold.asked_by, hold.released_by) == (10, "officer-a", "officer-a")
    assert hold.targets == {Target("memory", MEMORY): 0}
    rows = HoldRows([hold.fields()], [(HOLD, Target("memory", MEMORY), 0)])
    assert list(words.differences(rows)) == []
    assert len(list(words.differences(HoldRows([], [])))) == 2


@pytest.mark.parametrize(
    "refused",
    [
        entry(EventType.HOLD_RELEASE, {"step": "released"}, outcome=Outcome.REFUSED),
        entry(EventType.HOLD_REVIEW, {"holds": [HOLD], "count": 1}, resource=None),
        entry(EventType.MEMORY_READ, {}),
        StoredEntry(5, "no header", None, "{}", b"", "hold.place", 0, None),
    ],
    ids=range(4),
)
def test_what_was_refused_or_tells_of_no_hold_says_nothing(refused: StoredEntry) -> None:
    words = placed()
    before = words.holds[HOLD].fields()
    words.read(refused)
    assert words.holds[HOLD].fields() == before


@pytest.mark.parametrize(
    "payload",
    [
        {**PLACED, "scope": 1},
        {**PLACED, "review": "soon"},
        {**PLACED, "review": True},
        {**PLACED, "targets": "all"},
        {**PLACED, "targets": [1]},
        {**PLACED, "matter": 7},
    ],
    ids=range(6),
)
def test_an_entry_of_another_form_is_an_error(payload: dict[str, JsonValue]) -> None:
    with pytest.raises(ValueError, match="expected"):
        HoldWords("clinic").read(entry(EventType.HOLD_PLACE, payload))


@pytest.mark.parametrize("payload", ["", "[]", "{", canonical({"a": 1})[:-1], None])
def test_an_entry_whose_payload_is_gone_or_no_object_is_an_error(payload: str | None) -> None:
    made = entry(EventType.HOLD_PLACE, PLACED)
    bad = StoredEntry(0, made.header, made.salt, payload, made.leaf_hash, made.event, 0, None)
    with pytest.raises(ValueError, match="expected"):
        HoldWords("clinic").read(bad)


def test_an_entry_of_a_hold_that_was_never_placed_is_an_error() -> None:
    with pytest.raises(ValueError, match="was placed"):
        HoldWords("clinic").read(entry(EventType.HOLD_REVIEW, {"review": 1}))
