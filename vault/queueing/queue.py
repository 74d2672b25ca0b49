"""The queue of a vault: putting work off, and taking it up under a lease.

    added = queue.order(Order(TaskKind.ORGANIZE, subject, principal, Purpose.OPERATIONS))
    store.submit(WriteSet(drafts=[…], changes=[added.change]))

Owns the way of a task from order to end: waiting → running → done, or back to waiting after a failure, or dead. It leaves
doing to `vault.queueing.work`, deriving orders from the log to `vault.queueing.deriving`, and the statements to
`vault.storage.task_rows`.

- The least rank is next. A rank is the time of queueing and so much more as a task is less urgent: so whatever came
  later than that overtakes nobody, and nothing waits for ever.
- An attempt is counted when a task is taken: one that kills its process is dead after as many as one that fails.
- Whoever lost its lease ends nothing and, where it works under `fence`, writes nothing.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row

from audit.canonical import JsonValue
from audit.event import EntryDraft, EventType
from audit.log import Leaf
from vault.clock import microseconds
from vault.errors import ConflictError, LeaseLostError, TamperedError
from vault.ids import IdKind, new_id
from vault.parts import Parts
from vault.queueing.task import (
    Order,
    Priority,
    QueueLimits,
    Task,
    TaskKind,
    TaskState,
    TaskWords,
    key_digest,
    sealed,
)
from vault.storage.group_commit import Change, WriteSet
from vault.storage.task_rows import (
    AddTask,
    TakeTask,
    TaskLease,
    end,
    expect_held,
    forget_done,
    give_back,
    lapsed,
    renew,
)

SECOND: Final = 1_000_000
LAPSED: Final = "lapsed"
"""Reason of an attempt whose worker was killed or stopped."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A task in the hands of a worker; the lease fences off whoever had it before."""

    task: Task
    lease: TaskLease


