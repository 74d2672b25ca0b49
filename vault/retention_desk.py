"""Retention as an administrator sees it: classes, why a memory has its own and when that ends, and the clock.

Owns the answers behind `memvault retention`. It leaves the rules to `policies.retention`, ends of terms to
`vault.classification`, and decisions about memories to `vault.review`. Nothing is opened here: an answer is made of
what stands in clear in the rows.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from audit.canonical import JsonValue
from audit.event import EventType
from audit.log import Leaf
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, SystemResource
from policies.retention import floors_over
from policies.retention_model import EndAction, RetentionClass
from vault.classification import ends
from vault.clock import from_microseconds, microseconds
from vault.clock_watch import REASON
from vault.errors import NotFoundError
from vault.grant import Grant, authorise
from vault.ids import IdKind, check_vault_id
from vault.journal import Call
from vault.parts import Parts
from vault.storage.due import count_classes, count_due, current_rows, last_used
from vault.storage.group_commit import WriteSet
from vault.storage.removal import held_memories
from vault.storage.retention_state import SaveState
from vault.term_bounds import TermBounds
from vault.usage import Usage

EXPIRY: Final = "expiry"
"""Name of the job that a confirmed clock lets go on."""
_VAULT: Final = SystemResource.VAULT.value
_FOR_EVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ClassStanding:
    """A class, and how many memories have it."""

    class_id: str
    known: RetentionClass | None
    """None: the rules in force do not know it; its memories have no end."""
    memories: int
    due: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a memory is kept, and until when."""

    memory_id: str
    class_id: str
    known: RetentionClass | None
    rule: str
    """Id of the rule that chose the class, or a class before it."""
    recorded: datetime
    start: datetime
    last_used: datetime | None
    ends: datetime | None
    """None: never."""
    floors: tuple[tuple[str, datetime], ...]
    """Floors that may speak of it, each with until when; those over kinds of personal data only if it holds some."""
    holds: tuple[str, ...]


class RetentionDesk:
    """Answers about retention in one vault."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def classes(self, principal: Principal, purpose: Purpose) -> tuple[ClassStanding, ...]:
        """Return all classes of the rules, and those that memories have beside them.

        Raises:
            DeniedError: not allowed; the denial is logged.
        """
        grant = self._authorise(principal, purpose, _VAULT)
        rules, now = self._parts.retention, self._parts.clock()
        Usage(self._parts.store).catch_up(grant.tenant)
        bounds = TermBounds(self._parts)
        with self._parts.store.log_connection(grant.tenant) as connection:
            counts = count_classes(connection, grant.tenant)
            found = []
            for one in rules.classes:
                due = bounds.due(connection, one, grant.tenant, now)
                over = 0 if due is None else count_due(connection, due)
                found.append(ClassStanding(one.id, one, counts.pop(one.id, 0), over))
        found += [ClassStanding(name, None, count, 0) for name, count in sorted(counts.items())]
        told: dict[str, JsonValue] = {"count": len(found), "kind": "retention"}
        self._parts.journal.note(grant, told, resource=_VAULT)
        return tuple(found)

    def explain(self, principal: Principal, purpose: Purpose, memory_id: str) -> Explanation:
        """Say which class a memory has, why, and when its term ends.

        Raises:
            DeniedError: not allowed; the denial is logged.
            NotFoundError: the tenant has no such memory; that is logged, too.
        """
        check_vault_id(IdKind.MEMORY, memory_id)
        grant = self._authorise(principal, purpose, memory_id)
        Usage(self._parts.store).catch_up(grant.tenant)
        with self._parts.store.log_connection(grant.tenant) as connection:
            rows = current_rows(connection, grant.tenant, [memory_id])
            used = last_used(connection, grant.tenant, memory_id)
            holds = held_memories(connection, grant.tenant, [memory_id])
        self._parts.journal.note(grant, {"count": len(rows), "kind": "retention"}, resource=memory_id)
        if not rows:
            raise NotFoundError("there is no such memory here")
        (stored,) = rows
        rules, class_id = self._parts.retention, stored.retention.class_id
        known, recorded = rules.of_class(class_id), from_microseconds(stored.recorded)
        end = ends(rules, stored.retention, used or 0)
        loses = known is not None and known.then in (EndAction.EXPIRE, EndAction.REDACT, EndAction.ASK)
        floors = floors_over(rules, class_id, grant.tenant) if loses else ()
        return Explanation(
            memory_id,
            class_id,
            known,
            stored.retention.rule,
            recorded,
            from_microseconds(stored.retention.start),
            None if used is None else from_microseconds(used),
            None if end == _FOR_EVER else end,
            tuple((floor.id, floor.at_least.after(recorded)) for floor in floors),
            tuple(sorted({one.hold_id for one in holds})),
        )

    def confirm_clock(self, principal: Principal, purpose: Purpose) -> Leaf:
        """Say that the clock is right: expiry goes on from its present time.

        Raises:
            DeniedError: not allowed; the denial is logged.
        """
        grant = self._authorise(principal, purpose, _VAULT)
        now = self._parts.clock()
        told: dict[str, JsonValue] = {"job": EXPIRY, "reason": REASON, "reviewed": True}
        draft = self._parts.journal.allowed(grant, told, resource=_VAULT, event=EventType.JOB_PAUSE)
        save = SaveState(grant.tenant, clock=microseconds(now))
        (leaf,) = self._parts.store.submit(WriteSet(drafts=[draft], changes=[save.change]))
        return leaf

    def _authorise(self, principal: Principal, purpose: Purpose, resource: str) -> Grant:
        over = ((SystemResource.VAULT, Relation.INSTITUTION),)
        try:
            return authorise(self._parts.policy, principal, Action.ADMINISTER, purpose, over=over)
        except DeniedError:
            self._parts.journal.deny(Call(principal, Action.ADMINISTER, purpose), resource=resource)
            raise
