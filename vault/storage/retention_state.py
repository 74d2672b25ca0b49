"""What one run of retention leaves for the next: the clock it saw, and how far it read the log.

Owns one row of the `job` table for each tenant. It leaves what the clock is believed to `vault.clock_watch`, and
reading the log to `vault.usage`.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import Connection, and_, select, update

from audit.log import Leaf
from vault.storage.schema import JOB, TENANT

STATE: Final = "retention"
"""Name of the row; no job is called so."""
_MINE: Final = JOB.c.name == STATE


@dataclass(frozen=True, slots=True)
class RetentionState:
    """As of the last run."""

    clock: int
    """What the clock said then; before the first run, when the tenant was made. Microseconds since 1970 UTC."""
    read: int = 0
    """Leaf index up to which the log was read for uses."""
    valued: str = ""
    """The last memory that was asked whether it says anything."""


@dataclass(frozen=True, slots=True)
class SaveState:
    """Saves what differs; `change` is a `vault.storage.group_commit.Change`."""

    tenant: str
    clock: int | None = None
    read: int | None = None
    valued: str | None = None

    def change(self, connection: Connection, _leaves: Sequence[Leaf]) -> None:
        """Save in the caller's transaction."""
        state = asdict(load_state(connection, self.tenant))
        given = {"clock": self.clock, "read": self.read, "valued": self.valued}
        state |= {name: value for name, value in given.items() if value is not None}
        cursor = json.dumps(state)
        mine = update(JOB).where(JOB.c.tenant_id == self.tenant, _MINE).values(cursor=cursor)
        if connection.execute(mine).rowcount == 0:
            row = {"tenant_id": self.tenant, "name": STATE, "cursor": cursor, "paused": 0, "due": 0}
            connection.execute(JOB.insert(), [{**row, "counts": "{}"}])


def load_state(connection: Connection, tenant: str) -> RetentionState:
    """Return the state; one that cannot be read is that of a tenant that never had a run.

    So a row that was tampered with makes the clock be confirmed and the log be read again, and nothing else.
    """
    made = select(TENANT.c.created).where(TENANT.c.tenant_id == tenant)
    fresh = RetentionState(int(connection.execute(made).scalar() or 0))
    kept = select(JOB.c.cursor).where(and_(JOB.c.tenant_id == tenant, _MINE))
    try:
        found = json.loads(str(connection.execute(kept).scalar() or ""))
        return RetentionState(_whole(found["clock"]), _whole(found["read"]), str(found["valued"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return fresh


def _whole(value: object) -> int:
    if type(value) is not int or value < 0:
        raise TypeError("expected a whole number")
    return value
