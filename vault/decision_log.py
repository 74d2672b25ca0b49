"""The decisions that a log tells of, for whoever decides them anew under other rules.

Owns reading them under a grant to audit, with an entry that says so. It leaves deciding to `policies.review.replay`. An
entry counts if it is what its leaf says; one that is not stops the reading, for its facts would be somebody's invention.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from audit.canonical import JsonValue
from audit.event import EventType, Header, Outcome, Verdict
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, SystemResource
from policies.review.replay import Logged
from vault.errors import NotFoundError
from vault.grant import Grant, authorise
from vault.journal import VAULT_PRINCIPAL, Call
from vault.log_stream import checked
from vault.parts import Parts

FACTS: Final = "asked"
"""Key of the payload under which an entry tells what a decision was asked."""
_PAGE: Final = 2_000
_RESOURCE: Final = SystemResource.AUDIT_LOG.value


class DecisionLog:
    """Decisions of one vault's logs."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def read(self, principal: Principal, purpose: Purpose, since: datetime | None = None) -> Iterator[Logged]:
        """Yield the decisions of the principal's tenant, oldest first; that somebody reads them is an entry first.

        Args:
            principal: Who asks.
            purpose: Why.
            since: Only decisions of this time and later; None is all.

        Raises:
            DeniedError: the log may not be read; the denial is logged.
            TamperedError: an entry is not what its leaf says.
        """
        grant = self._authorise(principal, purpose)
        size = self._told(grant, "decisions")
        return (
            logged(*one)
            for one in self._entries(grant.tenant, size, since)
            if one[1].principal != VAULT_PRINCIPAL
        )

    def entry(self, principal: Principal, purpose: Purpose, index: int) -> tuple[Logged, str]:
        """Return one decision, and the digest of the bundle that made it; that somebody looked is an entry.

        Raises:
            DeniedError: the log may not be read; the denial is logged.
            NotFoundError: there is no such entry.
            TamperedError: it is not what its leaf says.
        """
        grant = self._authorise(principal, purpose)
        with self._parts.store.log_connection(grant.tenant) as connection:
            found = list(self._parts.log.entries(connection, grant.tenant, index, index + 1))
        told: dict[str, JsonValue] = {"kind": "decisions", "entries": [index]}
        outcome = Outcome.OK if found else Outcome.NOT_FOUND
        self._parts.journal.note(grant, told, resource=_RESOURCE, event=EventType.AUDIT_READ, outcome=outcome)
        if not found:
            raise NotFoundError(f"there is no entry {index}")
        header, payload = checked(found[0], index, grant.tenant)
        return logged(index, header, payload), header.policy

    def trials(
        self, principal: Principal, purpose: Purpose, since: datetime | None = None
    ) -> Iterator[tuple[int, Header, dict[str, JsonValue] | None]]:
        """Yield what candidates on trial wrote, oldest first; that somebody reads it is an entry first.

        Args:
            principal: Who asks.
            purpose: Why.
            since: Only entries of this time and later; None is all.

        Raises:
            DeniedError: the log may not be read; the denial is logged.
            TamperedError: an entry is not what its leaf says.
        """
        grant = self._authorise(principal, purpose)
        size = self._told(grant, "trials")
        return (
            one
            for one in self._entries(grant.tenant, size, since)
            if one[1].event is EventType.POLICY_SHADOW and one[1].principal == VAULT_PRINCIPAL
        )

    def _told(self, grant: Grant, kind: str) -> int:
        """Write that somebody reads the whole log, and return its size before."""
        with self._parts.store.log_connection(grant.tenant) as connection:
            size = self._parts.log.head(connection, grant.tenant).size
        told: dict[str, JsonValue] = {"kind": kind, "entries": size}
        self._parts.journal.note(grant, told, resource=_RESOURCE, event=EventType.AUDIT_READ)
        return size

    def _authorise(self, principal: Principal, purpose: Purpose) -> Grant:
        over = ((SystemResource.AUDIT_LOG, Relation.INSTITUTION),)
        try:
            return authorise(self._parts.policy, principal, Action.AUDIT, purpose, over=over)
        except DeniedError:
            self._parts.journal.deny(Call(principal, Action.AUDIT, purpose), resource=_RESOURCE)
            raise

    def _entries(
        self, tenant: str, size: int, since: datetime | None
    ) -> Iterator[tuple[int, Header, dict[str, JsonValue] | None]]:
        for start in range(0, size, _PAGE):
            with self._parts.store.log_connection(tenant) as connection:
                page = list(self._parts.log.entries(connection, tenant, start, min(start + _PAGE, size)))
            for stored in page:
                header, payload = checked(stored, stored.index, tenant)
                if since is None or header.time >= since:
                    yield stored.index, header, payload


def logged(index: int, header: Header, payload: dict[str, JsonValue] | None) -> Logged:
    """Return what an entry tells of a decision."""
    facts = None if payload is None else payload.get(FACTS)
    return Logged(
        index,
        header.principal,
        header.purpose,
        header.decision is Verdict.ALLOWED,
        facts if isinstance(facts, str) else None,
        erased=payload is None,
    )
