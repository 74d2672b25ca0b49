"""Consent: purposes for which a person's memories are used only because that person said yes.

    consents = Consents(vault.parts)
    consents.give(officer, "Anna Keller", Purpose.RESEARCH)
    consents.withdraw(officer, "Anna Keller", Purpose.RESEARCH)    # from now on no more

Owns who writes a consent down, and the entries. It leaves which purposes need one to the policies (`consent` in
`privacy.yaml`), the rows to `vault.storage.consent_rows`, and that memories without consent are no candidates of a
search to `vault.indexes`. A memory about several persons needs the consent of each.

A consent opens nothing by itself: the rules have to allow the purpose, too, and a restriction still closes.
"""

from functools import partial
from typing import Final

from audit.canonical import JsonValue
from audit.event import EventType, Outcome
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, SystemResource
from vault.about_persons import about_nobody_erased
from vault.clock import from_microseconds, microseconds
from vault.errors import ConflictError, ErasedError
from vault.grant import Grant, authorise
from vault.journal import Call
from vault.parts import Parts
from vault.rebuilding import regroup
from vault.storage.consent_rows import SetConsent, consents
from vault.storage.group_commit import WriteSet

GIVEN: Final = "given"
WITHDRAWN: Final = "withdrawn"
_VAULT: Final = SystemResource.VAULT.value


class Consents:
    """Writes down the consents of one vault, and takes them back."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def give(
        self, principal: Principal, name: str, consented: Purpose, purpose: Purpose = Purpose.LEGAL
    ) -> None:
        """Write down that a person consents to a purpose.

        Raises:
            DeniedError: not allowed; the denial is logged.
            IdentifierInvalidError: the name is not acceptable.
            ConflictError: it stands already; the refusal is logged.
            ErasedError: the person was erased; the refusal is logged.
        """
        self._set(principal, name, consented, purpose, withdraw=False)

    def withdraw(
        self, principal: Principal, name: str, consented: Purpose, purpose: Purpose = Purpose.LEGAL
    ) -> None:
        """Take a person's consent to a purpose back, at once.

        Raises:
            ConflictError: there is none; the refusal is logged.
            DeniedError, IdentifierInvalidError: as for `give`.
        """
        self._set(principal, name, consented, purpose, withdraw=True)

    def given(self, principal: Principal, name: str, purpose: Purpose = Purpose.LEGAL) -> dict[Purpose, str]:
        """Return to what a person consents, and since when; that somebody looked is an entry.

        Raises:
            DeniedError, IdentifierInvalidError: as for `give`.
        """
        grant, subject = self._asked(principal, name, purpose)
        with self._parts.store.log_connection(grant.tenant) as connection:
            found = consents(connection, grant.tenant, subject)
        payload: dict[str, JsonValue] = {"subjects": [subject], "kind": "consents", "count": len(found)}
        self._parts.journal.note(grant, payload, resource=_VAULT, event=EventType.VAULT_READ)
        return {one: from_microseconds(since).isoformat() for one, since in found.items()}

    def _set(
        self, principal: Principal, name: str, consented: Purpose, purpose: Purpose, *, withdraw: bool
    ) -> None:
        parts, event = self._parts, EventType.SUBJECT_CONSENT
        grant, subject = self._asked(principal, name, purpose)
        payload: dict[str, JsonValue] = {
            "subjects": [subject],
            "purposes": [consented.value],
            "step": WITHDRAWN if withdraw else GIVEN,
        }
        draft = parts.journal.allowed(grant, payload, resource=_VAULT, event=event)
        since = microseconds(draft.time)
        change = SetConsent(grant.tenant, subject, consented, since, withdraw=withdraw).change
        alive = [] if withdraw else [about_nobody_erased(parts, grant.tenant, subject)]
        anew = partial(regroup, parts, grant.tenant, subject)
        try:
            parts.store.submit(WriteSet(drafts=[draft], changes=[*alive, change], finish=anew))
        except (ConflictError, ErasedError):
            parts.journal.note(grant, payload, resource=_VAULT, outcome=Outcome.REFUSED, event=event)
            raise

    def _asked(self, principal: Principal, name: str, purpose: Purpose) -> tuple[Grant, str]:
        over, event = ((SystemResource.VAULT, Relation.INSTITUTION),), EventType.SUBJECT_CONSENT
        try:
            grant = authorise(self._parts.policy, principal, Action.RESTRICT, purpose, over=over)
        except DeniedError:
            self._parts.journal.deny(Call(principal, Action.RESTRICT, purpose), resource=_VAULT, event=event)
            raise
        (subject,) = self._parts.sealers.subject_ids(grant.tenant, [name])
        return grant, subject
