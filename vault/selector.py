"""What belongs to a person: one selector for plans, erasures and access reports (law 3).

Owns the answer, over every table that names the person or a memory of theirs, and over the log. It leaves
opening anything to whoever asks, removing to `vault.storage.removal`, and what may be erased of the log at all
to `audit.erasure`. Nothing here writes.

A memory belongs to a person who is among its subjects: by `memory_subject`, and by its own row, as either of
both may have been lost. What was derived from such a memory belongs to them, too, whoever else it is about. An
entry of the log speaks of a person if its payload names their vault id, or a memory or episode of theirs,
also one that is no more.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import Column, Connection, LargeBinary, Row, Select, Table, cast, exists, func, select
from sqlalchemy.sql.elements import ColumnElement

from audit.event import ERASABLE, EventType
from audit.store import LEAF
from vault.model import EdgeKind
from vault.storage.damaged_text import is_damaged
from vault.storage.rows import split_subjects
from vault.storage.schema import (
    CARE_TEAM,
    CONSENT,
    EDGE,
    EMBEDDING,
    EPISODE,
    MEMORY,
    MEMORY_SUBJECT,
    QUARANTINE,
    RESTRICTION,
    REVIEW,
    SUBJECT,
    USAGE,
)

_CHUNK: Final = 500  # below SQLite's limit of bound parameters
_PAGE: Final = 2_000
_NAMED: Final = re.compile(r'"((?:mem|epi)_[0-9a-z]{26}|sub_[a-z2-7]{26})"', re.ASCII)
_RESOURCE: Final = re.compile(r'"resource":"((?:mem|epi)_[0-9a-z]{26}|sub_[a-z2-7]{26})"', re.ASCII)
_PERSON: Final = "sub_"
ERASURE: Final = "subject.erase"
"""Kind of the effect of an erasure; its own intent stays."""
_OF_ERASURE: Final = f'"kind":"{ERASURE}"'
_Id = TypeVar("_Id", str, int)
_BY_MEMORY: Final[Mapping[str, Table]] = {
    "embeddings": EMBEDDING,
    "times-of-last-use": USAGE,
    "quarantined-versions": QUARANTINE,
    "reviews": REVIEW,
}


@dataclass(frozen=True, slots=True)
class Belongings:
    """Everything of a person in the tables."""

    subject: str
    memories: tuple[str, ...]
    """Ids of all memories about the person, alone or with others."""
    others: Mapping[str, tuple[str, ...]]
    """By the id of each joint memory: the other persons whom it is about."""
    derived: tuple[str, ...]
    """Ids of memories about others alone that were derived from these."""
    episodes: tuple[str, ...]
    """Ids of the episodes in which the memories were written."""
    counts: Mapping[str, int]
    """Rows and fields by kind; kinds of which there is nothing are left out."""
    last: int
    """The entry that wrote the last version of the memories about the person; -1 where there is none."""

    @property
    def everything(self) -> tuple[str, ...]:
        """Ids of all memories that go with the person."""
        return tuple(sorted({*self.memories, *self.derived}))

    @property
    def other_subjects(self) -> frozenset[str]:
        """Vault ids of those whom joint memories are about, too."""
        return frozenset(other for others in self.others.values() for other in others)

    @property
    def found(self) -> bool:
        """Whether anything belongs to the person."""
        return bool(self.counts)


class Since(NamedTuple):
    """What came to a person's belongings since they were looked at."""

    memories: tuple[str, ...]
    """Ids of memories about the person that are new, or have a new version."""
    others: frozenset[str]
    """Other persons whom these are about, and none was before."""
    derived: frozenset[str]
    """Memories about others alone that were derived from these."""


@dataclass(frozen=True, slots=True)
class Told:
    """Entries of the log that speak of a person, by leaf index."""

    alone: tuple[int, ...]
    """Their payload may be erased, and names no living memory of others."""
    shared: tuple[int, ...]
    """Their payload may be erased and speaks of others' living memories, too, or of another person's key; or it
    tells of organizing: without it nobody knows which trust any memory of the tenant had before."""
    fixed: tuple[int, ...]
    """Their payload is of a kind that stays: holds, plans, erasures."""
    headers: int
    """Headers that name a memory or an episode of theirs, or themselves; headers stay."""


