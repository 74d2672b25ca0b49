"""Who found, read or revealed some memories, as the log tells it: for the person whom they are about.

Owns the counting. It leaves the entries to the log: of one whose payload was erased nobody can say what was read.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from audit.canonical import JsonValue
from audit.errors import MalformedError
from audit.event import EventType, Outcome, parse_header
from audit.selection import entries_of

READS: Final = (EventType.MEMORY_READ, EventType.MEMORY_REVEAL, EventType.MEMORY_SEARCH)
_NAMED: Final = re.compile(r'"(mem_[0-9a-z]{26})"', re.ASCII)


@dataclass(slots=True)
class Reader:
    """One principal's reads of one kind for one purpose."""

    principal: str
    action: str
    purpose: str
    first: str
    last: str
    calls: int = 0
    memories: set[str] = field(default_factory=set)

    def view(self) -> dict[str, JsonValue]:
        """Return it as it is told."""
        return {
            "principal": self.principal,
            "action": self.action,
            "purpose": self.purpose,
            "calls": self.calls,
            "memories": len(self.memories),
            "first": self.first,
            "last": self.last,
        }


@dataclass(slots=True)
class Readers:
    """All reads of some memories."""

    by: dict[tuple[str, str, str], Reader] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def of(self, memory_id: str) -> int:
        """Return how often a memory was found, read or revealed."""
        return self.counts[memory_id]

    def summary(self) -> list[Reader]:
        """Return who read, in order of names."""
        return [self.by[key] for key in sorted(self.by)]


def readers_of(connection: Connection, tenant: str, memory_ids: Iterable[str]) -> Readers:
    """Go through a tenant's log and return who read any of some memories."""
    wanted, found = frozenset(memory_ids), Readers()
    if not wanted:
        return found
    for entry in entries_of(connection, tenant, READS):
        named = wanted.intersection(_NAMED.findall(entry.payload or ""))
        if not named:
            continue
        try:
            header = parse_header(entry.header)
        except MalformedError:
            continue  # the log's own check says so
        if header.outcome is not Outcome.OK:
            continue
        key = (header.principal, header.action, header.purpose or "")
        when = header.time.isoformat()
        one = found.by.setdefault(key, Reader(*key, first=when, last=when))
        one.last, one.calls = when, one.calls + 1
        one.memories |= named
        found.counts.update(named)
    return found
