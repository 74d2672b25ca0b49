"""Erasing a person: a plan, a confirmation that repeats it, and a certificate to show for it.

    erasures = Erasures(vault.parts)
    plan = erasures.plan(officer, "Anna Keller")
    erased = erasures.erase(officer, "Anna Keller", plan.digest)
    erased.certificate          # bytes: for `memvault certificate verify`, or `python -m audit`

Owns who may ask, and every refusal. It leaves finding to `vault.selector`, the steps to `vault.erasing.run`, the
certificate to `vault.erasing.certifying`.

Threat: a call that erases at once erases the wrong person. So what is erased was planned before, and the digest of
the plan is repeated; where it touches anybody else than the plan said, nothing happens.

An erasure that is done is looked at again when it is asked for again: what stands about the person all the same, by
an older version or by a hand in the file, is planned, confirmed and erased under an erasure of its own.
"""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from audit.canonical import JsonValue
from audit.event import EventType, Outcome
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, SystemResource
from vault.erasing.beginning import begin, new_erasure_id
from vault.erasing.certifying import carried, certify
from vault.erasing.plan import NOTHING, ErasurePlan, plan_of
from vault.erasing.record import ErasureRecord, State, Voice, record_by_id, record_of, unfinished
from vault.erasing.run import ErasureRun
from vault.errors import ConflictError, ErasureIncompleteError, HeldError, NotFoundError, VaultError
from vault.grant import Grant, authorise
from vault.journal import Call
from vault.parts import Parts
from vault.selector import Belongings
from vault.storage.group_commit import Change

__all__ = ["Erased", "ErasurePlan", "Erasures"]

_VAULT: Final = SystemResource.VAULT.value


@dataclass(frozen=True, slots=True)
class Erased:
    """An erasure that is done."""

    erasure_id: str
    subject: str
    """Vault id of the person."""
    certificate: bytes
    """With proofs under the log's last checkpoint: see `audit.certificate`."""
    again: bool
    """Whether it had been done before: then nothing happened now."""


class ErasureUnfinishedWarning(UserWarning):
    """An erasure that was begun could not be brought to its end."""


def finish_erasures(parts: Parts, tenants: Iterable[str]) -> None:
    """Bring to their end the erasures that a crash interrupted; where one cannot be, warn, and let the vault open."""
    for tenant in tenants:
        try:
            Erasures(parts).resume(tenant)
        except VaultError as error:
            message = f"an erasure at {tenant} is not finished: {error}; `memvault erase --resume` goes on"
            warnings.warn(message, ErasureUnfinishedWarning, stacklevel=2)


