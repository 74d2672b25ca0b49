"""What is held of a person, told piece by piece: the contents of an access report and of a portable export.

Owns which facts are told, opened a few memories at a time, so that ten thousand take no more memory than a hundred.
It leaves finding what belongs to the person to `vault.selector`, who may ask and the entries to
`vault.subject_rights`, and forms for people and programs to the edge and to `vault.disclosure_json`.

Of a memory about several persons only masked text is told, whatever was asked for: originals could be the
others'. The others are counted, not named. What cannot be opened is counted and named by its id.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select

from audit.canonical import JsonValue
from policies.retention_model import RetentionClass, StartPoint
from vault.clock import from_microseconds
from vault.content import EpisodeAttributes, MaskedField
from vault.errors import KeyAccessError, RootUnusableError, TamperedError
from vault.parts import Parts
from vault.readers import Readers, readers_of
from vault.selector import Belongings, belongings, pieces
from vault.storage.consent_rows import consents
from vault.storage.removal import MAX_REMOVED, held_memories, held_subjects
from vault.storage.restricting import Standing, standing
from vault.storage.rows import StoredEpisode, StoredMemory, stored_episode, stored_memory
from vault.storage.schema import EPISODE, MEMORY, USAGE

FORMAT: Final = "memos-vault/subject-report/1"
_STRETCH: Final = 64
"""Memories whose rows are held at a time."""
_BAD: Final = (TamperedError, KeyAccessError, ValueError, TypeError)


@dataclass(frozen=True, slots=True)
class DisclosureTerms:
    """What is told."""

    originals: bool = False
    """Personal data in clear, in memories about the person alone; otherwise masked."""
    holds: bool = False
    """Whether it is told that a legal hold applies: to tell may be forbidden."""
    readers: bool = True
    """Who found, read or revealed it; left out of an export."""


@dataclass(slots=True)
class Disclosure:
    """What is held of a person; `memories` is gone through once, while the vault is open."""

    head: dict[str, JsonValue]
    memories: Iterator[dict[str, JsonValue]]
    unreadable: list[str] = field(default_factory=list)
    """Ids of memories that cannot be opened; whole when `memories` was gone through."""
    told: int = 0
    """Memories that were told so far."""

    def tail(self) -> dict[str, JsonValue]:
        """Return what is known when all memories were gone through."""
        return {"told": self.told, "unreadable": list(self.unreadable)}


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for what about whom."""

    tenant: str
    subject: str
    name: str = field(repr=False)
    terms: DisclosureTerms
    made: datetime


def disclose(parts: Parts, connection: Connection, asked: Asked) -> tuple[Disclosure, Belongings]:
    """Return what is held of a person, of one state of the database.

    Args:
        parts: Of the vault.
        connection: That sees one state of the tenant's rows and log, until the memories were gone through.
        asked: For what.
    """
    found = belongings(connection, asked.tenant, asked.subject)
    readers = readers_of(connection, asked.tenant, found.memories) if asked.terms.readers else Readers()
    stands = standing(connection, asked.tenant, asked.subject)
    head: dict[str, JsonValue] = {
        "format": FORMAT,
        "kind": "report" if asked.terms.readers else "export",
        "made": asked.made.isoformat(),
        "institution": asked.tenant,
        "person": {"id": asked.subject, "name": asked.name},
        "originals": asked.terms.originals,
        "counts": dict(found.counts),
        "restrictions": [_restriction(one) for one in stands],
        "consents": [
            {"purpose": purpose.value, "since": _time(since)}
            for purpose, since in consents(connection, asked.tenant, asked.subject).items()
        ],
    }
    if asked.terms.holds:
        head["legal_hold"] = _is_held(connection, asked, found)
    if asked.terms.readers:
        head["readers"] = [one.view() for one in readers.summary()]
    teller = _Teller(parts, connection, asked, found, readers)
    return teller.disclosure(head), found


def _restriction(one: Standing) -> dict[str, JsonValue]:
    return {
        "kind": one.kind.value,
        "purpose": None if one.purpose is None else one.purpose.value,
        "since": _time(one.since),
    }


def _is_held(connection: Connection, asked: Asked, found: Belongings) -> bool:
    """Say whether any legal hold applies; never which, or why."""
    if held_subjects(connection, asked.tenant, [asked.subject]):
        return True
    return any(held_memories(connection, asked.tenant, some) for some in pieces(found.memories, MAX_REMOVED))


