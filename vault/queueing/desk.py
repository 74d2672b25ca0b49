"""The queue as its administrator sees it: how it stands, what is dead, tried again or dropped.

Owns who may, and the entry of each; no content is shown. It leaves the rows to `vault.storage.task_rows`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection

from audit.canonical import JsonValue
from audit.event import EventType, Outcome
from audit.log import Leaf
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, SystemResource
from vault.clock import from_microseconds, microseconds, monotonic
from vault.errors import NotFoundError
from vault.grant import Grant, authorise
from vault.ids import IdKind, check_vault_id
from vault.journal import Call
from vault.parts import Parts
from vault.queueing.deriving import Deriving
from vault.queueing.queue import Queue
from vault.queueing.task import QueueLimits
from vault.queueing.work import Worker
from vault.storage.group_commit import WriteSet
from vault.storage.task_rows import QueueCounts, count_open, dead_tasks, decide, queue_counts

MAX_LISTED: Final = 1_000
_VAULT: Final = SystemResource.VAULT.value


class TaskVerdict(StrEnum):
    """What somebody decides of a dead task."""

    RETRY = "retry"
    """It waits again, as if it had never been tried."""
    DISCARD = "discard"
    """It is dropped; what it was to do is left undone."""


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """How a tenant's queue stands."""

    counts: tuple[QueueCounts, ...]
    open: int
    """Tasks that wait or run."""
    depth: int
    """As many as are taken at most."""
    embeddings: int
    """Memories that wait for their vector in this process: their rows say so, no task does."""


@dataclass(frozen=True, slots=True)
class DeadTask:
    """A task that somebody is to decide about."""

    id: str
    kind: str
    subject: str
    """Vault id."""
    principal: str
    reason: str
    attempts: int
    queued: datetime


class QueueDesk:
    """Looks at the queue of one vault, and decides about dead tasks."""

    def __init__(self, parts: Parts, limits: QueueLimits | None = None) -> None:
        self._parts = parts
        self._limits = limits or QueueLimits()

    def status(self, principal: Principal, purpose: Purpose) -> QueueStatus:
        """Return how the queue of the principal's tenant stands.

        Raises:
            DeniedError: not allowed; the denial is logged.
        """
        grant = self._authorise(principal, purpose, EventType.VAULT_READ, _VAULT)
        with self._parts.store.log_connection(grant.tenant) as connection:
            counts = tuple(queue_counts(connection, grant.tenant))
            waiting = count_open(connection, grant.tenant)
        self._parts.journal.note(grant, {"count": waiting, "kind": "queue"}, resource=_VAULT)
        return QueueStatus(
            counts, waiting, self._limits.depth, self._parts.embedding.backlog_of(grant.tenant)
        )

    def dead(self, principal: Principal, purpose: Purpose, limit: int = MAX_LISTED) -> tuple[DeadTask, ...]:
        """Return dead tasks, the oldest first.

        Raises:
            DeniedError: not allowed; the denial is logged.
        """
        grant = self._authorise(principal, purpose, EventType.VAULT_READ, _VAULT)
        with self._parts.store.log_connection(grant.tenant) as connection:
            rows = dead_tasks(connection, grant.tenant, min(limit, MAX_LISTED))
        self._parts.journal.note(grant, {"count": len(rows), "kind": "dead-tasks"}, resource=_VAULT)
        return tuple(
            DeadTask(
                id=str(row.task_id),
                kind=str(row.kind),
                subject=str(row.subject_id),
                principal=str(row.principal_id),
                reason=str(row.reason or ""),
                attempts=int(row.attempts),
                queued=from_microseconds(row.queued),
            )
            for row in rows
        )

    def decide(self, principal: Principal, purpose: Purpose, task_id: str, verdict: TaskVerdict) -> Leaf:
        """Have a dead task tried again, or drop it; return where the entry stands.

        Raises:
            DeniedError: not allowed; the denial is logged.
            NotFoundError: no such task is dead; the entry says so.
            ConflictError: somebody decided meanwhile.
        """
        check_vault_id(IdKind.TASK, task_id)
        event, journal = EventType.TASK_DECIDE, self._parts.journal
        grant = self._authorise(principal, purpose, event, task_id)
        with self._parts.store.log_connection(grant.tenant) as connection:
            rows = dead_tasks(connection, grant.tenant, 1, task_id)
        if not rows:
            journal.note(grant, {}, resource=task_id, outcome=Outcome.NOT_FOUND, event=event)
            raise NotFoundError("no such task is dead")
        now = microseconds(self._parts.clock())

        def change(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            decide(connection, grant.tenant, task_id, retry=verdict is TaskVerdict.RETRY, now=now)

        told: dict[str, JsonValue] = {"task": task_id, "reason": verdict.value}
        draft = journal.allowed(grant, told, resource=task_id, event=event)
        return self._parts.store.submit(WriteSet(drafts=[draft], changes=[change]))[0]

    def work(self, principal: Principal, purpose: Purpose, seconds: float) -> int:
        """Queue what follows from what was written, and do what is due, in this thread; return how much was done.

        Each task is done under whom it was put off by. What fails waits for its next attempt.

        Raises:
            DeniedError: not allowed; the denial is logged.
        """
        parts, event = self._parts, EventType.TASK_DECIDE
        grant = self._authorise(principal, purpose, event, _VAULT)
        derive = Deriving(parts, Queue(parts, self._limits))
        while derive.step(grant.tenant):
            pass
        worker, done, until = Worker(lambda: parts, self._limits), 0, monotonic() + seconds
        while monotonic() < until and worker.step(grant.tenant) is not None:
            done += 1
        parts.journal.note(grant, {"count": done, "reason": "work"}, resource=_VAULT, event=event)
        return done

    def _authorise(self, principal: Principal, purpose: Purpose, event: EventType, resource: str) -> Grant:
        over = ((SystemResource.VAULT, Relation.INSTITUTION),)
        try:
            return authorise(self._parts.policy, principal, Action.ADMINISTER, purpose, over=over)
        except DeniedError:
            call = Call(principal, Action.ADMINISTER, purpose)
            self._parts.journal.deny(call, resource=resource, event=event)
            raise