def belongings(connection: Connection, tenant: str, subject: str) -> Belongings:
    """Return everything of a person in the tables, as one state of the database has it.

    Args:
        connection: That sees one state of the tenant's rows.
        tenant: Whose.
        subject: Vault id; of somebody who is not known here nothing is found.
    """
    versions = _versions(connection, tenant, subject)
    memories = tuple(sorted({one.memory for one in versions} | _lost(connection, tenant, subject)))
    others = {
        one.memory: about
        for one in versions
        if (about := tuple(other for other in one.subjects if other != subject))
    }
    derived = tuple(sorted(_derived(connection, tenant, memories)))
    episodes = _episodes(connection, tenant, subject, {one.episode for one in versions})
    everything = [*memories, *derived]
    counts = {
        "subject-rows": _count(connection, SUBJECT, tenant, SUBJECT.c.subject_id == subject),
        "restrictions": _count(connection, RESTRICTION, tenant, RESTRICTION.c.subject_id == subject),
        "care-team": _count(connection, CARE_TEAM, tenant, CARE_TEAM.c.subject_id == subject),
        "consents": _count(connection, CONSENT, tenant, CONSENT.c.subject_id == subject),
        "memories": len(memories),
        "versions": len(versions),
        "joint-memories": len(others),
        "derived-memories": len(derived),
        "originals": sum(one.has_originals for one in versions),
        "episodes": len(episodes),
        "edges": len(_edges(connection, tenant, everything)),
        **{kind: _about(connection, table, tenant, everything) for kind, table in _BY_MEMORY.items()},
    }
    return Belongings(
        subject=subject,
        memories=memories,
        others=others,
        derived=derived,
        episodes=episodes,
        counts={kind: count for kind, count in counts.items() if count},
        last=last_written(connection, tenant, subject),
    )


def told(connection: Connection, tenant: str, subject: str, about: Iterable[str]) -> Told:
    """Return the entries of the log that speak of a person.

    Args:
        connection: That sees one state of the tenant's log and rows.
        tenant: Whose.
        subject: Vault id of the person.
        about: Ids of their memories and episodes, also of those that are no more.
    """
    own, found = set(about), dict[int, tuple[frozenset[str], bool]]()
    fixed, organized, headers = list[int](), list[int](), 0
    for index, event, header, payload in _entries(connection, tenant):
        named = frozenset(_NAMED.findall(payload or ""))
        resource = _RESOURCE.search(header)
        if subject in named and event == EventType.MEMORY_WRITE:
            # Also of memories whose rows went before: what reads of them say speaks of the person.
            own.update(one for one in named if not one.startswith(_PERSON))
            own.update(resource.groups() if resource is not None else ())
        headers += resource is not None and (resource.group(1) in own or resource.group(1) == subject)
        if subject not in named and own.isdisjoint(named):
            continue
        if event == EventType.MEMORY_ORGANIZE:
            organized.append(index)
        elif event in ERASABLE and _OF_ERASURE not in str(payload):
            found[index] = (named - own - {subject}, not own.isdisjoint(named))
        else:
            fixed.append(index)
    named_others = {one for others, _ in found.values() for one in others if not one.startswith(_PERSON)}
    living = _living(connection, tenant, sorted(named_others))
    # Of another person alone speaks, beside this one, what names no memory: that their keys were made.
    shared = {
        index for index, (others, memories) in found.items() if others & living or (others and not memories)
    }
    return Told(
        alone=tuple(index for index in found if index not in shared),
        shared=tuple(sorted({*shared, *organized})),
        fixed=tuple(fixed),
        headers=headers,
    )


def _entries(connection: Connection, tenant: str) -> Iterator[tuple[int, str, str, str | None]]:
    query = (
        select(LEAF.c.leaf_index, LEAF.c.event, LEAF.c.header, LEAF.c.payload)
        .where(LEAF.c.tenant_id == tenant)
        .order_by(LEAF.c.leaf_index)
    )
    for row in connection.execution_options(yield_per=_PAGE).execute(query):
        # SQLite keeps whatever type was put there; what is no text speaks of nobody.
        payload = row.payload if isinstance(row.payload, str) else None
        yield row.leaf_index, str(row.event), str(row.header), payload


class _Version(NamedTuple):
    """A version of a memory, as far as it is looked at."""

    memory: str
    version: int
    subjects: tuple[str, ...]
    episode: str
    has_originals: bool


def _versions(connection: Connection, tenant: str, subject: str) -> list[_Version]:
    """Return all versions of all memories about a person: by either way in which they are known to be."""
    query = select(
        MEMORY.c.memory_id,
        MEMORY.c.version,
        # As bytes: SQLite keeps whatever was put there, also what is no UTF-8, and one bad row stops no erasure.
        cast(MEMORY.c.subjects, LargeBinary).label("subjects"),
        cast(MEMORY.c.episode_id, LargeBinary).label("episode"),
        MEMORY.c.originals.is_not(None).label("has_originals"),
    ).where(MEMORY.c.tenant_id == tenant)
    related = select(MEMORY_SUBJECT.c.memory_id).where(
        MEMORY_SUBJECT.c.tenant_id == tenant, MEMORY_SUBJECT.c.subject_id == subject
    )
    known = connection.execute(query.where(MEMORY.c.memory_id.in_(related))).all()
    # Threat: a row of `memory_subject` that was lost would let a memory escape its person's erasure.
    strayed = query.where(func.instr(MEMORY.c.subjects, subject) > 0, MEMORY.c.memory_id.not_in(related))
    found = {
        (row.memory_id, row.version): _Version(
            row.memory_id,
            row.version,
            split_subjects(_text(row.subjects)),
            _text(row.episode),
            bool(row.has_originals),
        )
        for row in (*known, *connection.execute(strayed))
    }
    return [found[place] for place in sorted(found)]


