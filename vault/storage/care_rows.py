"""Care teams: their rows, and the condition that a principal is on the team of everyone that a memory is about.

Owns the statements. It leaves who may put whom on a team to `vault.care_teams`, and keeping what is out of reach from
being a candidate at all to `vault.indexes`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, bindparam, exists, select

from audit.log import Leaf
from vault.errors import ConflictError
from vault.storage.schema import CARE_TEAM, MEMORY, MEMORY_SUBJECT


@dataclass(frozen=True, slots=True)
class SetMember:
    """Puts somebody on a person's care team or takes them off, in the caller's transaction; see `change`."""

    tenant: str
    subject: str
    member: str
    since: int
    leave: bool = False

    def change(self, connection: Connection, leaves: Sequence[Leaf]) -> None:
        """Set it; a `vault.storage.group_commit.Change`.

        Raises:
            ConflictError: they are on it already, or are not.
        """
        key = {"tenant_id": self.tenant, "subject_id": self.subject, "principal_id": self.member}
        this = and_(*(CARE_TEAM.c[name] == value for name, value in key.items()))
        if self.leave:
            if connection.execute(CARE_TEAM.delete().where(this)).rowcount != 1:
                raise ConflictError("expected somebody who is on the team")
            return
        if connection.execute(select(CARE_TEAM.c.since).where(this)).first() is not None:
            raise ConflictError("expected somebody who is not on the team yet")
        row = {**key, "since": self.since, "leaf_index": leaves[0].index}
        connection.execute(CARE_TEAM.insert(), [row])


def team(connection: Connection, tenant: str, subject: str) -> dict[str, int]:
    """Return who is on a person's care team, and since when, in microseconds since 1970 UTC."""
    query = select(CARE_TEAM.c.principal_id, CARE_TEAM.c.since).where(
        CARE_TEAM.c.tenant_id == tenant, CARE_TEAM.c.subject_id == subject
    )
    return {
        row.principal_id: row.since for row in connection.execute(query.order_by(CARE_TEAM.c.principal_id))
    }


def teams(connection: Connection, tenant: str) -> dict[str, frozenset[str]]:
    """Return who is on whose care team; persons without one are left out."""
    found: dict[str, set[str]] = {}
    query = select(CARE_TEAM.c.subject_id, CARE_TEAM.c.principal_id).where(CARE_TEAM.c.tenant_id == tenant)
    for row in connection.execute(query):
        found.setdefault(row.subject_id, set()).add(row.principal_id)
    return {subject: frozenset(members) for subject, members in found.items()}


def _on_team() -> ColumnElement[bool]:
    about = MEMORY_SUBJECT.alias("cared")  # the statement may have the table itself
    of_memory = and_(about.c.tenant_id == MEMORY.c.tenant_id, about.c.memory_id == MEMORY.c.memory_id)
    member = exists(CARE_TEAM.c.since).where(
        CARE_TEAM.c.tenant_id == about.c.tenant_id,
        CARE_TEAM.c.subject_id == about.c.subject_id,
        CARE_TEAM.c.principal_id == bindparam("me"),
    )
    # Threat: a memory that is about nobody would be everybody's of whom it is about.
    somebody = exists(about.c.memory_id).where(of_memory).correlate(MEMORY)
    stranger = exists(about.c.memory_id).where(of_memory, ~member.correlate(about)).correlate(MEMORY)
    return and_(somebody, ~stranger)


ON_TEAM: Final = _on_team()
"""Of a memory in the same statement: the principal bound as `me` is on the care team of everyone that it is about."""
