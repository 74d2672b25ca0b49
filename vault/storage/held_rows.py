"""Rows of quarantine by their reason, for what a person may let go."""

from typing import Final, NamedTuple

from sqlalchemy import Connection, and_, select

from vault.storage.schema import QUARANTINE

MAX_LISTED: Final = 1_000


class HeldRow(NamedTuple):
    """A version that is not served."""

    memory_id: str
    version: int
    since: int


def held_rows(connection: Connection, tenant: str, reason: str) -> list[HeldRow]:
    """Return what is held back for a reason, the longest first."""
    query = (
        select(QUARANTINE.c.memory_id, QUARANTINE.c.version, QUARANTINE.c.since)
        .where(QUARANTINE.c.tenant_id == tenant, QUARANTINE.c.reason == reason)
        .order_by(QUARANTINE.c.since, QUARANTINE.c.memory_id)
        .limit(MAX_LISTED)
    )
    return [HeldRow(*row) for row in connection.execute(query)]


def release_row(connection: Connection, tenant: str, row: HeldRow) -> bool:
    """Serve a version again, in the caller's transaction; say whether it was held back still."""
    one = and_(
        QUARANTINE.c.tenant_id == tenant,
        QUARANTINE.c.memory_id == row.memory_id,
        QUARANTINE.c.version == row.version,
        QUARANTINE.c.since == row.since,
    )
    return connection.execute(QUARANTINE.delete().where(one)).rowcount == 1
