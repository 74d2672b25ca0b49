"""Incidents: personal data that stood where it should not have, told of from the log's own entries.

Owns what an incident says: how many memories, which kinds, since when, and who read them meanwhile. It leaves
finding and masking to `vault.rescan`, whose entries name what gained masks; so what was masked before a crash is told of
after it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from audit.canonical import JsonValue, parse_canonical
from audit.errors import MalformedError
from audit.event import EventType, parse_header
from audit.evidence import StoredEntry
from audit.selection import entries_of
from vault.clock import microseconds
from vault.parts import Parts
from vault.storage.group_commit import Change, WriteSet

MAX_NAMED: Final = 1_000
"""Memories that one incident names; more are counted."""
_READS: Final = (EventType.MEMORY_READ, EventType.MEMORY_SEARCH, EventType.MEMORY_REVEAL)

Kinds = Counter[str]


def open_incident(parts: Parts, tenant: str, fence: Sequence[Change]) -> int | None:
    """Open an incident for what was masked since the last one; return its leaf index, None where nothing was.

    Raises:
        LeaseLostError: the fence refused.
        StorageError: or one of its kinds: the next run tells of it.
    """
    with parts.store.log_connection(tenant) as connection:
        told = _Exposure()
        for entry in entries_of(connection, tenant, (EventType.INCIDENT_OPEN, EventType.MEMORY_RESCREEN)):
            told.read(entry)
        if not told.exposed:
            return None
        readers = Counter[str]()
        for entry in entries_of(connection, tenant, _READS):
            readers.update(told.reader(entry))
    payload: dict[str, JsonValue] = {
        "about": "personal-data-found-late",
        "count": len(told.exposed),
        "memories": sorted(told.exposed)[:MAX_NAMED],
        "kinds": told_kinds(told.kinds),
        "since": told.since,
        "until": microseconds(parts.clock()),
        "readers": [[name, count] for name, count in sorted(readers.items())],
        "first": told.first,
        "stop": told.stop,
    }
    draft = parts.journal.event(EventType.INCIDENT_OPEN, tenant, payload)
    (leaf,) = parts.store.submit(WriteSet(drafts=[draft], changes=list(fence)))
    return leaf.index


def told_kinds(kinds: Mapping[str, int]) -> list[JsonValue]:
    """Return kinds of personal data with how many, as an entry tells them."""
    return [[kind.lower().replace("_", "-"), count] for kind, count in sorted(kinds.items())]


def _counts(kinds: JsonValue) -> Kinds:
    counted: Kinds = Counter()
    for one in kinds if isinstance(kinds, list) else ():
        if isinstance(one, list) and len(one) == 2 and isinstance(one[1], int):  # noqa: PLR2004  # kind, count
            counted[str(one[0])] += one[1]
    return counted


def _payload(entry: StoredEntry) -> Mapping[str, JsonValue]:
    try:
        payload = None if entry.payload is None else parse_canonical(entry.payload)
    except MalformedError:
        return {}
    return payload if isinstance(payload, Mapping) else {}


@dataclass(slots=True)
class _Exposure:
    """What entries of screenings say that no incident has told of yet."""

    exposed: set[str] = field(default_factory=set)
    kinds: Kinds = field(default_factory=Counter)
    since: int | None = None
    first: int | None = None
    stop: int = 0

    def read(self, entry: StoredEntry) -> None:
        payload = _payload(entry)
        if entry.event == EventType.INCIDENT_OPEN:
            self.exposed, self.kinds, self.since, self.first = set(), Counter(), None, None
            return
        gained = payload.get("gained")
        if not isinstance(gained, list) or not gained:
            return
        self.exposed.update(str(one) for one in gained)
        self.kinds.update(_counts(payload.get("kinds")))
        since = payload.get("since")
        if isinstance(since, int):
            self.since = since if self.since is None else min(since, self.since)
        self.first = entry.index if self.first is None else self.first
        self.stop = entry.index + 1

    def reader(self, entry: StoredEntry) -> Iterable[str]:
        """Return who read something that was exposed, in an entry of a read before it was masked."""
        if entry.index >= self.stop:
            return ()
        header = parse_header(entry.header)
        named = _payload(entry).get("memories")
        read = {str(one) for one in named} if isinstance(named, list) else set()
        read.add(header.resource or "")
        return () if read.isdisjoint(self.exposed) else (header.principal,)
