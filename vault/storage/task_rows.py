"""The `task` table: queueing, taking under a lease, ending, and the fence of whoever holds one.

Owns the statements, each for the caller's transaction. It leaves what a task is and when it is tried again to
`vault.queueing`, and entries to the write sets that these changes are part of.

Leases are judged by one clock, the vault's, as in `vault.storage.leasing`: it may jump. Forward, and a lease ends early,
which the fence finds; back, and a lease or a retry would seem to last for days, so one that ends later than any could
is held to be over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, or_, select, update

from audit.log import Leaf
from vault.crypto.sealed import Sealed
from vault.errors import ConflictError, ErasedError, LeaseLostError, QueueFullError
from vault.storage.schema import ERASURE, SUBJECT, TASK

WAITING: Final = "waiting"
RUNNING: Final = "running"
DONE: Final = "done"
DEAD: Final = "dead"
MAX_LEASE: Final = 3_600_000_000
"""Microseconds: no lease is given for longer."""
SWEPT: Final = 200


class TaskLease(NamedTuple):
    """A task in the hands of a worker."""

    tenant: str
    task_id: str
    holder: str
    token: int


class QueueCounts(NamedTuple):
    """How a queue stands."""

    kind: str
    state: str
    tasks: int
    oldest: int
    """When the first of them was queued."""


@dataclass(frozen=True, slots=True)
class AddTask:
    """Queues a task in the caller's transaction, unless it is queued already; see `change`."""

    tenant: str
    row: dict[str, Any]
    depth: int
    found: list[str]
    """Filled in: the id of the task that does this work; emptied first, since a commit may be tried twice."""

    def change(self, connection: Connection, leaves: Sequence[Leaf]) -> None:
        """Queue it; a `vault.storage.group_commit.Change`.

        Raises:
            QueueFullError: too many wait; nothing of the write set is written.
            ErasedError: whom it is about was erased, or is being.
        """
        self.found.clear()
        row = self.row
        same = and_(TASK.c.kind == row["kind"], TASK.c.subject_id == row["subject_id"])
        under = and_(TASK.c.principal_id == row["principal_id"], TASK.c.roles == row["roles"])
        alike = and_(same, under, TASK.c.purpose == row["purpose"], TASK.c.state == WAITING)
        for there in (TASK.c.key == row["key"], alike):  # one after the other: each has an index of its own
            query = select(TASK.c.task_id).where(TASK.c.tenant_id == self.tenant, there)
            known = connection.execute(query.limit(1)).scalar()
            if known is not None:
                self.found.append(str(known))
                return
        erased = select(ERASURE.c.erasure_id).where(
            ERASURE.c.tenant_id == self.tenant, ERASURE.c.subject_id == row["subject_id"]
        )
        if connection.execute(erased).first() is not None:
            raise ErasedError("whom this work is about was erased, or is being")
        if count_open(connection, self.tenant) >= self.depth:
            raise QueueFullError(f"{self.depth} tasks wait already: try again later")
        index = leaves[0].index if leaves else 0
        connection.execute(TASK.insert(), {**row, "tenant_id": self.tenant, "leaf_index": index})
        self.found.append(str(row["task_id"]))


def count_open(connection: Connection, tenant: str) -> int:
    """Return how many tasks wait or run."""
    query = select(func.count()).where(TASK.c.tenant_id == tenant, TASK.c.state.in_((WAITING, RUNNING)))
    return int(connection.execute(query).scalar_one())


@dataclass(frozen=True, slots=True)
class TakeTask:
    """Takes the next task that is due under a lease; see `change`."""

    tenant: str
    holder: str
    now: int
    lease: int
    """Microseconds."""
    latest: int
    """What is due, or ranked, later than this was so by a clock that was set back since."""
    taken: list[Row[Any]]
    """Filled in: the row as it stands then."""

    def change(self, connection: Connection, _leaves: Sequence[Leaf]) -> None:
        """Take it; a `vault.storage.group_commit.Change`."""
        self.taken.clear()
        waiting = and_(TASK.c.tenant_id == self.tenant, TASK.c.state == WAITING)
        late = update(TASK).where(waiting, TASK.c.rank > self.latest).values(rank=self.now)
        connection.execute(late)
        is_due = or_(TASK.c.due <= self.now, TASK.c.due > self.latest)
        query = select(TASK).where(waiting, is_due).order_by(TASK.c.rank, TASK.c.task_id).limit(1)
        row = connection.execute(query).first()
        if row is None:
            return
        mine = _of(self.tenant, str(row.task_id))
        values = {
            "state": RUNNING,
            "holder": self.holder,
            "token": row.token + 1,
            "until": self.now + self.lease,
            "attempts": row.attempts + 1,
        }
        connection.execute(update(TASK).where(mine).values(values))
        self.taken.extend(connection.execute(select(TASK).where(mine)).all())


def expect_held(connection: Connection, lease: TaskLease, now: int) -> None:
    """See that a task is its holder's still.

    Raises:
        LeaseLostError: it is another's by now, ended, gone, or its time is out.
    """
    columns = (TASK.c.state, TASK.c.holder, TASK.c.token, TASK.c.until)
    row = connection.execute(select(*columns).where(_of(lease.tenant, lease.task_id))).first()
    if row is None or (row.state, row.holder, row.token) != (RUNNING, lease.holder, lease.token):
        raise LeaseLostError(f"{lease.task_id} is another's by now")
    if _is_over(row.until, now):
        raise LeaseLostError(f"the lease of {lease.task_id} ran out")


