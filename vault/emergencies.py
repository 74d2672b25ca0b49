"""Breaking the glass: emergency access that is declared, ends by itself, is told at once and judged afterwards.

    emergencies = Emergencies(vault.parts)
    declared = emergencies.declare(nurse, Declaring(EmergencyReason.UNRESPONSIVE, "case-17", minutes=30))
    MemOS(vault, principal=nurse, purpose=Purpose.TREATMENT, emergency=declared.emergency_id).reveal(memory_id)
    emergencies.end(nurse, declared.emergency_id)
    emergencies.judge(officer, declared.emergency_id, EmergencyVerdict.JUSTIFIED)

Owns the order: entry and row are durable before anything is read under an emergency; each entry of what is done
under it names it; when its time is up it is over, whether anybody says so or not; and whoever declared it does not
judge it. What may be read under it is for the rules to say (`emergency: declared`), how notices travel for
`vault.notices`.

Threat: a clock that is set back gives a second life to what had ended. So the end is measured thrice: by the clock,
by seconds of this process that no clock changes, and by what the log says of later times.
"""

from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Final

from audit.canonical import JsonValue
from audit.event import EventType, Outcome
from policies.emergencies import longest
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, SystemResource
from vault.clock import from_microseconds, microseconds
from vault.emergency_terms import Declared, Declaring, EmergencyVerdict
from vault.errors import ConflictError, InputInvalidError, NotFoundError, VaultError
from vault.grant import Grant, InForce, authorise
from vault.ids import IdKind, check_vault_id, new_id
from vault.journal import VAULT_PRINCIPAL, Call
from vault.notices import Notice
from vault.parts import Parts
from vault.storage.declaring import (
    AddEmergency,
    EndEmergency,
    JudgeEmergency,
    MarkNoticed,
    emergencies,
    emergency,
    is_told,
    running,
    unnoticed,
    was_later,
)
from vault.storage.group_commit import WriteSet
from vault.sweeping import Sweeper

SWEEP_SECONDS: Final = 10.0
"""How long after its time is up the end of an emergency is written at most; it is over before."""
TIME_IS_UP: Final = "time-is-up"
_OVER: Final = ((SystemResource.VAULT, Relation.INSTITUTION),)


def in_force(parts: Parts, call: Call, emergency_id: str) -> InForce:
    """See that an emergency is the caller's own, for this purpose, and in force now.

    Raises:
        DeniedError: it is not; the same answer whether it ended, is another's or never was.
    """
    tenant, own = call.principal.tenant, (call.principal.id, call.purpose)
    with parts.store.log_connection(tenant) as connection:
        found = emergency(connection, tenant, emergency_id)
        told = found is not None and is_told(connection, tenant, found)
    if found is None or not told or (found.principal, found.purpose) != own or is_over(parts, tenant, found):
        raise DeniedError("expected an emergency of one's own that is in force for this purpose")
    return InForce(found.emergency_id)


def is_over(parts: Parts, tenant: str, declared: Declared) -> bool:
    """Say whether an emergency ended, by whatever of the three measures of time."""
    now = parts.clock()
    if declared.stopped is not None or not declared.started <= now < declared.until:
        return True
    if parts.deadlines.passed(declared.emergency_id, (declared.until - now).total_seconds()):
        return True
    with parts.store.log_connection(tenant) as connection:
        return was_later(connection, tenant, declared.leaf_index, microseconds(declared.until))


def end_what_is_over(parts: Parts, tenants: Iterable[str]) -> int:
    """Write the end of each emergency whose time is up, send what notices did not go out, and return how many ended."""
    ended = 0
    for tenant in tenants:
        with parts.store.log_connection(tenant) as connection:
            open_ones, untold = running(connection, tenant), unnoticed(connection, tenant)
        for one in open_ones:
            if is_over(parts, tenant, one):
                with suppress(ConflictError):  # its owner was first
                    _write_end(parts, tenant, one.emergency_id)
                    ended += 1
        for one in untold:
            _tell(parts, tenant, one)
    return ended


def watch_emergencies(parts: Parts) -> Sweeper:
    """Write what ended while the vault was closed, and go on doing so beside whatever it serves."""

    def sweep() -> None:
        with suppress(VaultError):  # the next sweep, or the next look at the register, tries again
            end_what_is_over(parts, parts.store.tenants())

    sweep()
    return Sweeper(sweep, SWEEP_SECONDS)


