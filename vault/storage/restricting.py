"""Restrictions and objections of persons: their rows, and the condition that keeps their memories out of answers.

Owns the statements. It leaves who may restrict to `vault.restrictions`, and keeping restricted memories from being
candidates at all to `vault.indexes`, which searches none of their scopes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, bindparam, exists, or_, select, true

from audit.log import Leaf
from policies.model import Purpose
from vault.errors import ConflictError
from vault.storage.consent_rows import all_consent
from vault.storage.schema import MEMORY, MEMORY_SUBJECT, RESTRICTION

EXEMPT: Final = frozenset({Purpose.LEGAL})
"""Purposes for which restricted memories are used still: legal claims, and the person's own rights."""


class RestrictionKind(StrEnum):
    """What a person asked for."""

    RESTRICTION = "restriction"
    """Nothing of theirs is used, whatever for; it is kept."""
    OBJECTION = "objection"
    """Nothing of theirs is used for one purpose."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A restriction, or an objection to one purpose."""

    kind: RestrictionKind
    purpose: Purpose | None
    """Of an objection."""
    since: int = 0
    """Microseconds since 1970 UTC."""

    @property
    def barred(self) -> frozenset[Purpose]:
        """Purposes for which nothing is used."""
        return frozenset(Purpose) - EXEMPT if self.purpose is None else frozenset({self.purpose})


@dataclass(frozen=True, slots=True)
class SetRestriction:
    """Sets a restriction or lifts it, in the caller's transaction; see `change`."""

    tenant: str
    subject: str
    standing: Standing
    lift: bool = False

    def change(self, connection: Connection, leaves: Sequence[Leaf]) -> None:
        """Set or lift it; a `vault.storage.group_commit.Change`.

        Raises:
            ConflictError: it stands already, or there is none to lift.
        """
        key = {
            "tenant_id": self.tenant,
            "subject_id": self.subject,
            "kind": self.standing.kind.value,
            "purpose": "" if self.standing.purpose is None else self.standing.purpose.value,
        }
        this = and_(*(RESTRICTION.c[name] == value for name, value in key.items()))
        if self.lift:
            if connection.execute(RESTRICTION.delete().where(this)).rowcount != 1:
                raise ConflictError("there is none to be lifted")
            return
        if connection.execute(select(RESTRICTION.c.since).where(this)).first() is not None:
            raise ConflictError("it stands already")
        row = {**key, "since": self.standing.since, "leaf_index": leaves[0].index}
        connection.execute(RESTRICTION.insert(), [row])


def standing(connection: Connection, tenant: str, subject: str) -> list[Standing]:
    """Return what stands for a person, oldest first."""
    query = select(RESTRICTION).where(RESTRICTION.c.tenant_id == tenant, RESTRICTION.c.subject_id == subject)
    return [
        Standing(RestrictionKind(row.kind), Purpose(row.purpose) if row.purpose else None, row.since)
        for row in connection.execute(query.order_by(RESTRICTION.c.since))
    ]


def barred(connection: Connection, tenant: str) -> Mapping[str, frozenset[Purpose]]:
    """Return for what nothing of whom is used; those who asked for nothing are left out."""
    found: dict[str, frozenset[Purpose]] = {}
    query = select(RESTRICTION.c.subject_id).where(RESTRICTION.c.tenant_id == tenant).distinct()
    for subject in connection.execute(query).scalars().all():
        for one in standing(connection, tenant, subject):
            found[subject] = found.get(subject, frozenset()) | one.barred
    return found


def usable(purpose: Purpose, *, consent: bool = False) -> ColumnElement[bool]:
    """Return the condition on a memory in the same statement that nobody whom it is about bars it for a purpose.

    The statement binds `tenant`.

    Args:
        purpose: Why it is used.
        consent: Whether the purpose needs the consent of everyone whom it is about.
    """
    if consent:
        return and_(_unrestricted(purpose), all_consent(purpose))
    return _unrestricted(purpose)


def _unrestricted(purpose: Purpose) -> ColumnElement[bool]:
    if purpose in EXEMPT:
        return true()
    barring = or_(
        RESTRICTION.c.kind == RestrictionKind.RESTRICTION.value, RESTRICTION.c.purpose == purpose.value
    )
    restricted = select(RESTRICTION.c.subject_id).where(
        RESTRICTION.c.tenant_id == bindparam("tenant"), barring
    )
    about = MEMORY_SUBJECT.alias("about")  # the statement may have the table itself
    return ~exists(about.c.memory_id).where(
        about.c.tenant_id == MEMORY.c.tenant_id,
        about.c.memory_id == MEMORY.c.memory_id,
        about.c.subject_id.in_(restricted),
    ).correlate(MEMORY)