@dataclass(slots=True)
class _Teller:
    parts: Parts
    connection: Connection
    asked: Asked
    found: Belongings
    readers: Readers
    classes: Mapping[str, RetentionClass] = field(init=False)

    def __post_init__(self) -> None:
        self.classes = {one.id: one for one in self.parts.retention.classes}

    def disclosure(self, head: dict[str, JsonValue]) -> Disclosure:
        made = Disclosure(head, iter(()))
        made.memories = self.memories(made)
        return made

    def memories(self, told: Disclosure) -> Iterator[dict[str, JsonValue]]:
        for some in pieces(self.found.memories, _STRETCH):
            versions = self.versions(some)
            episodes = self.episodes({rows[-1].episode_id for rows in versions.values() if rows})
            used = self.used(some)
            for memory_id in some:
                rows = versions.get(memory_id, [])
                try:
                    item = self.memory(rows, episodes, used.get(memory_id, 0)) if rows else None
                except RootUnusableError:
                    raise  # says nothing of the row
                except _BAD:
                    item = None
                if item is None:
                    told.unreadable.append(memory_id)
                    continue
                told.told += 1
                yield item

    def memory(
        self, rows: Sequence[StoredMemory], episodes: Mapping[str, StoredEpisode], used: int
    ) -> dict[str, JsonValue]:
        last, others = rows[-1], len(self.found.others.get(rows[-1].memory_id, ()))
        item: dict[str, JsonValue] = {
            "id": last.memory_id,
            "kept_by": last.owner,
            "access_tier": last.access_tier.value,
            "trust": last.trust.value,
            "purpose": last.purpose.value,
            "other_persons": others,
            "since": _time(rows[0].recorded),
            "retention": self.retention(last, used),
            "source": self.source(episodes.get(last.episode_id)),
            "versions": [self.version(row) for row in rows],
        }
        if self.asked.terms.readers:
            item["reads"] = self.readers.of(last.memory_id)
        return item

    def version(self, row: StoredMemory) -> dict[str, JsonValue]:
        reveal = self.asked.terms.originals and row.subjects == (self.asked.subject,)
        opened = self.parts.sealers.open_memory(self.asked.tenant, row, reveal=reveal)
        return {
            "version": row.version,
            "recorded": _time(row.recorded),
            "text": opened.text,
            "speaker": opened.speaker or None,
            "said_at": None if opened.attributes.at is None else opened.attributes.at.isoformat(),
            "changed_by": opened.attributes.edited_by,
            "originals": opened.revealed,
        }

    def retention(self, row: StoredMemory, used: int) -> dict[str, JsonValue]:
        one = self.classes.get(row.retention.class_id)
        until = None
        if one is not None and one.term is not None:
            start = max(row.recorded, used) if one.start is StartPoint.LAST_USED else row.retention.start
            try:
                until = one.term.after(from_microseconds(start)).isoformat()
            except (OverflowError, ValueError):
                until = None
        return {
            "class": row.retention.class_id,
            "rule": row.retention.rule,
            "until": until,
            "then": one.then.value if one is not None and one.then is not None else None,
        }

    def source(self, row: StoredEpisode | None) -> dict[str, JsonValue]:
        if row is None:
            return {"kind": None, "title": None, "name": None, "tags": [], "metadata": []}
        try:
            opened = self.parts.sealers.open_episode(self.asked.tenant, row)
        except RootUnusableError:
            raise
        except _BAD:
            return {"kind": row.kind, "title": None, "name": None, "tags": [], "metadata": []}
        alone = row.subjects == (self.asked.subject,)
        shown = _Shown(opened, originals=self.asked.terms.originals and alone)
        return {
            "kind": row.kind,
            "title": shown.of("title", opened.title) or None,
            "name": shown.of("name", opened.name) or None,
            "tags": [shown.of(f"tag.{place}", tag) for place, tag in enumerate(opened.tags)],
            "metadata": [
                [shown.of(f"key.{place}", key), shown.of(f"value.{place}", value)]
                for place, (key, value) in enumerate(opened.metadata)
            ],
        }

    def versions(self, memory_ids: Sequence[str]) -> dict[str, list[StoredMemory]]:
        """Return all versions of memories, oldest first; of one with a row of another form, none."""
        query = select(MEMORY).where(
            MEMORY.c.tenant_id == self.asked.tenant, MEMORY.c.memory_id.in_(list(memory_ids))
        )
        found: dict[str, list[StoredMemory]] = {}
        bad: set[str] = set()
        for row in self.connection.execute(query.order_by(MEMORY.c.memory_id, MEMORY.c.version)):
            try:
                found.setdefault(row.memory_id, []).append(stored_memory(row))
            except TamperedError:
                bad.add(row.memory_id)
        rows = [row for versions in found.values() for row in versions]
        self.parts.sealers.lease(self.asked.tenant, [(row.subjects, row.text) for row in rows])
        return {memory_id: versions for memory_id, versions in found.items() if memory_id not in bad}

    def episodes(self, episode_ids: set[str]) -> dict[str, StoredEpisode]:
        query = select(EPISODE).where(
            EPISODE.c.tenant_id == self.asked.tenant, EPISODE.c.episode_id.in_(sorted(episode_ids))
        )
        found: dict[str, StoredEpisode] = {}
        for row in self.connection.execute(query):
            try:
                found[row.episode_id] = stored_episode(row)
            except TamperedError:
                continue  # its memories stand without a source
        return found

    def used(self, memory_ids: Sequence[str]) -> dict[str, int]:
        query = select(USAGE.c.memory_id, USAGE.c.last_used).where(
            USAGE.c.tenant_id == self.asked.tenant, USAGE.c.memory_id.in_(list(memory_ids))
        )
        return {row.memory_id: row.last_used for row in self.connection.execute(query)}


@dataclass(frozen=True, slots=True)
class _Shown:
    """Shows what an episode is called, masked or with originals."""

    opened: EpisodeAttributes
    originals: bool

    def of(self, name: str, masked: MaskedField) -> str:
        if not self.originals or not masked.marks:
            return masked.text
        return masked.revealed(self.opened.originals.get(name, ()))


def _time(value: int) -> str:
    return from_microseconds(value).isoformat()
