"""Rows of a distilled memory, written together with the retiring of what it was made of.

Owns the change. It leaves what is put together, and by which rule, to `vault.queueing.distilling`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, select, update

from audit.log import Leaf
from vault.errors import ConflictError
from vault.model import EdgeKind, TrustState
from vault.storage.placing import expect_unerased
from vault.storage.rows import StoredEpisode, StoredMemory
from vault.storage.schema import EDGE, EPISODE, MEMORY, MEMORY_SUBJECT


@dataclass(frozen=True, slots=True)
class AddDistilled:
    """A memory in the place of others; `change` is a `vault.storage.group_commit.Change`."""

    tenant: str
    episode: StoredEpisode
    memory: StoredMemory
    sources: Sequence[StoredMemory]
    """As they were read."""

    def change(self, connection: Connection, leaves: Sequence[Leaf]) -> None:
        """Write in the caller's transaction.

        Raises:
            ConflictError: a source was changed, removed or is being erased meanwhile; nothing is written.
        """
        tenant, index = self.tenant, leaves[0].index
        expect_unerased(tenant, [one.memory_id for one in self.sources], connection)
        for source in self.sources:
            set_trust(connection, tenant, source, TrustState.VERIFIED, TrustState.REVOKED)
        connection.execute(EPISODE.insert(), {**self.episode.row(tenant), "leaf_index": index})
        connection.execute(MEMORY.insert(), {**self.memory.row(tenant), "leaf_index": index})
        about = [
            {"tenant_id": tenant, "subject_id": subject, "memory_id": self.memory.memory_id}
            for subject in self.memory.subjects
        ]
        connection.execute(MEMORY_SUBJECT.insert(), about)
        edges = [
            {
                "tenant_id": tenant,
                "source_id": self.memory.memory_id,
                "kind": EdgeKind.DERIVED_FROM.value,
                "target_id": source.memory_id,
                "leaf_index": index,
            }
            for source in self.sources
        ]
        connection.execute(EDGE.insert(), edges)


def set_trust(
    connection: Connection, tenant: str, row: StoredMemory, before: TrustState, after: TrustState
) -> None:
    """Change the trust of a memory that was read.

    Raises:
        ConflictError: it has another version or trust by now, or is gone.
    """
    same = and_(
        MEMORY.c.tenant_id == tenant,
        MEMORY.c.memory_id == row.memory_id,
        MEMORY.c.version == row.version,
        MEMORY.c.is_current == 1,
        MEMORY.c.trust == before.value,
    )
    if connection.execute(update(MEMORY).where(same).values(trust=after.value)).rowcount != 1:
        raise ConflictError("a memory was changed meanwhile: read it again")


def sources_of(connection: Connection, tenant: str, memory_id: str) -> list[str]:
    """Return of which memories one was distilled: what was linked to it by another entry is no source of that kind."""
    itself = and_(
        MEMORY.c.tenant_id == EDGE.c.tenant_id,
        MEMORY.c.memory_id == EDGE.c.source_id,
        MEMORY.c.leaf_index == EDGE.c.leaf_index,
        MEMORY.c.version == 1,
    )
    query = (
        select(EDGE.c.target_id)
        .select_from(EDGE.join(MEMORY, itself))
        .where(
            EDGE.c.tenant_id == tenant,
            EDGE.c.source_id == memory_id,
            EDGE.c.kind == EdgeKind.DERIVED_FROM.value,
        )
    )
    return sorted(connection.execute(query).scalars())
