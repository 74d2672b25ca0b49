"""Consents of persons: their rows, and the condition that everyone whom a memory is about consented to a purpose.

Owns the statements. It leaves which purposes need consent to the policies (`privacy.yaml`), who may write a consent
down to `vault.consents`, and keeping the rest from being candidates at all to `vault.indexes`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, exists, select

from audit.log import Leaf
from policies.model import Purpose
from vault.errors import ConflictError
from vault.storage.schema import CONSENT, MEMORY, MEMORY_SUBJECT


@dataclass(frozen=True, slots=True)
class SetConsent:
    """Writes down a consent or takes it back, in the caller's transaction; see `change`."""

    tenant: str
    subject: str
    purpose: Purpose
    since: int
    withdraw: bool = False

    def change(self, connection: Connection, leaves: Sequence[Leaf]) -> None:
        """Set it; a `vault.storage.group_commit.Change`.

        Raises:
            ConflictError: it stands already, or there is none to take back.
        """
        key = {"tenant_id": self.tenant, "subject_id": self.subject, "purpose": self.purpose.value}
        this = and_(*(CONSENT.c[name] == value for name, value in key.items()))
        if self.withdraw:
            if connection.execute(CONSENT.delete().where(this)).rowcount != 1:
                raise ConflictError("there is no consent to be taken back")
            return
        if connection.execute(select(CONSENT.c.since).where(this)).first() is not None:
            raise ConflictError("the consent stands already")
        row = {**key, "since": self.since, "leaf_index": leaves[0].index}
        connection.execute(CONSENT.insert(), [row])


def consents(connection: Connection, tenant: str, subject: str) -> dict[Purpose, int]:
    """Return to what a person consents, and since when, in microseconds since 1970 UTC."""
    query = select(CONSENT.c.purpose, CONSENT.c.since).where(
        CONSENT.c.tenant_id == tenant, CONSENT.c.subject_id == subject
    )
    return {Purpose(row.purpose): row.since for row in connection.execute(query.order_by(CONSENT.c.purpose))}


def consented(connection: Connection, tenant: str) -> dict[str, frozenset[Purpose]]:
    """Return who consents to what; who consents to nothing is left out."""
    found: dict[str, set[Purpose]] = {}
    query = select(CONSENT.c.subject_id, CONSENT.c.purpose).where(CONSENT.c.tenant_id == tenant)
    for row in connection.execute(query):
        found.setdefault(row.subject_id, set()).add(Purpose(row.purpose))
    return {subject: frozenset(purposes) for subject, purposes in found.items()}


def all_consent(purpose: Purpose) -> ColumnElement[bool]:
    """Return the condition on a memory in the same statement that everyone it is about consents to a purpose."""
    about = MEMORY_SUBJECT.alias("asked")  # the statement may have the table itself
    of_memory = and_(about.c.tenant_id == MEMORY.c.tenant_id, about.c.memory_id == MEMORY.c.memory_id)
    given = exists(CONSENT.c.since).where(
        CONSENT.c.tenant_id == about.c.tenant_id,
        CONSENT.c.subject_id == about.c.subject_id,
        CONSENT.c.purpose == purpose.value,
    )
    # Threat: a memory that is about nobody would have the consent of everyone.
    somebody = exists(about.c.memory_id).where(of_memory).correlate(MEMORY)
    without = exists(about.c.memory_id).where(of_memory, ~given.correlate(about)).correlate(MEMORY)
    return and_(somebody, ~without)