class Erasures:
    """Erases persons from one vault."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def plan(self, principal: Principal, name: str, purpose: Purpose = Purpose.LEGAL) -> ErasurePlan:
        """Return what an erasure of a person would take, and what would stay; that somebody asked is an entry.

        Raises:
            DeniedError: not allowed; the denial is logged.
            IdentifierInvalidError: the name is not acceptable.
        """
        grant, subject = self._asked(principal, name, purpose, EventType.SUBJECT_PLAN)
        plan, _ = plan_of(self._parts, grant.tenant, subject)
        payload: dict[str, JsonValue] = {
            "subjects": [subject],
            "plan": plan.digest,
            "count": plan.counts.get("memories", 0),
            "holds": list(plan.holds),
        }
        self._parts.journal.note(grant, payload, resource=_VAULT, event=EventType.SUBJECT_PLAN)
        return plan

    def erase(self, principal: Principal, name: str, digest: str, purpose: Purpose = Purpose.LEGAL) -> Erased:
        """Erase a person for good, and certify it.

        An erasure that was begun before is brought to its end; of one that is done the certificate is given again,
        unless something stands about the person all the same: then that is erased, and certified anew.

        Args:
            principal: Who asks.
            name: The caller's name of the person.
            digest: Of the plan, as it was shown.
            purpose: Why.

        Raises:
            DeniedError: not allowed; the denial is logged.
            IdentifierInvalidError: the name is not acceptable.
            NotFoundError: nothing here belongs to that name.
            HeldError: a legal hold forbids it; the refusal is logged, nothing changed.
            ConflictError: it touches others than the plan said; the refusal is logged, nothing changed.
            ErasureIncompleteError: a test got something back: it is not certified.
        """
        grant, subject = self._asked(principal, name, purpose, EventType.SUBJECT_ERASE)
        tenant = grant.tenant
        with self._parts.store.log_connection(tenant) as connection:
            record = record_of(connection, tenant, subject)
        found = None
        if record is not None and record.state is State.DONE and not self._stands(tenant, subject):
            self._note(grant, record.subject, {"erasure": record.erasure_id, "reason": "done"})
            return Erased(record.erasure_id, subject, carried(self._parts, record).encode(), again=True)
        if record is None or record.state is State.DONE:
            record, found = self._begin(grant, subject, digest, record)
        record = self._finish(record, grant, found=found)
        return Erased(record.erasure_id, subject, carried(self._parts, record).encode(), again=False)

    def certificate(self, principal: Principal, name: str, purpose: Purpose = Purpose.LEGAL) -> Erased:
        """Return the certificate of a person's erasure, with fresh proofs.

        Raises:
            DeniedError: not allowed; the denial is logged.
            NotFoundError: no erasure of that name is done.
        """
        grant, subject = self._asked(principal, name, purpose, EventType.SUBJECT_ERASE)
        with self._parts.store.log_connection(grant.tenant) as connection:
            record = record_of(connection, grant.tenant, subject)
        if record is None or record.state is not State.DONE:
            self._note(grant, subject, {}, Outcome.NOT_FOUND)
            raise NotFoundError("no erasure of that name is done")
        self._note(grant, subject, {"erasure": record.erasure_id, "reason": "done"})
        return Erased(record.erasure_id, subject, carried(self._parts, record).encode(), again=True)

    def resumed_by(self, principal: Principal, purpose: Purpose = Purpose.LEGAL) -> tuple[str, ...]:
        """Bring the erasures of the principal's tenant that were begun to their end; that somebody asked is an entry.

        Raises:
            DeniedError: not allowed; the denial is logged.
            HeldError, ErasureIncompleteError: as for `resume`.
        """
        grant = self._allowed(principal, purpose, EventType.SUBJECT_ERASE)
        done = self.resume(grant.tenant)
        payload: dict[str, JsonValue] = {"count": len(done), "reason": "resumed"}
        self._parts.journal.note(grant, payload, resource=_VAULT)
        return done

    def resume(self, tenant: str, fence: Change | None = None) -> tuple[str, ...]:
        """Bring the erasures that were begun to their end, as the vault itself; return the ids of those.

        Who asked for them was allowed to, and their intents stand in the log: no grant is needed again.

        Args:
            tenant: Whose.
            fence: A change put first into each write set, see `ErasureRun`.

        Raises:
            HeldError: a hold was placed over what is left of one; the others were brought to their end.
            ErasureIncompleteError: a test got something back; the others were.
        """
        with self._parts.store.log_connection(tenant) as connection:
            left = unfinished(connection, tenant)
        done: list[str] = []
        stopped: list[VaultError] = []
        for record in left:
            try:
                done.append(self._finish(record, None, fence).erasure_id)
            except (HeldError, ErasureIncompleteError) as error:
                stopped.append(error)
        if stopped:
            raise stopped[0]
        return tuple(done)

    def _stands(self, tenant: str, subject: str) -> bool:
        plan, _ = plan_of(self._parts, tenant, subject, with_log=False)
        return plan.found

    def _begin(
        self, grant: Grant, subject: str, digest: str, before: ErasureRecord | None
    ) -> tuple[ErasureRecord, Belongings | None]:
        plan, found = plan_of(self._parts, grant.tenant, subject, with_log=False)
        if not plan.found:
            self._note(grant, subject, {"plan": plan.digest}, Outcome.NOT_FOUND)
            raise NotFoundError(NOTHING)
        voice = Voice(self._parts.journal, grant.tenant, new_erasure_id(self._parts), grant)
        try:
            _expect(plan, digest)
            return begin(self._parts, voice, plan, found, before)
        except HeldError as error:
            self._note(grant, subject, {"reason": "held", "holds": list(error.holds)}, Outcome.REFUSED)
            raise
        except ConflictError:
            self._note(grant, subject, {"reason": "plan-changed", "plan": plan.digest}, Outcome.REFUSED)
            raise

    def _finish(
        self,
        record: ErasureRecord,
        grant: Grant | None,
        fence: Change | None = None,
        found: Belongings | None = None,
    ) -> ErasureRecord:
        with self._parts.erasing:  # the job, an opening and whoever asks again go one after another
            return self._finished(record, grant, fence, found)

    def _finished(
        self, begun: ErasureRecord, grant: Grant | None, fence: Change | None, found: Belongings | None
    ) -> ErasureRecord:
        with self._parts.store.log_connection(begun.tenant) as connection:
            record = record_by_id(connection, begun.tenant, begun.erasure_id) or begun
        if record.state is State.DONE:
            return record
        voice = Voice(self._parts.journal, record.tenant, record.erasure_id, grant)
        run = ErasureRun(self._parts, voice, record, fence, found)
        try:
            run.finish()
        except HeldError as error:
            refused = voice.draft(
                EventType.SUBJECT_ERASE, {"reason": "held", "holds": list(error.holds)}, Outcome.REFUSED
            )
            self._parts.journal.write([refused])
            raise
        return certify(self._parts, voice, run.record, fence)

    def _asked(
        self, principal: Principal, name: str, purpose: Purpose, event: EventType
    ) -> tuple[Grant, str]:
        grant = self._allowed(principal, purpose, event)
        (subject,) = self._parts.sealers.subject_ids(grant.tenant, [name])
        return grant, subject

    def _allowed(self, principal: Principal, purpose: Purpose, event: EventType) -> Grant:
        over = ((SystemResource.VAULT, Relation.INSTITUTION),)
        try:
            return authorise(self._parts.policy, principal, Action.ERASE, purpose, over=over)
        except DeniedError:
            call = Call(principal, Action.ERASE, purpose)
            self._parts.journal.deny(call, resource=_VAULT, event=event)
            raise

    def _note(
        self,
        grant: Grant,
        subject: str,
        payload: Mapping[str, JsonValue],
        outcome: Outcome = Outcome.OK,
    ) -> None:
        told = {**payload, "subjects": [subject]}
        self._parts.journal.note(grant, told, resource=_VAULT, outcome=outcome)


def _expect(plan: ErasurePlan, digest: str) -> None:
    """See that nothing forbids what is planned, and that it is what was confirmed.

    Raises:
        HeldError: a legal hold forbids it.
        ConflictError: another plan was confirmed.
    """
    if plan.holds:
        raise HeldError(plan.held, plan.holds)
    if plan.digest != digest:
        raise ConflictError("expected the digest of the present plan: something changed, plan again")