def _lost(connection: Connection, tenant: str, subject: str) -> set[str]:
    """Return the memories that are said to be about a person and are not there: what hangs on them is."""
    there = exists().where(
        MEMORY.c.tenant_id == MEMORY_SUBJECT.c.tenant_id, MEMORY.c.memory_id == MEMORY_SUBJECT.c.memory_id
    )
    query = select(MEMORY_SUBJECT.c.memory_id).where(
        MEMORY_SUBJECT.c.tenant_id == tenant, MEMORY_SUBJECT.c.subject_id == subject, ~there
    )
    # A damaged id is nobody's: its row goes with the person.
    return {one for one in connection.execute(query).scalars() if not is_damaged(str(one))}


def _episodes(connection: Connection, tenant: str, subject: str, of_memories: set[str]) -> tuple[str, ...]:
    """Return the episodes of a person's memories, and those that say themselves that they are about the person."""
    query = select(EPISODE.c.episode_id).where(
        EPISODE.c.tenant_id == tenant, func.instr(EPISODE.c.subjects, subject) > 0
    )
    return tuple(sorted({*connection.execute(query).scalars(), *of_memories}))


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else ""


def _derived(connection: Connection, tenant: str, memories: Sequence[str]) -> set[str]:
    """Return what was derived from memories, and from that, and so on; without the memories themselves."""
    found, fresh = set(memories), list(memories)
    while fresh:
        query = select(EDGE.c.source_id).where(
            EDGE.c.tenant_id == tenant, EDGE.c.kind == EdgeKind.DERIVED_FROM.value
        )
        sources = {str(row.source_id) for row in _among(connection, query, EDGE.c.target_id, fresh)}
        fresh = sorted(sources - found)
        found |= sources
    return _living(connection, tenant, sorted(found - set(memories)))


def _edges(connection: Connection, tenant: str, memories: Sequence[str]) -> set[tuple[str, str, str]]:
    query = select(EDGE.c.kind, EDGE.c.source_id, EDGE.c.target_id).where(EDGE.c.tenant_id == tenant)
    return {
        (row.kind, row.source_id, row.target_id)
        for end in (EDGE.c.source_id, EDGE.c.target_id)
        for row in _among(connection, query, end, memories)
    }


def _living(connection: Connection, tenant: str, memories: Sequence[str]) -> set[str]:
    query = select(MEMORY.c.memory_id).distinct().where(MEMORY.c.tenant_id == tenant)
    return {str(row.memory_id) for row in _among(connection, query, MEMORY.c.memory_id, memories)}


def _about(connection: Connection, table: Table, tenant: str, memories: Sequence[str]) -> int:
    query = select(func.count()).select_from(table).where(table.c.tenant_id == tenant)
    return sum(int(row[0]) for row in _among(connection, query, table.c.memory_id, memories))


def _count(connection: Connection, table: Table, tenant: str, where: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(table).where(table.c.tenant_id == tenant, where)
    return int(connection.execute(query).scalar_one())


def _among(
    connection: Connection, query: Select[Any], column: Column[Any], ids: Sequence[str]
) -> Iterator[Row[Any]]:
    for some in pieces(ids, _CHUNK):
        yield from connection.execute(query.where(column.in_(some)))


def pieces(ids: Sequence[_Id], size: int) -> Iterator[Sequence[_Id]]:
    """Cut into pieces of at most that size."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def last_written(connection: Connection, tenant: str, subject: str) -> int:
    """Return the entry that wrote the last version of a person's memories; -1 where there is none."""
    query = select(func.coalesce(func.max(MEMORY.c.leaf_index), -1)).where(*_related(tenant, subject))
    return int(connection.execute(query).scalar_one())


def came_since(connection: Connection, tenant: str, found: Belongings) -> Since:
    """Return what came to a person's belongings since they were looked at; cheap enough for a writer's transaction."""
    query = select(MEMORY.c.memory_id, cast(MEMORY.c.subjects, LargeBinary).label("subjects")).where(
        *_related(tenant, found.subject), MEMORY.c.leaf_index > found.last
    )
    rows = connection.execute(query).all()
    memories = tuple(sorted({str(row.memory_id) for row in rows}))
    named = {one for row in rows for one in split_subjects(_text(row.subjects))}
    derived = _derived(connection, tenant, memories) - set(found.everything)
    return Since(memories, frozenset(named) - found.other_subjects - {found.subject}, frozenset(derived))


def _related(tenant: str, subject: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    # As a subquery: SQLite goes through the person's rows alone, where it would go through all as a join.
    related = select(MEMORY_SUBJECT.c.memory_id).where(
        MEMORY_SUBJECT.c.tenant_id == tenant, MEMORY_SUBJECT.c.subject_id == subject
    )
    return MEMORY.c.tenant_id == tenant, MEMORY.c.memory_id.in_(related)
