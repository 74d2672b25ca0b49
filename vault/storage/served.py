"""Which rows are served at all: those in quarantine are not, whoever asks (law 12).

Owns the one condition, which every statement that reads memories for somebody has. Statements for the vault's own
work, such as erasure, expiry and the comparison with the log, have not: a bad row is removed like any other.
"""

from typing import Final

from sqlalchemy import ColumnElement, and_, exists, select

from vault.storage.schema import MEMORY, QUARANTINE

UNSUPPORTED: Final = "unsupported"
"""Reason of a row with which nothing is wrong: `vault.guarding.held_back`."""
_SAME: Final = and_(
    QUARANTINE.c.tenant_id == MEMORY.c.tenant_id,
    QUARANTINE.c.memory_id == MEMORY.c.memory_id,
    QUARANTINE.c.version == MEMORY.c.version,
)
NOT_SERVED: Final[ColumnElement[bool]] = exists().where(_SAME)
"""Of a version of a memory in the same statement: it is in quarantine."""
WHY_NOT_SERVED: Final = select(QUARANTINE.c.reason).where(_SAME).correlate(MEMORY).scalar_subquery()
"""The reason of that; null where it is served."""
