"""Rows by memory tier: which there are, which are to be opened beforehand, and the change that moves some.

Owns the statements. It leaves why a memory moves to `policies.placement` and `vault.tiers.placement`, and what
compressed content is to `vault.archiving`. A row about somebody who is being erased is left where it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, exists, func, select, text, update

from audit.log import Leaf
from vault.errors import ConflictError
from vault.model import MemoryTier
from vault.storage.schema import ERASURE, IN_ACTIVATION, MEMORY, MEMORY_SUBJECT, USAGE
from vault.storage.served import NOT_SERVED

BEING_ERASED: Final[ColumnElement[bool]] = exists().where(
    MEMORY_SUBJECT.c.tenant_id == MEMORY.c.tenant_id,
    MEMORY_SUBJECT.c.memory_id == MEMORY.c.memory_id,
    ERASURE.c.tenant_id == MEMORY.c.tenant_id,
    ERASURE.c.subject_id == MEMORY_SUBJECT.c.subject_id,
)
"""Of a memory in the same statement: it is about somebody whose erasure was begun."""
_SIZE: Final = (
    func.length(MEMORY.c.text)
    + func.length(MEMORY.c.attributes)
    + func.coalesce(func.length(MEMORY.c.originals), 0)
    + func.length(MEMORY.c.terms)
)


class TierRow(NamedTuple):
    """What placement looks at of a memory's row."""

    memory_id: str
    version: int
    memory_tier: str
    retention: str
    recorded: int
    last_used: int | None


class TierCount(NamedTuple):
    """How much stands in one memory tier."""

    memory_tier: str
    memories: int
    """Current versions."""
    size: int
    """Bytes of sealed content of these."""


@dataclass(frozen=True, slots=True)
class MoveRows:
    """Moves between tiers whose content has the same form; `change` is a `vault.storage.group_commit.Change`."""

    tenant: str
    rows: Sequence[TierRow]
    """As they were read."""
    to: MemoryTier

    def change(self, connection: Connection, _leaves: Sequence[Leaf]) -> None:
        """Write in the caller's transaction.

        Raises:
            ConflictError: a row is not the one that was read any more; nothing is written.
        """
        for row in self.rows:
            there = and_(
                MEMORY.c.tenant_id == self.tenant,
                MEMORY.c.memory_id == row.memory_id,
                MEMORY.c.version == row.version,
                MEMORY.c.is_current == 1,
                MEMORY.c.memory_tier == row.memory_tier,
                ~BEING_ERASED,
            )
            moved = update(MEMORY).where(there).values(memory_tier=self.to.value)
            if connection.execute(moved).rowcount != 1:
                raise ConflictError("a memory was changed or erased meanwhile: read it again")


def tier_page(connection: Connection, tenant: str, after: str, limit: int) -> list[TierRow]:
    """Return current memories after one, in order of their ids; none in quarantine or about to be erased."""
    return _rows(connection, tenant, MEMORY.c.memory_id > after, limit)


def tier_row(connection: Connection, tenant: str, memory_id: str) -> TierRow | None:
    """Return one current memory; None where it is not there, in quarantine or about to be erased."""
    return next(iter(_rows(connection, tenant, MEMORY.c.memory_id == memory_id, 1)), None)


def expect_unerased(tenant: str, memory_ids: Sequence[str], connection: Connection) -> None:
    """See, in the transaction of a move, that none of these is about somebody who is being erased.

    Raises:
        ConflictError: one is.
    """
    query = select(MEMORY.c.memory_id).where(
        MEMORY.c.tenant_id == tenant, MEMORY.c.memory_id.in_(list(memory_ids)), BEING_ERASED
    )
    if connection.execute(query.limit(1)).first() is not None:
        raise ConflictError("a memory is being erased")


def count_tiers(connection: Connection, tenant: str) -> list[TierCount]:
    """Return how much stands in each memory tier that holds anything."""
    query = (
        select(MEMORY.c.memory_tier, func.count(), func.sum(_SIZE))
        .where(MEMORY.c.tenant_id == tenant, MEMORY.c.is_current == 1)
        .group_by(MEMORY.c.memory_tier)
    )
    return [
        TierCount(str(tier), int(count), int(size or 0)) for tier, count, size in connection.execute(query)
    ]


def to_warm(connection: Connection, tenant: str, limit: int) -> list[str]:
    """Return ids of what is to be opened beforehand, the latest used first, then the latest written."""
    query = (
        select(MEMORY.c.memory_id)
        .select_from(MEMORY.outerjoin(USAGE, _USED))
        .where(
            MEMORY.c.tenant_id == tenant,
            text(IN_ACTIVATION),
            MEMORY.c.is_current == 1,
            ~NOT_SERVED,
            ~BEING_ERASED,
        )
        .order_by(func.coalesce(USAGE.c.last_used, MEMORY.c.recorded).desc(), MEMORY.c.memory_id.desc())
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


_USED: Final = and_(USAGE.c.tenant_id == MEMORY.c.tenant_id, USAGE.c.memory_id == MEMORY.c.memory_id)


def _rows(connection: Connection, tenant: str, which: ColumnElement[bool], limit: int) -> list[TierRow]:
    query = (
        select(
            MEMORY.c.memory_id,
            MEMORY.c.version,
            MEMORY.c.memory_tier,
            MEMORY.c.retention,
            MEMORY.c.recorded,
            USAGE.c.last_used,
        )
        .select_from(MEMORY.outerjoin(USAGE, _USED))
        .where(MEMORY.c.tenant_id == tenant, MEMORY.c.is_current == 1, which, ~NOT_SERVED, ~BEING_ERASED)
        .order_by(MEMORY.c.memory_id)
        .limit(limit)
    )
    return [TierRow(*row) for row in connection.execute(query)]
