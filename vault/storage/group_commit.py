"""One durable commit for many writers.

The first writer to arrive leads: it commits everything that waits, rows and audit entries in one
transaction, and hands the lead to one of those who came meanwhile. Alone, a writer pays no thread
switch; among 32, they share one `fsync`. A write that fails alone fails alone: the batch is rolled
back and each of its members is committed by itself.

The leader also does what work the others left to it (`WriteSet.prepare`, `WriteSet.finish`), one after
another: flat combining (D. Hendler, I. Incze, N. Shavit, M. Tzafrir, SPAA 2010). Under one interpreter
lock nothing is lost by that, and 32 threads that prepared for themselves took the lock from each other
in the midst of it (docs/benchmarks.md).

Leaves to whom: what may be written is `write_unit`'s; leaves and their hashes are `audit.log`'s.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from sqlalchemy import Connection, Engine, Table

from audit.driver import BatchInsert
from audit.event import EntryDraft
from audit.log import Leaf
from vault.errors import StorageError
from vault.storage.faults import translated

MAX_BATCH: Final = 256
LEAF_INDEX: Final = "leaf_index"

Row = dict[str, object]
Change = Callable[[Connection, Sequence[Leaf]], None]
"""Runs in the transaction, before the inserts; raises to refuse the whole write set."""


class Appender(Protocol):
    """The part of the audit log that a commit needs."""

    def append(self, connection: Connection, drafts: Sequence[EntryDraft]) -> list[Leaf]:
        """Append entries in the caller's transaction."""
        ...


class Probe(Protocol):
    """Told of each step reached; tests kill the process there."""

    def __call__(self, step: str) -> None:
        """Note the step."""
        ...


def no_probe(step: str) -> None:
    """Note nothing."""


@dataclass(slots=True)
class WriteSet:
    """What one caller wants made durable together: all of it, or nothing."""

    drafts: list[EntryDraft] = field(default_factory=list)
    rows: list[tuple[Table, Row]] = field(default_factory=list)
    """New rows; a `leaf_index` of -1 becomes the index of the write set's first entry."""
    changes: list[Change] = field(default_factory=list)
    prepare: Callable[[], None] | None = None
    """Fills in the rest; run once by whichever thread commits, before the transaction. Where it was
    interrupted it is run again. It must submit nothing itself."""
    finish: Callable[[], None] | None = None
    """Run once when all is durable, before the writer goes on; by the thread that committed, or its own."""


class _Ticket:
    """A write set on its way: waits until it is done, failed, or told to lead."""

    __slots__ = ("called", "error", "finished", "leads", "leaves", "work")

    def __init__(self, work: WriteSet) -> None:
        self.work = work
        self.called = threading.Lock()
        """Taken until its writer is called: a quarter of the cost of an Event."""
        self.called.acquire()
        self.leads = False
        self.finished = False
        self.leaves: list[Leaf] = []
        self.error: BaseException | None = None

    def finish(self) -> None:
        """Do what was left for when all is durable, once."""
        if self.finished or self.error is not None:
            return
        self.finished = True
        try:
            if self.work.finish is not None:
                self.work.finish()
        except Exception as error:  # noqa: BLE001  # its writer's, whoever finishes for it
            self.error = error