def renew(connection: Connection, lease: TaskLease, now: int, length: int) -> None:
    """Give a holder further time from now on.

    Raises:
        LeaseLostError: it is not its holder's any more.
    """
    expect_held(connection, lease, now)
    connection.execute(update(TASK).where(_of(lease.tenant, lease.task_id)).values(until=now + length))


def end(connection: Connection, lease: TaskLease, now: int, **values: object) -> None:
    """Let a task go, done, dead or waiting again.

    Raises:
        LeaseLostError: it is not its holder's any more.
    """
    expect_held(connection, lease, now)
    connection.execute(update(TASK).where(_of(lease.tenant, lease.task_id)).values(until=0, **values))


def lapsed(connection: Connection, tenant: str, now: int) -> Sequence[Row[Any]]:
    """Return tasks whose holder let its lease run out: it was killed, or is stopped."""
    over = or_(TASK.c.until <= now, TASK.c.until > now + MAX_LEASE)
    query = select(TASK).where(TASK.c.tenant_id == tenant, TASK.c.state == RUNNING, over)
    return connection.execute(query.order_by(TASK.c.task_id).limit(SWEPT)).all()


def give_back(connection: Connection, row: Row[Any], **values: object) -> None:
    """Take a task from a holder that let its lease run out; the token is kept: it only grows.

    Raises:
        ConflictError: it is not as it was read any more.
    """
    same = and_(_of(row.tenant_id, row.task_id), TASK.c.state == RUNNING, TASK.c.token == row.token)
    there = and_(same, TASK.c.until == row.until)
    if connection.execute(update(TASK).where(there).values(until=0, **values)).rowcount != 1:
        raise ConflictError("a task was taken up meanwhile")


def forget_done(connection: Connection, tenant: str, before: int) -> None:
    """Forget what was done so long ago."""
    old = and_(TASK.c.tenant_id == tenant, TASK.c.state == DONE, TASK.c.finished < before)
    ids = select(TASK.c.task_id).where(old).limit(SWEPT)
    connection.execute(delete(TASK).where(TASK.c.tenant_id == tenant, TASK.c.task_id.in_(ids)))


def decide(connection: Connection, tenant: str, task_id: str, *, retry: bool, now: int) -> None:
    """Have a dead task wait again, or drop it.

    Raises:
        ConflictError: it is not dead any more.
    """
    dead = and_(_of(tenant, task_id), TASK.c.state == DEAD)
    again = {"state": WAITING, "attempts": 0, "due": now, "rank": now, "reason": None, "finished": None}
    statement = update(TASK).where(dead).values(again) if retry else delete(TASK).where(dead)
    if connection.execute(statement).rowcount != 1:
        raise ConflictError("the task is not dead any more")


def dead_tasks(
    connection: Connection, tenant: str, limit: int, task_id: str | None = None
) -> Sequence[Row[Any]]:
    """Return dead tasks, the oldest first; or one of them."""
    query = select(TASK).where(TASK.c.tenant_id == tenant, TASK.c.state == DEAD)
    if task_id is not None:
        query = query.where(TASK.c.task_id == task_id)
    return connection.execute(query.order_by(TASK.c.queued, TASK.c.task_id).limit(limit)).all()


def queue_counts(connection: Connection, tenant: str) -> list[QueueCounts]:
    """Return how many tasks of each kind stand how."""
    query = (
        select(TASK.c.kind, TASK.c.state, func.count(), func.min(TASK.c.queued))
        .where(TASK.c.tenant_id == tenant)
        .group_by(TASK.c.kind, TASK.c.state)
        .order_by(TASK.c.kind, TASK.c.state)
    )
    return [QueueCounts(*row) for row in connection.execute(query)]


def has_tasks(connection: Connection, tenant: str) -> bool:
    """Say whether there is any task, be it done: where there is none, nobody need ask in a transaction of writing."""
    return (
        connection.execute(select(TASK.c.task_id).where(TASK.c.tenant_id == tenant).limit(1)).first()
        is not None
    )


def is_open(connection: Connection, tenant: str, now: int) -> bool:
    """Say whether a task runs, or waits and is due."""
    due = and_(TASK.c.state == WAITING, TASK.c.due <= now)
    query = select(TASK.c.task_id).where(TASK.c.tenant_id == tenant, or_(TASK.c.state == RUNNING, due))
    return connection.execute(query.limit(1)).first() is not None


def sealed_name(connection: Connection, tenant: str, subject: str) -> Sealed | None:
    """Return the sealed name of a subject; None where it is not known any more."""
    query = select(SUBJECT.c.name).where(SUBJECT.c.tenant_id == tenant, SUBJECT.c.subject_id == subject)
    found = connection.execute(query).scalar()
    return found if isinstance(found, Sealed) else None


def _of(tenant: str, task_id: str) -> ColumnElement[bool]:
    return and_(TASK.c.tenant_id == tenant, TASK.c.task_id == task_id)


def _is_over(until: int, now: int) -> bool:
    return until <= now or until > now + MAX_LEASE
