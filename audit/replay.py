"""Invariants of the entries themselves, replayed in order (ARCHITECTURE section 5).

Owns what an honest log may say: known policies, sane times, decisions that fit outcomes, no use of a
memory that was never written. It leaves hashes and signatures to `audit.verify`.

The order of a log is that of its indexes, which the tree commits to. A time is what the machine's clock
said: a clock that was wrong, or set, is worth a warning (`CLOCK_INVARIANTS`) and no sign of tampering.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from audit.canonical import JsonValue
from audit.event import EventType, Header, Outcome, Verdict

CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far times may run backwards between entries: writers take the time before they queue for the log."""

_VAULT_ID: Final = re.compile(r"[a-z]{2,12}_[a-z0-9]{8,64}")
_USES_RESOURCE: Final = frozenset({EventType.MEMORY_READ, EventType.MEMORY_REVEAL, EventType.MEMORY_UPDATE})
_USES_MEMORIES: Final = _USES_RESOURCE | {EventType.MEMORY_SEARCH, EventType.MEMORY_ORGANIZE}
_MAKES_MEMORIES: Final = frozenset(
    {EventType.MEMORY_WRITE, EventType.MEMORY_UPDATE, EventType.MEMORY_ORGANIZE}
)


class Invariant(StrEnum):
    """What must hold of every entry."""

    TENANT = "entry of this log's tenant"
    TIME_ORDER = "time not before earlier entries"
    TIME_PAST = "time not in the future"
    POLICY_KNOWN = "policy digest known to the log"
    DECISION_OUTCOME = "outcome that fits the decision"
    MEMORY_WRITTEN = "memory written earlier"


CLOCK_INVARIANTS: Final = frozenset({Invariant.TIME_ORDER, Invariant.TIME_PAST})
"""What a wrong clock breaks without anybody's doing."""


@dataclass(frozen=True, slots=True)
class Breach:
    """An invariant that does not hold of an entry."""

    invariant: Invariant
    expected: str
    got: str


@dataclass(slots=True)
class Replay:
    """Goes through one log in order and tells what does not hold."""

    tenant: str
    now: datetime | None = None
    """Time of verification, if known: no entry may be later."""
    inherited: Mapping[str, datetime] = field(default_factory=dict)
    """Policy digests known to the system log, with the time of their loading."""
    policies: dict[str, datetime] = field(default_factory=dict)
    unproven: int = 0
    """Uses of memories whose writing may stand in a payload that was erased: neither shown nor refuted."""
    _written: set[str] = field(default_factory=set)
    _write_erased: bool = False
    _latest: datetime | None = None
    """The latest time since the clock was last seen to step back."""

    def observe(self, header: Header, payload: JsonValue) -> Iterator[Breach]:
        """Yield the breaches of one entry; `payload` is None where it was erased."""
        if header.tenant != self.tenant:
            yield Breach(Invariant.TENANT, self.tenant, header.tenant)
        yield from self._check_time(header.time)
        yield from self._check_policy(header)
        if (header.decision is Verdict.DENIED) != (header.outcome is Outcome.DENIED):
            yield Breach(Invariant.DECISION_OUTCOME, f"one that fits {header.decision}", str(header.outcome))
        if header.outcome is Outcome.OK:
            yield from self._check_memories(header, payload)

    def _check_time(self, time: datetime) -> Iterator[Breach]:
        latest = time if self._latest is None else max(time, self._latest)
        if time < latest - CLOCK_SKEW:
            yield Breach(Invariant.TIME_ORDER, f"about {latest.isoformat()} or later", time.isoformat())
            latest = time  # one warning for each step of the clock, not for all entries after it
        self._latest = latest
        if self.now is not None and time > self.now + CLOCK_SKEW:
            yield Breach(Invariant.TIME_PAST, f"about {self.now.isoformat()} or earlier", time.isoformat())

    def _check_policy(self, header: Header) -> Iterator[Breach]:
        if header.event is EventType.POLICY_LOAD and header.outcome is Outcome.OK:
            self.policies.setdefault(header.policy, header.time)
        loaded = self.inherited.get(header.policy)
        if header.policy in self.policies or (loaded is not None and loaded <= header.time + CLOCK_SKEW):
            return
        yield Breach(Invariant.POLICY_KNOWN, "a digest from a policy.load entry before", header.policy)

    def _check_memories(self, header: Header, payload: JsonValue) -> Iterator[Breach]:
        if header.event in _USES_MEMORIES:
            used = _ids(payload, "memories")
            if header.event in _USES_RESOURCE and header.resource and _VAULT_ID.fullmatch(header.resource):
                used.add(header.resource)
            for memory in sorted(used - self._written):
                if self._write_erased:
                    self.unproven += 1
                else:
                    yield Breach(Invariant.MEMORY_WRITTEN, "an id from an entry before", memory)
        if header.event in _MAKES_MEMORIES:
            self._written |= _ids(payload, "written")
            self._write_erased |= payload is None
            if header.event is EventType.MEMORY_WRITE and header.resource is not None:
                self._written.add(header.resource)


def _ids(payload: JsonValue, key: str) -> set[str]:
    values = payload.get(key) if isinstance(payload, Mapping) else None
    if not isinstance(values, list):
        return set()
    # Nothing but ids: what a breach says of them may be shown to anyone.
    return {value for value in values if isinstance(value, str) and _VAULT_ID.fullmatch(value)}
