"""Rows of memories that somebody is to decide about.

Owns adding, reading and closing them. It leaves why a memory comes up to `vault.expiry` and `vault.staleness`, and
who decides to `vault.review`. A row stays when somebody decided to keep the memory: it says since when.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, and_, select, update

from audit.log import Leaf
from vault.storage.due import KEPT
from vault.storage.schema import MEMORY, REVIEW


class Review(NamedTuple):
    """A memory that waits for somebody's decision."""

    memory_id: str
    reason: str
    since: int
    leaf_index: int
    retention: str
    recorded: int


@dataclass(frozen=True, slots=True)
class AddReviews:
    """Memories come up; `change` is a `vault.storage.group_commit.Change`."""

    tenant: str
    memory_ids: Sequence[str]
    reason: str
    now: int
    kept_since: int
    """What somebody kept after this is left alone."""

    def change(self, connection: Connection, leaves: Sequence[Leaf]) -> None:
        """Add rows in the caller's transaction; what waits, was kept lately or is gone meanwhile gets none."""
        ids = list(self.memory_ids)
        mine = and_(REVIEW.c.tenant_id == self.tenant, REVIEW.c.memory_id.in_(ids))
        long_ago = and_(REVIEW.c.reason == KEPT, REVIEW.c.since <= self.kept_since)
        connection.execute(REVIEW.delete().where(mine, long_ago))
        waiting = set(connection.execute(select(REVIEW.c.memory_id).where(mine)).scalars())
        current = and_(
            MEMORY.c.tenant_id == self.tenant, MEMORY.c.memory_id.in_(ids), MEMORY.c.is_current == 1
        )
        there = set(connection.execute(select(MEMORY.c.memory_id).where(current)).scalars())
        rows = [
            {
                "tenant_id": self.tenant,
                "memory_id": memory_id,
                "reason": self.reason,
                "since": self.now,
                "leaf_index": leaves[0].index,
            }
            for memory_id in self.memory_ids
            if memory_id in there - waiting
        ]
        if rows:
            connection.execute(REVIEW.insert(), rows)


@dataclass(frozen=True, slots=True)
class Keep:
    """Somebody keeps a memory; `change` is a `vault.storage.group_commit.Change`."""

    tenant: str
    memory_id: str
    now: int

    def change(self, connection: Connection, leaves: Sequence[Leaf]) -> None:
        """Note it in the caller's transaction."""
        mine = and_(REVIEW.c.tenant_id == self.tenant, REVIEW.c.memory_id == self.memory_id)
        values = {"reason": KEPT, "since": self.now, "leaf_index": leaves[0].index}
        connection.execute(update(REVIEW).where(mine).values(values))


def waiting_reviews(
    connection: Connection, tenant: str, after: str = "", limit: int = 1_000, memory_id: str | None = None
) -> list[Review]:
    """Return memories that wait for a decision, in order of their ids."""
    same = and_(MEMORY.c.tenant_id == REVIEW.c.tenant_id, MEMORY.c.memory_id == REVIEW.c.memory_id)
    columns = (REVIEW.c.memory_id, REVIEW.c.reason, REVIEW.c.since, REVIEW.c.leaf_index)
    query = (
        select(*columns, MEMORY.c.retention, MEMORY.c.recorded)
        .select_from(REVIEW.join(MEMORY, and_(same, MEMORY.c.is_current == 1)))
        .where(REVIEW.c.tenant_id == tenant, REVIEW.c.reason != KEPT, REVIEW.c.memory_id > after)
        .order_by(REVIEW.c.memory_id)
        .limit(limit)
    )
    if memory_id is not None:
        query = query.where(REVIEW.c.memory_id == memory_id)
    return [Review(*row) for row in connection.execute(query)]