class Queue:
    """The durable queue of one vault.

    Args:
        parts: Of the vault.
        limits: Bounds for each tenant.
        jitter: Returns a share, 0 to 1, by which a retry comes sooner: many do not come at one second.
    """

    def __init__(
        self,
        parts: Parts,
        limits: QueueLimits | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._parts = parts
        self.limits: Final = limits or QueueLimits()
        self._jitter = jitter

    def order(self, order: Order, *, after_seconds: float = 0.0) -> AddTask:
        """Return the change that queues work in the transaction of whoever asks for it.

        Args:
            order: What.
            after_seconds: It is not begun before.
        """
        parts, tenant = self._parts, order.principal.tenant
        now = parts.clock()
        at, task_id = microseconds(now), new_id(IdKind.TASK, now, parts.entropy)
        words, key = TaskWords.of(tenant, task_id, order), parts.sealers.credential_key(tenant)
        row: dict[str, Any] = {
            "task_id": task_id,
            "kind": words.kind,
            "subject_id": words.subject,
            "principal_id": words.principal,
            "roles": words.roles,
            "assurance": words.assurance,
            "purpose": words.purpose,
            "state": TaskState.WAITING.value,
            "priority": list(Priority).index(order.priority),
            "rank": at + order.priority.behind,
            "key": key_digest(key, tenant, order, task_id if order.key is None else order.key),
            "queued": at,
            "due": at + int(after_seconds * SECOND),
            "attempts": 0,
            "holder": "",
            "token": 0,
            "until": 0,
            "seal": sealed(key, words),
        }
        return AddTask(tenant, row, self.limits.depth, [])

    def take(self, tenant: str, holder: str) -> Taken | None:
        """Take the next task that is due; None where there is none.

        A row that is not what was queued is dead at once, with an entry, and the next one is taken.

        Raises:
            StorageError: or one of its kinds; nothing was taken.
        """
        while True:
            now = self._now()
            latest = now + max(int(self.limits.max_retry_seconds * SECOND), *(one.behind for one in Priority))
            length = int(self.limits.lease_seconds * SECOND)
            take = TakeTask(tenant, holder, now, length, latest, [])
            self._parts.store.submit(WriteSet(changes=[take.change]))
            if not take.taken:
                return None
            (row,) = take.taken
            lease = TaskLease(tenant, str(row.task_id), holder, row.token)
            try:
                return Taken(self._task(tenant, row), lease)
            except TamperedError:
                self._bury(lease, str(row.kind), "tampered")

    def fence(self, taken: Taken) -> Change:
        """Return the change that refuses a write set where a task is not its holder's any more."""

        def expect(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            expect_held(connection, taken.lease, self._now())

        return expect

    def renew(self, taken: Taken) -> bool:
        """Give a holder further time; say whether it still had any."""
        length = int(self.limits.lease_seconds * SECOND)
        try:
            self._change(lambda connection: renew(connection, taken.lease, self._now(), length))
        except LeaseLostError:
            return False
        return True

    def done(self, taken: Taken) -> None:
        """End a task that was done.

        Raises:
            LeaseLostError: it is another's by now: that one ends it.
        """
        self._end(taken.lease, state=TaskState.DONE.value, finished=self._now(), reason=None)

    def dropped(self, taken: Taken, reason: str) -> None:
        """End a task that has nothing to be done any more: whom it is about is gone.

        Raises:
            LeaseLostError: as for `done`.
        """
        self._end(taken.lease, state=TaskState.DONE.value, finished=self._now(), reason=reason)

    def put_back(self, taken: Taken, reason: str) -> None:
        """Have a task wait again whose attempt says nothing of it: the root cannot be used now, or we stop.

        Raises:
            LeaseLostError: as for `done`.
        """
        due = self._now() + int(self.limits.first_retry_seconds * SECOND)
        attempts = max(taken.task.attempts - 1, 0)
        self._end(taken.lease, state=TaskState.WAITING.value, due=due, attempts=attempts, reason=reason)

    def failed(self, taken: Taken, reason: str, *, for_good: bool = False) -> TaskState:
        """Have a failed task wait for its next attempt, longer each time, or bury it; say which.

        Raises:
            LeaseLostError: as for `done`.
        """
        if for_good or taken.task.attempts >= self.limits.attempts:
            self._bury(taken.lease, taken.task.kind.value, reason)
            return TaskState.DEAD
        due = self._now() + self._wait(taken.task.attempts)
        self._end(taken.lease, state=TaskState.WAITING.value, due=due, reason=reason)
        return TaskState.WAITING

    def sweep(self, tenant: str) -> int:
        """Take up what workers left that were killed or stopped, and forget what was done long ago.

        Returns:
            How many were taken up.
        """
        now = self._now()
        with self._parts.store.log_connection(tenant) as connection:
            left = lapsed(connection, tenant, now)
        before = now - int(self.limits.kept_seconds * SECOND)
        self._change(lambda connection: forget_done(connection, tenant, before))
        return sum(self._take_up(tenant, row, now) for row in left)

    def _take_up(self, tenant: str, row: Row[Any], now: int) -> bool:
        buried = row.attempts >= self.limits.attempts
        values: dict[str, object] = {"state": TaskState.WAITING.value, "reason": LAPSED}
        values["due"] = now + self._wait(row.attempts)
        drafts = []
        if buried:
            values = {"state": TaskState.DEAD.value, "finished": now, "reason": LAPSED}
            drafts = [self._dead(tenant, str(row.task_id), str(row.kind), LAPSED)]

        def take_up(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            give_back(connection, row, **values)

        try:
            self._parts.store.submit(WriteSet(drafts=drafts, changes=[take_up]))
        except ConflictError:
            return False
        return True

    def _wait(self, attempts: int) -> int:
        """Return microseconds until the next attempt: twice as long each time, and up to half of that sooner."""
        limits = self.limits
        longest = min(limits.first_retry_seconds * 2 ** min(attempts - 1, 30), limits.max_retry_seconds)
        return int(longest * (1 - self._jitter() / 2) * SECOND)

    def _bury(self, lease: TaskLease, kind: str, reason: str) -> None:
        now = self._now()

        def bury(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            end(connection, lease, now, state=TaskState.DEAD.value, finished=now, reason=reason)

        draft = self._dead(lease.tenant, lease.task_id, kind, reason)
        self._parts.store.submit(WriteSet(drafts=[draft], changes=[bury]))

    def _dead(self, tenant: str, task_id: str, kind: str, reason: str) -> EntryDraft:
        known = kind if kind in set(TaskKind) else "unknown"
        told: dict[str, JsonValue] = {"task": task_id, "kind": known, "reason": reason}
        return self._parts.journal.event(EventType.TASK_DEAD, tenant, told)

    def _end(self, lease: TaskLease, **values: object) -> None:
        self._change(lambda connection: end(connection, lease, self._now(), **values))

    def _change(self, change: Callable[[Connection], None]) -> None:
        def run(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            change(connection)

        self._parts.store.submit(WriteSet(changes=[run]))

    def _now(self) -> int:
        return microseconds(self._parts.clock())

    def _task(self, tenant: str, row: Row[Any]) -> Task:
        words = TaskWords(
            tenant,
            row.task_id,
            row.kind,
            row.subject_id,
            row.principal_id,
            row.roles,
            row.assurance,
            row.purpose,
        )
        words.expect(self._parts.sealers.credential_key(tenant), row.seal)
        kind, principal, purpose = words.read()
        levels = list(Priority)
        if not 0 <= row.priority < len(levels):
            raise TamperedError("a row of the task table is not of the form of one")
        priority = levels[row.priority]
        return Task(
            tenant, row.task_id, kind, row.subject_id, principal, purpose, priority, row.queued, row.attempts
        )