class GroupCommit:
    """Commits write sets, many at a time."""

    def __init__(self, engine: Engine, log: Appender, probe: Probe = no_probe) -> None:
        self._connection = engine.connect()
        self._log = log
        self._probe = probe
        self._mutex = threading.Lock()
        self._waiting: deque[_Ticket] = deque()
        self._led = False
        self._closed = False
        self._inserts: dict[str, BatchInsert] = {}

    def submit(self, work: WriteSet) -> list[Leaf]:
        """Make `work` durable and return the leaves of its entries.

        Raises:
            ConflictError: a row exists already, or a change refused.
            StorageError: or one of its kinds; nothing of `work` was written.
        """
        if self._closed:
            raise StorageError("the vault is closed")
        ticket = _Ticket(work)
        with self._mutex:
            self._waiting.append(ticket)
            leads, self._led = not self._led, True
        if not leads:
            self._await(ticket)
        if leads or ticket.leads:
            self._lead()
        ticket.finish()
        work.prepare = work.finish = None  # they hold what holds them: a cycle for the collector, otherwise
        if ticket.error is not None:
            raise ticket.error
        return ticket.leaves

    def _await(self, ticket: _Ticket) -> None:
        """Wait for the leader.

        Threat: an interrupt (Ctrl-C) of a thread that waits. If its ticket stayed, the lead would come
        to a thread that has gone, and nobody would ever commit again.
        """
        try:
            ticket.called.acquire()
        except BaseException:
            with self._mutex:
                if ticket in self._waiting:
                    self._waiting.remove(ticket)
                if ticket.leads:
                    self._hand_over()
            raise

    def run(self, change: Change) -> None:
        """Run one change in a transaction of its own, between the batches; for maintenance."""
        self.submit(WriteSet(changes=[change]))

    def close(self) -> None:
        """Give the connection back; what is submitted later is refused."""
        self._closed = True
        self._connection.close()

    def _lead(self) -> None:
        with self._mutex:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH))]
        try:
            ready = [ticket for ticket in batch if self._prepared(ticket, batch[0])]
            if ready:
                self._commit(ready)
            self._finish(batch)
        finally:
            with self._mutex:
                self._hand_over()
            for ticket in batch[1:]:  # the first is the leader's own
                ticket.called.release()

    def _hand_over(self) -> None:
        """Make the next in the queue the leader; call it under the mutex."""
        if self._waiting:
            successor = self._waiting[0]
            successor.leads = True
            successor.called.release()
        else:
            self._led = False

    def _prepared(self, ticket: _Ticket, leader: _Ticket) -> bool:
        """Let a write set be filled in; say whether it may be committed. One that fails fails alone."""
        try:
            if ticket.work.prepare is not None:
                ticket.work.prepare()
        except Exception as error:  # noqa: BLE001  # its writer's, whoever prepares for it
            ticket.error = error
            return False
        except BaseException as error:  # noqa: BLE001  # the leader's own interrupt, which is nobody else's
            leader.error = error
            return ticket is not leader and self._prepared(ticket, leader)
        return True

    def _finish(self, batch: Sequence[_Ticket]) -> None:
        """Finish for those who wait.

        Not in the main thread, to which interrupts come: one in the midst of somebody else's work would
        leave it half done. There each does its own.
        """
        if threading.current_thread() is not threading.main_thread():
            for ticket in batch:
                ticket.finish()

    def _commit(self, batch: list[_Ticket]) -> None:
        try:
            self._transact(batch)
        except BaseException as error:  # noqa: BLE001  # each writer gets its own error, also an interrupt
            if len(batch) == 1:
                batch[0].error = error
                return
            for ticket in batch:
                self._commit([ticket])
            if not isinstance(error, Exception):
                batch[0].error = error  # the leader's own interrupt, which is not to be lost
            return
        # Beyond this line everything is durable: an interrupt is no reason to commit again.
        self._probe("committed")

    def _transact(self, batch: list[_Ticket]) -> None:
        self._probe("begin")
        with translated(), self._connection.begin():
            leaves = iter(self._log.append(self._connection, [d for t in batch for d in t.work.drafts]))
            self._probe("logged")
            for ticket in batch:
                ticket.leaves = [next(leaves) for _ in ticket.work.drafts]
                for change in ticket.work.changes:
                    change(self._connection, ticket.leaves)
            self._insert(batch)
            self._probe("inserted")

    def _insert(self, batch: list[_Ticket]) -> None:
        by_table: dict[str, list[Row]] = {}
        tables: dict[str, Table] = {}
        for ticket in batch:
            for table, row in ticket.work.rows:
                if row.get(LEAF_INDEX) == -1:
                    row = {**row, LEAF_INDEX: ticket.leaves[0].index}  # noqa: PLW2901  # a retry needs the -1 again
                by_table.setdefault(table.name, []).append(row)
                tables[table.name] = table
        for name, rows in by_table.items():
            if name not in self._inserts:
                self._inserts[name] = BatchInsert(tables[name])
            self._inserts[name].add(self._connection, rows)
