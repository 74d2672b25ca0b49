"""One tenant's log as a list: what an index reads, without a store and without a key.

Owns entries in their stored form, with real headers, salts that count and leaf hashes; erasing one is done
as the log does it, by an entry that names it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from audit.canonical import JsonValue, canonical
from audit.event import EventType, Outcome, Verdict, encode_entry, time_in_microseconds
from audit.evidence import StoredEntry
from tests.simulators.small_deployment import POLICY, START, draft


class PaperLog:
    """A log that grows in memory.

    Args:
        tenant: Whose it is.
    """

    def __init__(self, tenant: str = "clinic") -> None:
        self.tenant = tenant
        self.stored: list[StoredEntry] = []
        self.reads = 0

    @property
    def size(self) -> int:
        """Number of entries."""
        return len(self.stored)

    def entries(self, start: int, stop: int) -> Iterator[StoredEntry]:
        """Yield entries."""
        for stored in self.stored[start:stop]:
            self.reads += 1
            yield stored

    def add(
        self,
        event: EventType = EventType.MEMORY_READ,
        *,
        actor: str = "agent-7",
        action: str | None = None,
        time: datetime | None = None,
        decision: Verdict = Verdict.ALLOWED,
        outcome: Outcome = Outcome.OK,
        purpose: str | None = "treatment",
        resource: str | None = None,
        policy: str = POLICY,
        tier: str | None = None,
        payload: dict[str, JsonValue] | None = None,
    ) -> int:
        """Append an entry and return its index."""
        held: dict[str, JsonValue] = dict(payload or {})
        if tier is not None:
            held["access_tier"] = tier
        at = START + timedelta(seconds=self.size) if time is None else time
        made = draft(
            event,
            time=at,
            principal=actor,
            tenant=self.tenant,
            action=action or event.value.partition(".")[2],
            decision=decision,
            policy=policy,
            outcome=outcome,
            resource=resource,
            purpose=purpose,
            payload=held,
        )
        encoded = encode_entry(made, self.size.to_bytes(32))
        self.stored.append(
            StoredEntry(
                self.size,
                encoded.header,
                encoded.salt,
                encoded.payload,
                encoded.leaf_hash,
                event.value,
                time_in_microseconds(at),
            )
        )
        return self.size - 1

    def erase(self, indexes: Iterable[int]) -> int:
        """Drop payloads, by an entry that names them; return its index."""
        named = list(indexes)
        by = self.add(EventType.PAYLOAD_ERASE, payload={"log": self.tenant, "entries": named})
        for index in named:
            self.stored[index] = replace(self.stored[index], salt=None, payload=None, erased_by=by)
        return by

    def garble(self, index: int) -> None:
        """Have an entry's header be none."""
        self.stored[index] = replace(self.stored[index], header="{}")

    def rewrite_payload(self, index: int, value: JsonValue) -> None:
        """Put another payload there."""
        self.stored[index] = replace(self.stored[index], payload=canonical(value))
