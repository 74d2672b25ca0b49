"""Invariants of the entries themselves, replayed in order (ARCHITECTURE section 5).

Owns what an honest log may say: known policies, sane times, decisions that fit outcomes, no use of a
memory that was never written, no person's keys destroyed without the erasure of that person. It leaves hashes and signatures to `audit.verify`.

The order of a log is that of its indexes, which the tree commits to. A time is what the machine's clock
said: a clock that was wrong, or set, is worth a warning (`CLOCK_INVARIANTS`) and no sign of tampering.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from audit.canonical import JsonValue
from audit.event import EventType, Header, Outcome, Verdict
from audit.id_set import IdSet
from audit.scratch import Scratch

CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far times may run backwards between entries: writers take the time before they queue for the log."""

_VAULT_ID: Final = re.compile(r"[a-z]{2,12}_[a-z0-9]{8,64}")
_USES_RESOURCE: Final = frozenset(
    {
        EventType.MEMORY_READ,
        EventType.MEMORY_REVEAL,
        EventType.MEMORY_UPDATE,
        EventType.MEMORY_PROMOTE,
    }
)
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
    KEY_ERASED = "key destroyed for an erasure"


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
    begun: bool = False
    """Entries before the first one observed are not shown: what they may hold is neither shown nor refuted."""
    unproven: int = 0
    """Claims on an entry or payload that was erased, withheld or left out."""
    _written: IdSet = field(default_factory=IdSet)
    _write_erased: bool = False
    _erasing: dict[str, set[str]] = field(default_factory=dict)
    """By the id of an erasure that was begun: the persons whom it is of."""
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
            yield from self._check_keys(header, payload)

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
        if self.begun and loaded is None:
            self.unproven += 1
        else:
            yield Breach(Invariant.POLICY_KNOWN, "a digest from a policy.load entry before", header.policy)

    def _check_memories(self, header: Header, payload: JsonValue) -> Iterator[Breach]:
        if header.event in _USES_MEMORIES:
            used = _ids(payload, "memories")
            if header.event in _USES_RESOURCE and header.resource and _VAULT_ID.fullmatch(header.resource):
                used.add(header.resource)
            for memory in sorted(one for one in used if one not in self._written):
                if self._write_erased or self.begun:
                    self.unproven += 1
                else:
                    yield Breach(Invariant.MEMORY_WRITTEN, "an id from an entry before", memory)
        if header.event in _MAKES_MEMORIES:
            self._written.update(_ids(payload, "written"))
            self._write_erased |= payload is None
            if header.event is EventType.MEMORY_WRITE and header.resource is not None:
                self._written.update([header.resource])

    def _check_keys(self, header: Header, payload: JsonValue) -> Iterator[Breach]:
        """See that a person's keys are destroyed by an erasure of that person; versions left behind name nobody."""
        erasure = header.resource or ""
        if header.event is EventType.SUBJECT_ERASE and _is_begun(payload):
            self._erasing.setdefault(erasure, set()).update(_ids(payload, "subjects"))
        if header.event is EventType.KEY_DESTROY:
            for subject in sorted(_ids(payload, "subjects") - self._erasing.get(erasure, set())):
                if self.begun:
                    self.unproven += 1
                else:
                    yield Breach(Invariant.KEY_ERASED, "an erasure of that person begun before", subject)


def _is_begun(payload: JsonValue) -> bool:
    return isinstance(payload, Mapping) and payload.get("step") == "begun"


def _ids(payload: JsonValue, key: str) -> set[str]:
    values = payload.get(key) if isinstance(payload, Mapping) else None
    if not isinstance(values, list):
        return set()
    # Nothing but ids: what a breach says of them may be shown to anyone.
    return {value for value in values if isinstance(value, str) and _VAULT_ID.fullmatch(value)}


_GONE: Final = "INSERT INTO scratch VALUES (?, ?)"
_IS_GONE: Final = "SELECT entry FROM scratch WHERE entry = ?"
_SETTLE: Final = "UPDATE scratch SET eraser = NULL WHERE entry = ? AND eraser = ?"
_UNSETTLED: Final = "SELECT entry, eraser FROM scratch WHERE eraser IS NOT NULL ORDER BY eraser, entry"


class Erasures:
    """Holds erased payloads against the entries that say they erased them.

    Both ways: what is gone was erased by an entry that names it, and what an entry erased is gone.

    Args:
        tenant: Whose log.
        start: First entry that is shown; whether earlier ones are gone cannot be told.
    """

    def __init__(self, tenant: str, start: int = 0) -> None:
        self._tenant = tenant
        self._start = start
        self.not_shown = 0
        """Erasures of entries before the first that is shown."""
        self._gone = Scratch("entry INTEGER PRIMARY KEY, eraser INTEGER")
        """Erased entries, with the one that is said to have erased them until that has named them."""

    def observe_gone(self, index: int, erased_by: int | None) -> bool:
        """Take note of an erased payload; return whether an entry that comes later is said to have done it."""
        told = erased_by is not None and erased_by > index
        self._gone.put(_GONE, [(index, erased_by if told else None)])
        return told

    def observe_entry(self, index: int, header: Header, payload: JsonValue) -> Iterator[int]:
        """Yield entries that this one says it erased and that stand; settle those that it did erase."""
        if header.event is not EventType.PAYLOAD_ERASE or header.outcome is not Outcome.OK:
            return
        if not isinstance(payload, Mapping) or payload.get("log") != self._tenant:
            return
        named = payload.get("entries")
        for one in named if isinstance(named, list) else ():
            if not isinstance(one, int) or isinstance(one, bool):
                yield index
                continue
            if 0 <= one < self._start:
                self.not_shown += 1
            elif not 0 <= one < index or not self._is_gone(one):
                yield one
            else:
                self._gone.put(_SETTLE, [(one, index)])

    def observe_beside(self, index: int, named: Sequence[int]) -> Iterator[int]:
        """Yield entries of a range that one behind it says it erased and that stand; settle the others.

        Args:
            index: Of the entry behind the range.
            named: Entries of the range that it names.
        """
        for one in named:
            if self._is_gone(one):
                self._gone.put(_SETTLE, [(one, index)])
            else:
                yield one

    def unsettled(self) -> Iterator[tuple[int, int]]:
        """Yield erased entries that the entry which is said to have erased them does not name, with that one."""
        return ((entry, eraser) for entry, eraser in self._gone.rows(_UNSETTLED))

    def _is_gone(self, index: int) -> bool:
        return self._gone.has(_IS_GONE, index)
