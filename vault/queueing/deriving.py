"""From the log to the queue: what was written or changed is organized later, and no writer pays for it.

Owns reading the log from where it was read last, and queueing one task a subject. The log is the outbox: an entry stands
there because the write is durable, and the place up to which it was read is kept in the transaction that queues. So
nothing written is forgotten, wherever a process is killed, and nothing is queued that was not written.

Tasks run under the vault itself, as a service: whether a service may organize is the policy's to say.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, select

from audit.canonical import JsonValue, parse_canonical
from audit.errors import MalformedError
from audit.event import EventType
from audit.log import Leaf
from audit.store import LEAF
from policies.model import Principal, Purpose, Role
from vault.errors import ConflictError, QueueFullError
from vault.journal import VAULT_PRINCIPAL
from vault.parts import Parts
from vault.queueing.queue import Queue
from vault.queueing.task import Order, Priority, TaskKind
from vault.storage.group_commit import WriteSet
from vault.storage.job_rows import job_state, set_job
from vault.storage.schema import ERASURE, MEMORY_SUBJECT

PAGE: Final = 200
"""Entries that are read at once: each names a few subjects."""
SETTLING_SECONDS: Final = 5.0
"""What is said within so long is organized together."""
STATE: Final = "queue"
"""Name of the row that keeps how far the log was read; no job of the timetable has it."""
_WRITES: Final = tuple(
    event.value for event in (EventType.MEMORY_WRITE, EventType.MEMORY_UPDATE, EventType.MEMORY_PROMOTE)
)


def vault_itself(tenant: str) -> Principal:
    """Return the vault as a principal of a tenant: a service, which writes and organizes and reveals nothing."""
    return Principal(VAULT_PRINCIPAL, tenant, frozenset({Role.SERVICE}))


class Deriving:
    """Queues what follows from what the log tells of."""

    def __init__(self, parts: Parts, queue: Queue) -> None:
        self._parts = parts
        self._queue = queue

    def step(self, tenant: str) -> bool:
        """Queue what follows from the next stretch of the log; say whether there may be more now.

        A full queue takes no more: the place stays, and the next step goes on from there. Two that read at one time
        queue the same once.

        Raises:
            StorageError: or one of its kinds; nothing was queued.
        """
        parts = self._parts
        with parts.store.log_connection(tenant) as connection:
            before = job_state(connection, tenant, STATE).cursor
            start = int(before) if before.isdecimal() else 0
            until, subjects = _read(connection, tenant, start)
        if until == start:
            return False
        principal = vault_itself(tenant)
        orders = [
            self._queue.order(
                Order(TaskKind.ORGANIZE, one, principal, Purpose.OPERATIONS, Priority.LOW),
                after_seconds=SETTLING_SECONDS,
            )
            for one in subjects
        ]

        def move(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            if job_state(connection, tenant, STATE).cursor != before:
                raise ConflictError("somebody else read the log meanwhile")
            set_job(connection, tenant, STATE, cursor=str(until))

        told: dict[str, JsonValue] = {"count": len(orders), "kind": TaskKind.ORGANIZE.value}
        drafts = [parts.journal.event(EventType.TASK_QUEUE, tenant, told)] if orders else []
        try:
            parts.store.submit(WriteSet(drafts=drafts, changes=[move, *(one.change for one in orders)]))
        except (QueueFullError, ConflictError):
            return False
        return True


def _read(connection: Connection, tenant: str, start: int) -> tuple[int, list[str]]:
    """Return up to where a stretch of the log reaches, and the subjects of what was written in it."""
    query = (
        select(LEAF.c.leaf_index, LEAF.c.payload)
        .where(LEAF.c.tenant_id == tenant, LEAF.c.leaf_index >= start, LEAF.c.event.in_(_WRITES))
        .order_by(LEAF.c.leaf_index)
        .limit(PAGE)
    )
    rows = connection.execute(query).all()
    if not rows:
        return start, []
    memories: list[str] = []
    for row in rows:
        memories += _named(row.payload)
    found: set[str] = set()
    for place in range(0, len(memories), PAGE):
        about = select(MEMORY_SUBJECT.c.subject_id).where(
            MEMORY_SUBJECT.c.tenant_id == tenant,
            MEMORY_SUBJECT.c.memory_id.in_(memories[place : place + PAGE]),
        )
        found.update(connection.execute(about.distinct()).scalars())
    erased = select(ERASURE.c.subject_id).where(ERASURE.c.tenant_id == tenant)
    found.difference_update(connection.execute(erased).scalars())
    return rows[-1].leaf_index + 1, sorted(found)


def _named(payload: str | None) -> Iterator[str]:
    """Yield the ids of memories that an entry says were written or changed; none where that was erased."""
    try:
        told = None if payload is None else parse_canonical(payload)
    except MalformedError:
        return  # the log's own check says so
    if not isinstance(told, Mapping):
        return
    named = told.get("written") or told.get("memories")
    yield from (one for one in (named if isinstance(named, list) else ()) if isinstance(one, str))
