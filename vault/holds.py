"""Legal holds: what they name is not removed until two people let it go (law 4).

    holds = Holds(vault.parts)
    placed = holds.place(officer, Placing(HoldScope.SUBJECT, HoldReason.LITIGATION, review, subjects=("Anna Keller",)))
    holds.ask_release(officer, placed.hold_id)
    holds.release(second_officer, placed.hold_id)

Owns who may do what, and every refusal. It leaves the rows to `vault.storage.holding`, the words of a query to
`vault.hold_query`, and the check that counts, in the transaction of every removal, to `vault.storage.removal`.

A hold of a person is over what will be written later, too; one by words is over what had them when it was placed, or
extended: the words are not kept, only their keyed digest in the log. Nothing here shows content: ids and counts.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from audit.canonical import JsonValue
from audit.event import EntryDraft, EventType, Outcome
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, SystemResource
from vault.clock import microseconds
from vault.errors import ConflictError, HoldTooLateError, NotFoundError, StorageError
from vault.grant import Grant, authorise
from vault.hold_query import Matched, match_queries
from vault.hold_terms import (
    MAX_NAMED,
    Hold,
    Placed,
    Placing,
    Targets,
    check_placing,
    check_review,
    check_targets,
    hold_of,
)
from vault.hold_words import HoldScope, ReleaseStep
from vault.ids import IdKind, check_vault_id, new_id
from vault.journal import Call
from vault.ledger_mirror import mirror
from vault.parts import Parts
from vault.storage.group_commit import WriteSet
from vault.storage.holding import (
    NOBODY_ASKED,
    AddTargets,
    MarkHold,
    TargetsOfEntry,
    hold_row,
    hold_rows,
    target_counts,
    target_rows,
)

_TRIES: Final = 3
_VAULT: Final = SystemResource.VAULT.value
_LOGGER: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Naming:
    """What a hold is to name."""

    grant: Grant
    hold_id: str
    scope: HoldScope
    targets: Targets
    row: dict[str, object] | None = None
    """Of the hold, where it is new."""


class Holds:
    """Places, reviews and releases the holds of one vault."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def place(self, principal: Principal, placing: Placing, purpose: Purpose = Purpose.LEGAL) -> Placed:
        """Place a hold.

        Raises:
            DeniedError: not allowed; the denial is logged.
            InputInvalidError: the targets do not fit the scope, or the review lies not ahead.
            NotFoundError: a memory is not there, or no memory has the words.
            HoldTooLateError: an erasure of what is to be held was begun before; the refusal is logged.
        """
        grant = self._authorise(principal, purpose, EventType.HOLD_PLACE)
        now = self._parts.clock()
        check_placing(placing, now)
        hold_id = new_id(IdKind.HOLD, now, self._parts.entropy)
        row: dict[str, object] = {
            "tenant_id": grant.tenant,
            "hold_id": hold_id,
            "scope": placing.scope.value,
            "matter": placing.matter,
            "reason": placing.reason.value,
            "placed_by": principal.id,
            "review": microseconds(placing.review),
        }
        return self._name(_Naming(grant, hold_id, placing.scope, placing.targets, row))

    def extend(
        self, principal: Principal, hold_id: str, targets: Targets, purpose: Purpose = Purpose.LEGAL
    ) -> Placed:
        """Let a hold that is in force name more; by words: what has them by now. A release has to be asked for anew.

        Raises:
            ConflictError: the hold was released.
            DeniedError, InputInvalidError, NotFoundError, HoldTooLateError: as for `place`.
        """
        grant = self._authorise(principal, purpose, EventType.HOLD_PLACE, hold_id)
        hold = self._standing(grant, hold_id, EventType.HOLD_PLACE)
        check_targets(hold.scope, targets)
        return self._name(_Naming(grant, hold_id, hold.scope, targets))

    def review(
        self, principal: Principal, hold_id: str, until: datetime, purpose: Purpose = Purpose.LEGAL
    ) -> None:
        """Say that a hold was looked at and stays, and when next; a release has to be asked for anew.

        Raises:
            DeniedError: not allowed; the denial is logged.
            InputInvalidError: the next review lies not ahead.
            NotFoundError: there is no such hold.
            ConflictError: it was released.
        """
        grant = self._authorise(principal, purpose, EventType.HOLD_REVIEW, hold_id)
        check_review(until, self._parts.clock())
        self._standing(grant, hold_id, EventType.HOLD_REVIEW)
        payload: dict[str, JsonValue] = {"review": microseconds(until)}
        event = EventType.HOLD_REVIEW
        draft = self._parts.journal.allowed(grant, payload, resource=hold_id, event=event)
        reviewed = {**NOBODY_ASKED, "review": microseconds(until)}
        self._mark(grant, draft, MarkHold(grant.tenant, hold_id, reviewed))

    def ask_release(self, principal: Principal, hold_id: str, purpose: Purpose = Purpose.LEGAL) -> None:
        """Ask that a hold be released; it holds until a second person does it.

        Raises:
            DeniedError: not allowed; the denial is logged.
            NotFoundError: there is no such hold.
            ConflictError: it was released.
        """
        grant = self._authorise(principal, purpose, EventType.HOLD_RELEASE, hold_id)
        self._standing(grant, hold_id, EventType.HOLD_RELEASE)
        step: dict[str, JsonValue] = {"step": ReleaseStep.ASKED.value}
        event = EventType.HOLD_RELEASE
        draft = self._parts.journal.allowed(grant, step, resource=hold_id, event=event)
        asked = {"asked_by": principal.id, "asked": microseconds(draft.time)}
        self._mark(grant, draft, MarkHold(grant.tenant, hold_id, asked))

    def release(self, principal: Principal, hold_id: str, purpose: Purpose = Purpose.LEGAL) -> None:
        """Release a hold, as the second person; what it kept may be removed from now on.

        Raises:
            DeniedError: not allowed, or who calls placed the hold, asked for its release, or nobody did: the
                answer is always the same, and logged.
            NotFoundError: there is no such hold.
            ConflictError: it was released.
        """
        grant = self._authorise(principal, purpose, EventType.HOLD_RELEASE, hold_id)
        self._standing(grant, hold_id, EventType.HOLD_RELEASE)
        step: dict[str, JsonValue] = {"step": ReleaseStep.RELEASED.value}
        event = EventType.HOLD_RELEASE
        draft = self._parts.journal.allowed(grant, step, resource=hold_id, event=event)
        released = {"released_by": principal.id, "released": microseconds(draft.time)}
        try:
            self._mark(grant, draft, MarkHold(grant.tenant, hold_id, released, second_person=principal.id))
        except DeniedError:
            call = Call(principal, Action.HOLD, purpose)
            self._parts.journal.deny(call, resource=hold_id, event=EventType.HOLD_RELEASE)
            raise

    def all(self, principal: Principal, purpose: Purpose = Purpose.LEGAL) -> tuple[Hold, ...]:
        """Return all holds, the released ones, too, oldest first; that somebody looked is an entry.

        Raises:
            DeniedError: not allowed; the denial is logged.
        """
        grant = self._authorise(principal, purpose, EventType.VAULT_READ)
        with self._parts.store.log_connection(grant.tenant) as connection:
            counts = target_counts(connection, grant.tenant)
            found = tuple(
                hold_of(row, counts.get(str(row["hold_id"]), {}))
                for row in hold_rows(connection, grant.tenant).holds
            )
        payload: dict[str, JsonValue] = {"kind": "holds", "count": len(found)}
        self._parts.journal.note(grant, payload, resource=_VAULT, event=EventType.VAULT_READ)
        return found

    def named(
        self, principal: Principal, hold_id: str, purpose: Purpose = Purpose.LEGAL
    ) -> tuple[Hold, tuple[str, ...]]:
        """Return one hold and the vault ids that it names; that somebody looked is an entry.

        Raises:
            DeniedError: not allowed; the denial is logged.
            NotFoundError: there is no such hold.
        """
        grant = self._authorise(principal, purpose, EventType.VAULT_READ)
        hold = self._found(grant, hold_id, EventType.VAULT_READ)
        with self._parts.store.log_connection(grant.tenant) as connection:
            ids = tuple(target.id for _, target, _ in target_rows(connection, grant.tenant, hold_id))
        payload: dict[str, JsonValue] = {"kind": "holds", "hold": hold_id, "count": len(ids)}
        self._parts.journal.note(grant, payload, resource=_VAULT, event=EventType.VAULT_READ)
        return hold, ids

    def _name(self, naming: _Naming) -> Placed:
        """Let a hold name targets; what a query matched and is gone meanwhile is looked for again."""
        tenant, targets = naming.grant.tenant, naming.targets
        subjects = self._parts.sealers.subject_ids(tenant, targets.subjects)
        for tried in range(_TRIES):
            matched = self._match(naming)
            memories = tuple(sorted({*targets.memories, *matched.memories}))
            if targets.queries and not memories:
                self._refuse(naming.grant, naming.hold_id, "nothing", Outcome.NOT_FOUND)
                raise NotFoundError("no memory here has all these words")
            try:
                leaf = self._commit(naming, (*subjects, *memories), matched)
            except HoldTooLateError:
                self._refuse(naming.grant, naming.hold_id, "erasure", Outcome.REFUSED)
                raise
            except NotFoundError:
                if targets.queries and tried < _TRIES - 1:
                    continue
                self._refuse(naming.grant, naming.hold_id, "gone", Outcome.NOT_FOUND)
                raise
            return Placed(naming.hold_id, len(subjects), len(memories), matched.unreadable, leaf)
        raise AssertionError("the last try returns or raises")  # pragma: no cover

    def _match(self, naming: _Naming) -> Matched:
        if not naming.targets.queries:
            return Matched((), (), 0)
        grant = naming.grant
        return match_queries(self._parts, grant.tenant, grant.principal.id, naming.targets.queries)

    def _commit(self, naming: _Naming, ids: Sequence[str], matched: Matched) -> int:
        pieces = [ids[start : start + MAX_NAMED] for start in range(0, len(ids), MAX_NAMED)] or [()]
        drafts: list[EntryDraft] = []
        row = naming.row
        for nth, some in enumerate(pieces):
            payload: dict[str, JsonValue] = {"targets": list(some), "count": len(some)}
            if nth == 0 and row is not None:
                payload["scope"] = str(row["scope"])
                payload["reason"] = str(row["reason"])
                payload["matter"] = None if row["matter"] is None else str(row["matter"])
                payload["review"] = cast("int", row["review"])
            if nth == 0 and matched.digests:
                payload["query"] = list(matched.digests)
                payload["unreadable"] = matched.unreadable
            drafts.append(
                self._parts.journal.allowed(
                    naming.grant, payload, resource=naming.hold_id, event=EventType.HOLD_PLACE
                )
            )
        if row is not None:
            row = {**row, "placed": microseconds(drafts[0].time)}
        parts = [TargetsOfEntry(nth, tuple(some)) for nth, some in enumerate(pieces)]
        add = AddTargets(naming.grant.tenant, naming.hold_id, naming.scope, parts, row)
        self._parts.probe("holding")
        leaves = self._parts.store.submit(WriteSet(drafts=drafts, changes=[add.change]))
        self._parts.probe("held")
        self._mirror(naming.grant.tenant)
        return leaves[0].index

    def _mark(self, grant: Grant, draft: EntryDraft, mark: MarkHold) -> None:
        self._parts.store.submit(WriteSet(drafts=[draft], changes=[mark.change]))
        self._mirror(grant.tenant)

    def _mirror(self, tenant: str) -> None:
        """Tell the ledger, outside the data's backups; what it cannot take now it takes at the next change or opening."""
        try:
            mirror(self._parts, tenant)
        except StorageError as error:
            _LOGGER.warning("the ledger of %s lacks a change of a hold: %s", tenant, type(error).__name__)

    def _found(self, grant: Grant, hold_id: str, event: EventType) -> Hold:
        check_vault_id(IdKind.HOLD, hold_id)
        try:
            with self._parts.store.log_connection(grant.tenant) as connection:
                row = hold_row(connection, grant.tenant, hold_id)
                counts = target_counts(connection, grant.tenant).get(hold_id, {})
        except NotFoundError:
            self._parts.journal.note(grant, {}, resource=hold_id, event=event, outcome=Outcome.NOT_FOUND)
            raise
        return hold_of(row, counts)

    def _standing(self, grant: Grant, hold_id: str, event: EventType) -> Hold:
        """Return a hold that is in force."""
        hold = self._found(grant, hold_id, event)
        if not hold.in_force:
            self._refuse(grant, hold_id, "released", Outcome.REFUSED, event)
            raise ConflictError("the hold was released")
        return hold

    def _refuse(
        self,
        grant: Grant,
        hold_id: str,
        reason: str,
        outcome: Outcome,
        event: EventType = EventType.HOLD_PLACE,
    ) -> None:
        self._parts.journal.note(grant, {"reason": reason}, resource=hold_id, event=event, outcome=outcome)

    def _authorise(
        self, principal: Principal, purpose: Purpose, event: EventType, hold_id: str | None = None
    ) -> Grant:
        over = ((SystemResource.VAULT, Relation.INSTITUTION),)
        if hold_id is not None:
            check_vault_id(IdKind.HOLD, hold_id)
        try:
            return authorise(self._parts.policy, principal, Action.HOLD, purpose, over=over)
        except DeniedError:
            call = Call(principal, Action.HOLD, purpose)
            self._parts.journal.deny(call, resource=hold_id or _VAULT, event=event)
            raise
