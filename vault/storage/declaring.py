"""Rows of declared emergencies: added, ended once, judged once by another, never deleted.

Owns the statements; guards in the database say the same (`vault.storage.guards`). It leaves who may do what to
`vault.emergencies`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, exists, select, update

from audit.errors import AuditError
from audit.event import EventType, Outcome, parse_header, verify_payload
from audit.log import Leaf
from audit.store import LEAF
from policies.model import Purpose
from vault.clock import from_microseconds, microseconds
from vault.emergency_terms import Declared, EmergencyReason, EmergencyVerdict
from vault.errors import ConflictError
from vault.storage.schema import EMERGENCY

ANOTHER: Final = "expected somebody else than who declared the emergency"


@dataclass(frozen=True, slots=True)
class AddEmergency:
    """Adds an emergency in the caller's transaction; see `change`."""

    row: Mapping[str, object]
    """All but the index of its entry."""

    def change(self, connection: Connection, leaves: Sequence[Leaf]) -> None:
        """Add it; a `vault.storage.group_commit.Change`.

        Raises:
            ConflictError: the same principal has one that did not end yet.
        """
        mine = EMERGENCY.c.principal_id == self.row["principal_id"]
        running = _of(str(self.row["tenant_id"]), mine, EMERGENCY.c.stopped.is_(None))
        if connection.execute(select(EMERGENCY.c.emergency_id).where(running)).first() is not None:
            raise ConflictError("an emergency of the same principal is in force: end it first")
        connection.execute(EMERGENCY.insert(), [{**self.row, "leaf_index": leaves[0].index}])


@dataclass(frozen=True, slots=True)
class EndEmergency:
    """Ends an emergency in the caller's transaction; see `change`."""

    tenant: str
    emergency_id: str
    stopped: int
    stopped_by: str

    def change(self, connection: Connection, _leaves: Sequence[Leaf]) -> None:
        """End it.

        Raises:
            ConflictError: it is over.
        """
        running = _one(self.tenant, self.emergency_id, EMERGENCY.c.stopped.is_(None))
        values = {"stopped": self.stopped, "stopped_by": self.stopped_by}
        if connection.execute(update(EMERGENCY).where(running).values(values)).rowcount != 1:
            raise ConflictError("the emergency is over")


@dataclass(frozen=True, slots=True)
class JudgeEmergency:
    """Writes how an emergency was judged, in the caller's transaction; see `change`."""

    tenant: str
    emergency_id: str
    verdict: EmergencyVerdict
    reviewed: int
    reviewed_by: str

    def change(self, connection: Connection, _leaves: Sequence[Leaf]) -> None:
        """Write it.

        Raises:
            ConflictError: it is not over, was judged, or who judges declared it.
        """
        judged = _one(
            self.tenant,
            self.emergency_id,
            EMERGENCY.c.stopped.is_not(None),
            EMERGENCY.c.reviewed.is_(None),
            EMERGENCY.c.principal_id != self.reviewed_by,
        )
        values = {
            "verdict": self.verdict.value,
            "reviewed": self.reviewed,
            "reviewed_by": self.reviewed_by,
        }
        if connection.execute(update(EMERGENCY).where(judged).values(values)).rowcount != 1:
            raise ConflictError("expected an emergency that is over and not judged yet, of somebody else")


@dataclass(frozen=True, slots=True)
class MarkNoticed:
    """Writes that the notice to the officers went out; once."""

    tenant: str
    emergency_id: str
    noticed: int

    def change(self, connection: Connection, _leaves: Sequence[Leaf]) -> None:
        """Write it; where it was written already, it stays."""
        unnoticed = _one(self.tenant, self.emergency_id, EMERGENCY.c.noticed.is_(None))
        connection.execute(update(EMERGENCY).where(unnoticed).values(noticed=self.noticed))


def emergency(connection: Connection, tenant: str, emergency_id: str) -> Declared | None:
    """Return an emergency of a tenant."""
    row = connection.execute(select(EMERGENCY).where(_one(tenant, emergency_id))).first()
    return None if row is None else _declared(row)


def emergencies(connection: Connection, tenant: str) -> list[Declared]:
    """Return all emergencies of a tenant, oldest first."""
    query = select(EMERGENCY).where(_of(tenant)).order_by(EMERGENCY.c.emergency_id)
    return [_declared(row) for row in connection.execute(query)]


def running(connection: Connection, tenant: str) -> list[Declared]:
    """Return the emergencies that nobody ended yet, oldest first."""
    query = select(EMERGENCY).where(_of(tenant, EMERGENCY.c.stopped.is_(None)))
    return [_declared(row) for row in connection.execute(query.order_by(EMERGENCY.c.emergency_id))]


def unnoticed(connection: Connection, tenant: str) -> list[Declared]:
    """Return the emergencies that the officers were not told of yet, oldest first."""
    query = select(EMERGENCY).where(_of(tenant, EMERGENCY.c.noticed.is_(None)))
    return [_declared(row) for row in connection.execute(query.order_by(EMERGENCY.c.emergency_id))]


def was_later(connection: Connection, tenant: str, after: int, until: int) -> bool:
    """Say whether the log tells of a time, after one of its entries, at which something was over already.

    Threat: a clock that is set back lets what had ended begin again. The log remembers.
    """
    later = and_(LEAF.c.tenant_id == tenant, LEAF.c.time_us >= until, LEAF.c.leaf_index > after)
    return bool(connection.execute(select(exists().where(later))).scalar())


def is_told(connection: Connection, tenant: str, declared: Declared) -> bool:
    """Say whether the log tells of the start of an emergency as its row does.

    Threat: whoever may write the file plants a row, or puts off its end. An entry of that is not so easily planted.
    """
    query = select(LEAF.c.header, LEAF.c.salt, LEAF.c.payload).where(
        LEAF.c.tenant_id == tenant, LEAF.c.leaf_index == declared.leaf_index
    )
    leaf = connection.execute(query).first()
    if leaf is None or leaf.payload is None:
        return False
    try:
        header, payload = parse_header(leaf.header), json.loads(leaf.payload)
        verify_payload(header.commitment, leaf.salt, leaf.payload)
    except (AuditError, ValueError):
        return False
    started = (EventType.EMERGENCY_START, Outcome.OK, declared.principal, declared.emergency_id)
    if (header.event, header.outcome, header.principal, header.resource) != started:
        return False
    told = (header.purpose, payload.get("until"))
    return told == (declared.purpose.value, microseconds(declared.until))


def _of(tenant: str, *which: ColumnElement[bool]) -> ColumnElement[bool]:
    return and_(EMERGENCY.c.tenant_id == tenant, *which)


def _one(tenant: str, emergency_id: str, *which: ColumnElement[bool]) -> ColumnElement[bool]:
    return _of(tenant, EMERGENCY.c.emergency_id == emergency_id, *which)


def _declared(row: Row[Any]) -> Declared:
    return Declared(
        emergency_id=row.emergency_id,
        principal=row.principal_id,
        reason=EmergencyReason(row.reason),
        case=row.case_id,
        purpose=Purpose(row.purpose),
        started=from_microseconds(row.started),
        until=from_microseconds(row.until),
        noticed=None if row.noticed is None else from_microseconds(row.noticed),
        stopped=None if row.stopped is None else from_microseconds(row.stopped),
        stopped_by=row.stopped_by,
        reviewed=None if row.reviewed is None else from_microseconds(row.reviewed),
        reviewed_by=row.reviewed_by,
        verdict=None if row.verdict is None else EmergencyVerdict(row.verdict),
        leaf_index=row.leaf_index,
    )
