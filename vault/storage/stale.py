"""Which memories look stale by their rows, and which are new since they were last looked at.

Owns the queries. What is stale, and why, is `vault.staleness`'.
"""

from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, exists, or_, select

from vault.model import EdgeKind, MemoryTier, TrustState
from vault.storage.due import KEPT
from vault.storage.schema import EDGE, MEMORY, REVIEW, USAGE

_DISPUTED: Final = MEMORY.c.trust == TrustState.DISPUTED.value
_SUPERSEDED: Final = exists().where(
    EDGE.c.tenant_id == MEMORY.c.tenant_id,
    EDGE.c.target_id == MEMORY.c.memory_id,
    EDGE.c.kind == EdgeKind.SUPERSEDES.value,
)


def stale_page(  # noqa: PLR0917  # what a page is of
    connection: Connection,
    tenant: str,
    reason: str,
    unused: int,
    kept_since: int,
    after: str,
    limit: int,
    *,
    but_archived: bool = False,
) -> list[str]:
    """Return memories that come up for a reason and do not wait already, in order of their ids.

    Args:
        connection: A reading one, of the tenant.
        tenant: Whose.
        reason: `disputed`, `superseded` or `unused`.
        unused: Written and used then or earlier is unused; microseconds since 1970 UTC.
        kept_since: What somebody kept after this is left alone.
        after: The last memory of the page before.
        limit: Most memories.
        but_archived: Leave out what is in reference memory.
    """
    used = exists().where(
        USAGE.c.tenant_id == MEMORY.c.tenant_id,
        USAGE.c.memory_id == MEMORY.c.memory_id,
        USAGE.c.last_used > unused,
    )
    conditions: dict[str, ColumnElement[bool]] = {
        "disputed": _DISPUTED,
        "superseded": _SUPERSEDED,
        "unused": and_(MEMORY.c.recorded <= unused, ~used),
    }
    waits = exists().where(
        REVIEW.c.tenant_id == MEMORY.c.tenant_id,
        REVIEW.c.memory_id == MEMORY.c.memory_id,
        or_(REVIEW.c.reason != KEPT, REVIEW.c.since > kept_since),
    )
    query = (
        select(MEMORY.c.memory_id)
        .where(MEMORY.c.tenant_id == tenant, MEMORY.c.is_current == 1, MEMORY.c.memory_id > after)
        .where(conditions[reason], ~waits)
        .order_by(MEMORY.c.memory_id)
        .limit(limit)
    )
    if but_archived:
        query = query.where(MEMORY.c.memory_tier != MemoryTier.REFERENCE.value)
    return list(connection.execute(query).scalars())


def memories_after(connection: Connection, tenant: str, after: str, limit: int) -> list[str]:
    """Return the current memories after one, in order of their ids, which is that of their making."""
    query = (
        select(MEMORY.c.memory_id)
        .where(MEMORY.c.tenant_id == tenant, MEMORY.c.is_current == 1, MEMORY.c.memory_id > after)
        .order_by(MEMORY.c.memory_id)
        .limit(limit)
    )
    return list(connection.execute(query).scalars())
