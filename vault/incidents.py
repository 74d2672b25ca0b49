"""Incidents: personal data that stood where it should not have, told of from the log's own entries.

Owns what an incident says: how many memories, which kinds, since when, and who read them meanwhile. It leaves
finding and masking to `vault.rescan`, whose entries name what gained masks; so what was masked before a crash is told of
after it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, func, select

from audit.canonical import JsonValue, parse_canonical
from audit.errors import MalformedError
from audit.event import EventType, Outcome, parse_header
from audit.evidence import StoredEntry
from audit.selection import entries_of
from vault.clock import microseconds
from vault.parts import Parts
from vault.selector import pieces
from vault.storage.group_commit import Change, WriteSet
from vault.storage.removal import MAX_REMOVED
from vault.storage.schema import MEMORY, MEMORY_SUBJECT

MAX_NAMED: Final = 1_000
"""Memories that one incident names; more are counted."""
_READS: Final = (
    EventType.MEMORY_READ,
    EventType.MEMORY_SEARCH,
    EventType.MEMORY_REVEAL,
    EventType.SUBJECT_REPORT,
)
"""All events after which somebody has the texts. A report or an export names the person alone, not the memories."""

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
        told.persons = _first_written(connection, tenant, sorted(told.exposed))
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
    persons: Mapping[str, int] = field(default_factory=dict)
    """Of each person whom an exposed memory is about: the entry that wrote the first of these."""

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
        """Return who got something that was exposed, in an entry from before it was masked."""
        if entry.index >= self.stop:
            return ()
        header, payload = parse_header(entry.header), _payload(entry)
        if header.outcome is not Outcome.OK:
            return ()  # who was refused got nothing
        if entry.event == EventType.SUBJECT_REPORT:
            told = any(
                self.persons.get(one, entry.index) < entry.index for one in _words(payload, "subjects")
            )
            return (header.principal,) if told else ()
        read = {*_words(payload, "memories"), header.resource or ""}
        return () if read.isdisjoint(self.exposed) else (header.principal,)


def _words(payload: Mapping[str, JsonValue], key: str) -> list[str]:
    named = payload.get(key)
    return [str(one) for one in named] if isinstance(named, list) else []


def _first_written(connection: Connection, tenant: str, memories: Sequence[str]) -> dict[str, int]:
    """Return whom memories are about, and which entry wrote the first memory of each."""
    found: dict[str, int] = {}
    for some in pieces(memories, MAX_REMOVED):
        query = (
            select(MEMORY_SUBJECT.c.subject_id, func.min(MEMORY.c.leaf_index))
            .join(
                MEMORY,
                (MEMORY.c.tenant_id == MEMORY_SUBJECT.c.tenant_id)
                & (MEMORY.c.memory_id == MEMORY_SUBJECT.c.memory_id),
            )
            .where(MEMORY_SUBJECT.c.tenant_id == tenant, MEMORY_SUBJECT.c.memory_id.in_(some))
            .group_by(MEMORY_SUBJECT.c.subject_id)
        )
        for subject, first in connection.execute(query):
            found[subject] = min(first, found.get(subject, first))
    return found
