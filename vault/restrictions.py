"""Restriction and objection: what a person asks not to be used is kept, and used for nothing, or not for a purpose.

    restrictions = Restrictions(vault.parts)
    restrictions.restrict(officer, "Anna Keller")                       # kept, found and read by nobody
    restrictions.object_to(officer, "Anna Keller", Purpose.RESEARCH)    # for research alone
    restrictions.lift(officer, "Anna Keller")                           # as before

Owns who may do it, and the entries. It leaves the rows to `vault.storage.restricting`, and that restricted memories
are no candidates of a search to `vault.indexes`: they stand in scopes of their own, which a search for a barred
purpose does not open, so that they are not ranked, counted, timed or hinted at.

Restricted memories are still held, expired, erased and disclosed to the person, and used for legal claims (`legal`).
"""

from functools import partial
from typing import Final

from audit.canonical import JsonValue
from audit.event import EventType, Outcome
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, SystemResource
from vault.about_persons import about_nobody_erased
from vault.clock import microseconds
from vault.errors import ConflictError, ErasedError, InputInvalidError
from vault.grant import Grant, authorise
from vault.journal import Call
from vault.parts import Parts
from vault.storage.group_commit import WriteSet
from vault.storage.restricting import EXEMPT, RestrictionKind, SetRestriction, Standing, standing

SET: Final = "set"
LIFTED: Final = "lifted"
_VAULT: Final = SystemResource.VAULT.value


class Restrictions:
    """Sets and lifts the restrictions of one vault."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def restrict(self, principal: Principal, name: str, purpose: Purpose = Purpose.LEGAL) -> None:
        """Let nothing of a person be used, now or written later, until it is lifted.

        Raises:
            DeniedError: not allowed; the denial is logged.
            IdentifierInvalidError: the name is not acceptable.
            ConflictError: it stands already; the refusal is logged.
            ErasedError: the person was erased; the refusal is logged.
        """
        self._set(principal, name, purpose, None, lift=False)

    def object_to(
        self, principal: Principal, name: str, objected: Purpose, purpose: Purpose = Purpose.LEGAL
    ) -> None:
        """Let nothing of a person be used for one purpose, until it is lifted.

        Raises:
            InputInvalidError: nobody can object to the purpose: legal claims.
            DeniedError, IdentifierInvalidError, ConflictError, ErasedError: as for `restrict`.
        """
        if objected in EXEMPT:
            raise InputInvalidError(f"expected a purpose that can be objected to, got {objected}")
        self._set(principal, name, purpose, objected, lift=False)

    def lift(
        self,
        principal: Principal,
        name: str,
        objected: Purpose | None = None,
        purpose: Purpose = Purpose.LEGAL,
    ) -> None:
        """Lift a person's restriction, or the objection to one purpose.

        Raises:
            ConflictError: there is none; the refusal is logged.
            DeniedError, IdentifierInvalidError: as for `restrict`.
        """
        self._set(principal, name, purpose, objected, lift=True)

    def standing(
        self, principal: Principal, name: str, purpose: Purpose = Purpose.LEGAL
    ) -> tuple[Standing, ...]:
        """Return what stands for a person, oldest first; that somebody looked is an entry.

        Raises:
            DeniedError, IdentifierInvalidError: as for `restrict`.
        """
        grant, subject = self._asked(principal, name, purpose)
        with self._parts.store.log_connection(grant.tenant) as connection:
            found = tuple(standing(connection, grant.tenant, subject))
        payload: dict[str, JsonValue] = {"subjects": [subject], "kind": "restrictions", "count": len(found)}
        self._parts.journal.note(grant, payload, resource=_VAULT, event=EventType.VAULT_READ)
        return found

    def _set(
        self, principal: Principal, name: str, purpose: Purpose, objected: Purpose | None, *, lift: bool
    ) -> None:
        parts = self._parts
        grant, subject = self._asked(principal, name, purpose)
        kind = RestrictionKind.RESTRICTION if objected is None else RestrictionKind.OBJECTION
        one = Standing(kind, objected, microseconds(parts.clock()))
        payload: dict[str, JsonValue] = {
            "subjects": [subject],
            "kind": kind.value,
            "purposes": [] if objected is None else [objected.value],
            "step": LIFTED if lift else SET,
        }
        draft = parts.journal.allowed(grant, payload, resource=_VAULT)
        change = SetRestriction(grant.tenant, subject, one, lift=lift).change
        # In the order of commits: nothing is searched from here on before it stands in its scope.
        anew = partial(parts.indexes.distrust, grant.tenant)
        alive = [] if lift else [about_nobody_erased(parts, grant.tenant, subject)]
        work = WriteSet(drafts=[draft], changes=[*alive, change], finish=anew)
        try:
            parts.store.submit(work)
        except (ConflictError, ErasedError):
            parts.journal.note(grant, payload, resource=_VAULT, outcome=Outcome.REFUSED)
            raise

    def _asked(self, principal: Principal, name: str, purpose: Purpose) -> tuple[Grant, str]:
        over = ((SystemResource.VAULT, Relation.INSTITUTION),)
        try:
            grant = authorise(self._parts.policy, principal, Action.RESTRICT, purpose, over=over)
        except DeniedError:
            self._parts.journal.deny(Call(principal, Action.RESTRICT, purpose), resource=_VAULT)
            raise
        (subject,) = self._parts.sealers.subject_ids(grant.tenant, [name])
        return grant, subject
