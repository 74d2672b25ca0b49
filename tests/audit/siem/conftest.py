"""Items of every event and outcome, and a hostile one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from audit.canonical import JsonValue
from audit.event import EntryDraft, EventType, Outcome, Verdict, encode_entry, parse_header
from audit.payload_keys import outgoing
from audit.siem.item import LogItem

TIME = datetime(2026, 11, 22, 18, 51, 27, 1, tzinfo=UTC)
POLICY = "sha256:" + "9a" * 32


@dataclass(frozen=True)
class Items:
    """Makes items as the vault would."""

    def __call__(
        self,
        event: EventType = EventType.MEMORY_READ,
        *,
        index: int = 17,
        outcome: Outcome = Outcome.OK,
        resource: str | None = "mem_01kq5xw9",
        purpose: str | None = "treatment",
        payload: Mapping[str, JsonValue] | None = None,
        erased_by: int | None = None,
    ) -> LogItem:
        kept = {} if payload is None else payload
        entry = encode_entry(
            EntryDraft(
                event,
                TIME,
                "agent-7",
                "clinic-a",
                event.value.partition(".")[2],
                Verdict.DENIED if outcome is Outcome.DENIED else Verdict.ALLOWED,
                POLICY,
                outcome,
                resource,
                purpose,
                kept,
            ),
            bytes(32),
        )
        fields, withheld = outgoing(kept)
        return LogItem(
            origin="memos-vault/ward-1/clinic-a",
            tree_size=20,
            index=index,
            leaf_hash=entry.leaf_hash,
            header=parse_header(entry.header),
            leaf=entry.header,
            fields=None if erased_by is not None else fields,
            withheld=withheld,
            erased_by=erased_by,
            version="0.1.0",
        )


@pytest.fixture
def items() -> Items:
    """Makes items."""
    return Items()


@pytest.fixture
def every(items: Items) -> list[LogItem]:
    """One item of every event and outcome, with and without resource and payload."""
    found = [items(event, outcome=outcome) for event in EventType for outcome in Outcome]
    found += [items(event, resource=None, purpose=None) for event in EventType]
    found += [items(event, erased_by=19) for event in EventType]
    found += [
        items(event, payload={"principal": "dr-a", "memories": ["mem_01kq5xw9"], "count": 1})
        for event in EventType
    ]
    return found