def _write_end(parts: Parts, tenant: str, emergency_id: str) -> None:
    payload: dict[str, JsonValue] = {"emergency": emergency_id, "reason": TIME_IS_UP}
    draft = parts.journal.event(EventType.EMERGENCY_STOP, tenant, payload)
    end = EndEmergency(tenant, emergency_id, microseconds(draft.time), VAULT_PRINCIPAL)
    parts.store.submit(WriteSet(drafts=[draft], changes=[end.change]))


def _tell(parts: Parts, tenant: str, one: Declared) -> None:
    """Send the officers' notice; what cannot be sent now is sent by a later sweep, and the register shows it.

    Nobody's life waits for a mail server: an emergency is in force whether its notice went out or not.
    """
    if parts.notifier is None:
        return
    notice = Notice(
        tenant=tenant,
        emergency=one.emergency_id,
        principal=one.principal,
        reason=one.reason.value,
        case=one.case,
        purpose=one.purpose.value,
        started=one.started.isoformat(),
        until=one.until.isoformat(),
    )
    with suppress(OSError, VaultError):
        parts.notifier.notify(notice)
        noticed = MarkNoticed(tenant, one.emergency_id, microseconds(parts.clock()))
        parts.store.change(noticed.change)


class Emergencies:
    """Declares, ends and judges the emergencies of one vault."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def declare(
        self, principal: Principal, declaring: Declaring, purpose: Purpose = Purpose.TREATMENT
    ) -> Declared:
        """Break the glass: from now on, calls may name this emergency, until its time is up or it is ended.

        Raises:
            DeniedError: not allowed; the denial is logged.
            InputInvalidError: longer than the bundle lets any of the principal's roles; the refusal is logged.
            ConflictError: one of the principal's is in force already; the refusal is logged.
        """
        parts = self._parts
        grant = self._authorise(principal, Action.BREAK_GLASS, purpose, EventType.EMERGENCY_START)
        most = longest(parts.policy.emergency_minutes, principal.roles)
        if declaring.minutes > most:
            self._refused(grant, EventType.EMERGENCY_START, None)
            raise InputInvalidError(f"expected at most {most} minutes for these roles")
        end_what_is_over(parts, [grant.tenant])
        now = parts.clock()
        started, until = microseconds(now), microseconds(now) + declaring.minutes * 60_000_000
        emergency_id = new_id(IdKind.EMERGENCY, now, parts.entropy)
        payload: dict[str, JsonValue] = {
            "emergency": emergency_id,
            "reason": declaring.reason.value,
            "case": declaring.case,
            "until": until,
        }
        row: dict[str, object] = {
            "tenant_id": grant.tenant,
            "emergency_id": emergency_id,
            "principal_id": principal.id,
            "reason": declaring.reason.value,
            "case_id": declaring.case,
            "purpose": purpose.value,
            "started": started,
            "until": until,
        }
        draft = parts.journal.allowed(grant, payload, resource=emergency_id)
        try:
            (leaf,) = parts.store.submit(WriteSet(drafts=[draft], changes=[AddEmergency(row).change]))
        except ConflictError:
            self._refused(grant, EventType.EMERGENCY_START, None)
            raise
        declared = Declared(
            emergency_id, principal.id, declaring.reason, declaring.case, purpose,
            from_microseconds(started), from_microseconds(until),
            None, None, None, None, None, None, leaf.index,
        )  # fmt: skip
        parts.deadlines.passed(emergency_id, declaring.minutes * 60.0)
        _tell(parts, grant.tenant, declared)
        return declared

    def end(self, principal: Principal, emergency_id: str, purpose: Purpose = Purpose.TREATMENT) -> None:
        """End an emergency of one's own before its time is up.

        Raises:
            DeniedError: it is none of one's own that is in force, or not allowed; the denial is logged.
        """
        check_vault_id(IdKind.EMERGENCY, emergency_id)
        parts, call = self._parts, Call(principal, Action.BREAK_GLASS, purpose, emergency_id)
        try:
            declared = in_force(parts, call, emergency_id)
            grant = authorise(
                parts.policy, principal, Action.BREAK_GLASS, purpose, over=_OVER, emergency=declared
            )
        except DeniedError:
            parts.journal.deny(call, resource=emergency_id, event=EventType.EMERGENCY_STOP)
            raise
        self._end(grant, emergency_id)

    def revoke(self, principal: Principal, emergency_id: str, purpose: Purpose = Purpose.LEGAL) -> None:
        """End somebody's emergency, as an officer.

        Raises:
            DeniedError: not allowed; the denial is logged.
            NotFoundError: there is no such emergency.
            ConflictError: it is over; the refusal is logged.
        """
        grant, _ = self._known(principal, emergency_id, purpose, EventType.EMERGENCY_STOP)
        self._end(grant, emergency_id)

    def judge(
        self,
        principal: Principal,
        emergency_id: str,
        verdict: EmergencyVerdict,
        purpose: Purpose = Purpose.LEGAL,
    ) -> None:
        """Say how an emergency that is over is to be judged; once, and by somebody else than who declared it.

        Raises:
            DeniedError: not allowed, or one's own; the denial is logged.
            NotFoundError: there is no such emergency.
            ConflictError: it is not over, or was judged; the refusal is logged.
        """
        parts, event = self._parts, EventType.EMERGENCY_REVIEW
        grant, declared = self._known(principal, emergency_id, purpose, event)
        if declared.principal == principal.id:
            parts.journal.deny(Call(principal, Action.REVIEW, purpose), resource=emergency_id, event=event)
            raise DeniedError("review by who declared the emergency is not allowed")
        payload: dict[str, JsonValue] = {"emergency": emergency_id, "verdict": verdict.value}
        draft = parts.journal.allowed(grant, payload, resource=emergency_id, event=event)
        judged = JudgeEmergency(grant.tenant, emergency_id, verdict, microseconds(draft.time), principal.id)
        try:
            parts.store.submit(WriteSet(drafts=[draft], changes=[judged.change]))
        except ConflictError:
            self._refused(grant, event, emergency_id)
            raise

    def register(self, principal: Principal, purpose: Purpose = Purpose.LEGAL) -> tuple[Declared, ...]:
        """Return all emergencies of the tenant, oldest first; that somebody looked is an entry.

        Raises:
            DeniedError: not allowed; the denial is logged.
        """
        grant = self._authorise(principal, Action.REVIEW, purpose, EventType.EMERGENCY_REVIEW)
        end_what_is_over(self._parts, [grant.tenant])
        with self._parts.store.log_connection(grant.tenant) as connection:
            found = tuple(emergencies(connection, grant.tenant))
        self._parts.journal.note(grant, {"count": len(found)}, resource=SystemResource.VAULT.value)
        return found

    def _known(
        self, principal: Principal, emergency_id: str, purpose: Purpose, event: EventType
    ) -> tuple[Grant, Declared]:
        """Return a reviewer's grant and the emergency, its end written if its time is up."""
        check_vault_id(IdKind.EMERGENCY, emergency_id)
        grant = self._authorise(principal, Action.REVIEW, purpose, event, emergency_id)
        end_what_is_over(self._parts, [grant.tenant])
        with self._parts.store.log_connection(grant.tenant) as connection:
            found = emergency(connection, grant.tenant, emergency_id)
        if found is None:
            noted = partial(self._parts.journal.note, grant, {}, resource=emergency_id, event=event)
            noted(outcome=Outcome.NOT_FOUND)
            raise NotFoundError("there is no such emergency here")
        return grant, found

    def _end(self, grant: Grant, emergency_id: str) -> None:
        parts, event = self._parts, EventType.EMERGENCY_STOP
        payload: dict[str, JsonValue] = {"emergency": emergency_id}
        draft = parts.journal.allowed(grant, payload, resource=emergency_id, event=event)
        end = EndEmergency(grant.tenant, emergency_id, microseconds(draft.time), grant.principal.id)
        try:
            parts.store.submit(WriteSet(drafts=[draft], changes=[end.change]))
        except ConflictError:
            self._refused(grant, event, emergency_id)
            raise

    def _refused(self, grant: Grant, event: EventType, emergency_id: str | None) -> None:
        self._parts.journal.note(grant, {}, resource=emergency_id, outcome=Outcome.REFUSED, event=event)

    def _authorise(
        self,
        principal: Principal,
        action: Action,
        purpose: Purpose,
        event: EventType,
        resource: str | None = None,
    ) -> Grant:
        try:
            return authorise(self._parts.policy, principal, action, purpose, over=_OVER)
        except DeniedError:
            self._parts.journal.deny(Call(principal, action, purpose), resource=resource, event=event)
            raise
