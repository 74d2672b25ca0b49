"""What an answer is opened from: memories with their episodes, in one look at the database.

Owns the statement that every read by id and every search runs: filtered by the tenant and reach of a grant
like all of `vault.storage.read_unit`, whose conditions it takes. It goes to the driver as it
is: two statements through Core were a fifth of a search (docs/benchmarks.md).
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import Connection, Dialect, Row, Table, and_, bindparam, select, true

from audit.driver import DriverStatement
from policies.model import AccessTier, Purpose, Relation
from vault.crypto.sealed import Sealed
from vault.errors import TamperedError
from vault.grant import Grant
from vault.storage.columns import SealedColumn
from vault.storage.read_unit import Reach, within
from vault.storage.restricting import usable
from vault.storage.rows import StoredEpisode, StoredMemory, stored_episode, stored_memory
from vault.storage.schema import EPISODE, MEMORY
from vault.storage.served import UNSUPPORTED, WHY_NOT_SERVED

_LEAST: Final = 8
_SEALED: Final = SealedColumn()
_Row = Row[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class FoundRows:
    """Rows of an answer."""

    memories: dict[str, StoredMemory] = field(default_factory=dict)
    """Current versions within reach, by id."""
    episodes: dict[str, StoredEpisode] = field(default_factory=dict)
    """Those of the memories' episodes that are within reach, by id."""
    damaged: list[str] = field(default_factory=list)
    """Ids of rows within reach that are not of the form of a memory, or in quarantine: left out, for the caller to log."""


class _MemoryRow(NamedTuple):
    """The columns of a memory, in the order of the statement; of whatever type the database holds."""

    memory_id: Any
    version: Any
    episode_id: Any
    position: Any
    owner: Any
    access_tier: Any
    memory_tier: Any
    trust: Any
    subjects: Any
    recorded: Any
    purpose: Any
    retention: Any
    retention_rule: Any
    term_start: Any
    leaf_index: Any
    detector: Any
    text: Any
    attributes: Any
    originals: Any
    terms: Any


class _EpisodeRow(NamedTuple):
    episode_id: Any
    owner: Any
    access_tier: Any
    subjects: Any
    kind: Any
    recorded: Any
    attributes: Any


_MEMORY_COLUMNS: Final = len(_MemoryRow._fields)
_COLUMNS: Final = [
    *(MEMORY.c[name] for name in _MemoryRow._fields),
    *(EPISODE.c[name] for name in _EpisodeRow._fields),
    WHY_NOT_SERVED.label("why_not_served"),
]


def found_rows(connection: Connection, grant: Grant, memory_ids: Sequence[str]) -> FoundRows:
    """Return those memories, some hundreds at most, that are within a grant's reach, and their episodes."""
    size = _LEAST
    while size < len(memory_ids):
        size *= 2
    statement, constants = _statement(grant.reach, grant.purpose, size, consent=grant.consent)
    values: dict[str, object] = {**constants, "tenant": grant.tenant, "me": grant.principal.id}
    values.update((f"id_{place}", memory_id) for place, memory_id in enumerate(memory_ids))
    values.update((f"id_{place}", None) for place in range(len(memory_ids), size))
    found, dialect = FoundRows(), connection.dialect
    for row in statement.rows(connection, values):
        memory = _MemoryRow._make(_wrapped(row[:_MEMORY_COLUMNS], _MEMORY_CONTENT, dialect))
        try:
            stored = stored_memory(cast("_Row", memory))
        except TamperedError:
            found.damaged.append(str(memory.memory_id))
            continue
        if row[-1] is not None:
            if row[-1] != UNSUPPORTED:  # with which nothing is wrong: it is as if it were not there
                found.damaged.append(stored.memory_id)
            continue
        found.memories[stored.memory_id] = stored
        of_episode = row[_MEMORY_COLUMNS:-1]
        episode_id = of_episode[0]
        if episode_id is not None and episode_id not in found.episodes:
            episode = _EpisodeRow._make(_wrapped(of_episode, _EPISODE_CONTENT, dialect))
            with suppress(TamperedError):  # its memories stand without a title
                found.episodes[episode_id] = stored_episode(cast("_Row", episode))
    return found


@lru_cache(maxsize=1024)
def _statement(
    reach: Reach, purpose: Purpose, size: int, *, consent: bool
) -> tuple[DriverStatement, dict[str, object]]:
    """Return the statement for so many ids, and the values of it that never change."""
    of_memory = and_(
        EPISODE.c.tenant_id == MEMORY.c.tenant_id,
        EPISODE.c.episode_id == MEMORY.c.episode_id,
        within(reach, EPISODE.c.access_tier, EPISODE.c.owner),
        # The care team is that of whom the memory is about: an episode about others stays closed.
        EPISODE.c.subjects == MEMORY.c.subjects if _tells_teams(reach) else true(),
    )
    ids = [bindparam(f"id_{place}", type_=MEMORY.c.memory_id.type) for place in range(size)]
    statement = (
        select(*_COLUMNS)
        .select_from(MEMORY.outerjoin(EPISODE, of_memory))
        .where(
            MEMORY.c.tenant_id == bindparam("tenant"),
            MEMORY.c.memory_id.in_(ids),
            MEMORY.c.is_current == 1,
            within(reach, MEMORY.c.access_tier, MEMORY.c.owner),
            usable(purpose, consent=consent),
        )
    )
    constants = {name: value for name, value in statement.compile().params.items() if value is not None}
    return DriverStatement(statement), constants


def _tells_teams(reach: Reach) -> bool:
    """Say whether reach tells a care team from the rest of the institution."""
    return any(
        ((tier, Relation.CARE_TEAM) in reach) is not ((tier, Relation.INSTITUTION) in reach)
        for tier in AccessTier
    )


def _content(table: Table, names: Sequence[str]) -> tuple[int, ...]:
    return tuple(place for place, name in enumerate(names) if isinstance(table.c[name].type, SealedColumn))


_MEMORY_CONTENT: Final = _content(MEMORY, _MemoryRow._fields)
_EPISODE_CONTENT: Final = _content(EPISODE, _EpisodeRow._fields)


def _wrapped(row: Sequence[Any], content: tuple[int, ...], dialect: Dialect) -> list[Any]:
    """Return a row's values with the sealed ones wrapped, as their column type does it."""
    values = list(row)
    for place in content:
        value = values[place]
        values[place] = (
            Sealed(value) if type(value) is bytes else _SEALED.process_result_value(value, dialect)
        )
    return values
