"""Care teams: who cares for a person, so that rules can tell them from the rest of the institution.

    teams = CareTeams(vault.parts)
    teams.join(administrator, "Anna Keller", "dr-a")     # from now on `care-team` is what dr-a is to her memories
    teams.leave(administrator, "Anna Keller", "dr-a")    # and from now on no more

Owns who may change a team, and the entries. It leaves the rows to `vault.storage.care_rows`, and what a team may do to
the rules: nothing, where they say the same of `care-team` and of `institution`.

Of a memory about several persons only those are on the team who are on the team of each of them. Whoever runs the
vault changes teams, and nobody puts themselves on one: who looks at the log later sees two names.
"""

from functools import partial
from typing import Final

from audit.canonical import JsonValue
from audit.event import EventType, Outcome
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, SystemResource, check_id
from vault.about_persons import about_nobody_erased
from vault.clock import from_microseconds, microseconds
from vault.crypto.subject_name import normal_name
from vault.errors import ConflictError, ErasedError, IdentifierInvalidError
from vault.grant import Grant, authorise
from vault.journal import Call
from vault.parts import Parts
from vault.rebuilding import regroup
from vault.storage.care_rows import SetMember, team
from vault.storage.group_commit import WriteSet
from vault.write_path import SELF

JOINED: Final = "joined"
LEFT: Final = "left"
_VAULT: Final = SystemResource.VAULT.value


class CareTeams:
    """Changes the care teams of one vault."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def join(
        self, principal: Principal, name: str, member: str, purpose: Purpose = Purpose.OPERATIONS
    ) -> None:
        """Put somebody on a person's care team.

        Raises:
            DeniedError: not allowed, or the caller's own id; the denial is logged.
            IdentifierInvalidError: the name is not acceptable, or is somebody's own notes.
            RequestInvalidError: the member's id is none.
            ConflictError: they are on it already; the refusal is logged.
            ErasedError: the person was erased; the refusal is logged.
        """
        self._set(principal, name, member, purpose, leave=False)

    def leave(
        self, principal: Principal, name: str, member: str, purpose: Purpose = Purpose.OPERATIONS
    ) -> None:
        """Take somebody off a person's care team, at once.

        Raises:
            ConflictError: they are not on it; the refusal is logged.
            DeniedError, IdentifierInvalidError, RequestInvalidError: as for `join`.
        """
        self._set(principal, name, member, purpose, leave=True)

    def team(self, principal: Principal, name: str, purpose: Purpose = Purpose.OPERATIONS) -> dict[str, str]:
        """Return who is on a person's care team, and since when; that somebody looked is an entry.

        Raises:
            DeniedError, IdentifierInvalidError: as for `join`.
        """
        grant, subject = self._asked(principal, name, purpose, EventType.VAULT_READ)
        with self._parts.store.log_connection(grant.tenant) as connection:
            found = team(connection, grant.tenant, subject)
        payload: dict[str, JsonValue] = {"subjects": [subject], "kind": "care-team", "count": len(found)}
        self._parts.journal.note(grant, payload, resource=_VAULT, event=EventType.VAULT_READ)
        return {member: from_microseconds(since).isoformat() for member, since in found.items()}

    def _set(self, principal: Principal, name: str, member: str, purpose: Purpose, *, leave: bool) -> None:
        parts, event = self._parts, EventType.CARE_TEAM_CHANGE
        check_id("principal", member)
        grant, subject = self._asked(principal, name, purpose, event)
        if member == principal.id:
            parts.journal.deny(Call(principal, Action.ADMINISTER, purpose), resource=_VAULT, event=event)
            raise DeniedError("a change of one's own care teams is not allowed")
        payload: dict[str, JsonValue] = {
            "subjects": [subject],
            "principal": member,
            "step": LEFT if leave else JOINED,
        }
        draft = parts.journal.allowed(grant, payload, resource=_VAULT, event=event)
        change = SetMember(grant.tenant, subject, member, microseconds(draft.time), leave=leave).change
        alive = [] if leave else [about_nobody_erased(parts, grant.tenant, subject)]
        anew = partial(regroup, parts, grant.tenant, subject)
        try:
            parts.store.submit(WriteSet(drafts=[draft], changes=[*alive, change], finish=anew))
        except (ConflictError, ErasedError):
            parts.journal.note(grant, payload, resource=_VAULT, outcome=Outcome.REFUSED, event=event)
            raise

    def _asked(
        self, principal: Principal, name: str, purpose: Purpose, event: EventType
    ) -> tuple[Grant, str]:
        over = ((SystemResource.VAULT, Relation.INSTITUTION),)
        try:
            grant = authorise(self._parts.policy, principal, Action.ADMINISTER, purpose, over=over)
        except DeniedError:
            call = Call(principal, Action.ADMINISTER, purpose)
            self._parts.journal.deny(call, resource=_VAULT, event=event)
            raise
        if normal_name(name).startswith(SELF):
            raise IdentifierInvalidError("expected a person, not a principal's own notes")
        (subject,) = self._parts.sealers.subject_ids(grant.tenant, [name])
        return grant, subject
