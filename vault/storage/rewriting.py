"""Writing rows anew in their place: the same memory, version and provenance under other bytes.

Owns the statements that put a screened or sealed again row in the place of the one that was read, if that one
still stands there. It leaves what is sealed to the callers, and the entry that names the new digests (by
`memories`, `versions` and `digests`) to their write sets. Nothing else overwrites content.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Connection, and_, bindparam, select, tuple_, update

from audit.log import Leaf
from vault.errors import ConflictError, TamperedError
from vault.storage.rows import StoredEpisode, StoredMemory, stored_episode, stored_memory
from vault.storage.schema import EMBEDDING, EPISODE, MEMORY

_REPLACE_MEMORY: Final = (
    update(MEMORY)
    .where(
        MEMORY.c.tenant_id == bindparam("of"),
        MEMORY.c.memory_id == bindparam("id"),
        MEMORY.c.version == bindparam("number"),
        MEMORY.c.text == bindparam("was", type_=MEMORY.c.text.type),
    )
    .values({name: bindparam(f"new_{name}", type_=MEMORY.c[name].type) for name in (
        "text", "attributes", "originals", "terms", "detector", "resealed",
        "retention", "retention_rule", "term_start", "memory_tier",
    )})
)  # fmt: skip
_REPLACE_EPISODE: Final = (
    update(EPISODE)
    .where(
        EPISODE.c.tenant_id == bindparam("of"),
        EPISODE.c.episode_id == bindparam("id"),
        EPISODE.c.attributes == bindparam("was", type_=EPISODE.c.attributes.type),
    )
    .values(
        {name: bindparam(f"new_{name}", type_=EPISODE.c[name].type) for name in ("attributes", "resealed")}
    )
)


class VersionRow(NamedTuple):
    """A version of a memory as it was read."""

    stored: StoredMemory
    is_current: bool


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What one transaction writes anew.

    Add `change` to a write set whose first entry names memories, versions and digests.

    Args:
        tenant: Whose.
        memories: What was read, and what takes its place: same memory, same version; its content, retention and
            memory tier may differ.
        episodes: The same of episodes.
        texts_changed: Memories whose vector is of another text now, and goes.
    """

    tenant: str
    memories: Sequence[tuple[StoredMemory, StoredMemory]]
    episodes: Sequence[tuple[StoredEpisode, StoredEpisode]] = ()
    texts_changed: Sequence[str] = ()

    def change(self, connection: Connection, leaves: Sequence[Leaf]) -> None:
        """Write in the caller's transaction; a `vault.storage.group_commit.Change`.

        Raises:
            ConflictError: a row is not the one that was read any more; nothing is written.
        """
        index = leaves[0].index
        for before, after in self.memories:
            values = {
                "of": self.tenant,
                "id": before.memory_id,
                "number": before.version,
                "was": before.text,
                "new_text": after.text,
                "new_attributes": after.attributes,
                "new_originals": after.originals,
                "new_terms": after.terms,
                "new_detector": after.detector,
                "new_resealed": index,
                "new_retention": after.retention.class_id,
                "new_retention_rule": after.retention.rule,
                "new_term_start": after.retention.start,
                "new_memory_tier": after.memory_tier.value,
            }
            if connection.execute(_REPLACE_MEMORY, values).rowcount != 1:
                raise ConflictError("a row was changed meanwhile: read it again")
        for before_it, after_it in self.episodes:
            anew = {
                "of": self.tenant,
                "id": before_it.episode_id,
                "was": before_it.attributes,
                "new_attributes": after_it.attributes,
                "new_resealed": index,
            }
            if connection.execute(_REPLACE_EPISODE, anew).rowcount != 1:
                raise ConflictError("a row was changed meanwhile: read it again")
        if self.texts_changed:
            stale = and_(
                EMBEDDING.c.tenant_id == self.tenant, EMBEDDING.c.memory_id.in_(list(self.texts_changed))
            )
            connection.execute(EMBEDDING.delete().where(stale))


def versions_of_other_detector(
    connection: Connection, tenant: str, stamp: str, after: tuple[str, int], limit: int
) -> tuple[list[VersionRow], tuple[str, int] | None]:
    """Return versions of memories that another detector screened, in order of their ids, from after a place.

    Args:
        connection: A reading one, of the tenant.
        tenant: Whose.
        stamp: Of the present detector.
        after: Memory id and version of the last one looked at.
        limit: Most rows looked at.

    Returns:
        The rows that are of the form of one, and the place to go on from; None at the end.
    """
    query = (
        select(MEMORY)
        .where(
            MEMORY.c.tenant_id == tenant,
            MEMORY.c.detector != stamp,
            tuple_(MEMORY.c.memory_id, MEMORY.c.version) > after,
        )
        .order_by(MEMORY.c.memory_id, MEMORY.c.version)
        .limit(limit)
    )
    rows = connection.execute(query).all()
    found: list[VersionRow] = []
    for row in rows:
        try:
            found.append(VersionRow(stored_memory(row), row.is_current == 1))
        except TamperedError:
            continue  # the consistency job's to report (law 12)
    return found, (rows[-1].memory_id, rows[-1].version) if rows else None


def memories_of_episode(connection: Connection, tenant: str, episode_id: str) -> list[str]:
    """Return the ids of an episode's memories."""
    query = select(MEMORY.c.memory_id).where(MEMORY.c.tenant_id == tenant, MEMORY.c.episode_id == episode_id)
    return list(connection.execute(query.distinct()).scalars())


def episodes_after(
    connection: Connection, tenant: str, after: str, limit: int
) -> tuple[list[StoredEpisode], str | None]:
    """Return episodes in order of their ids, and the place to go on from; None at the end."""
    query = (
        select(EPISODE)
        .where(EPISODE.c.tenant_id == tenant, EPISODE.c.episode_id > after)
        .order_by(EPISODE.c.episode_id)
        .limit(limit)
    )
    rows = connection.execute(query).all()
    found: list[StoredEpisode] = []
    for row in rows:
        try:
            found.append(stored_episode(row))
        except TamperedError:
            continue
    return found, rows[-1].episode_id if rows else None
