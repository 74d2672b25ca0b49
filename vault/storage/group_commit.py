"""One durable commit for many writers.

The first writer to arrive leads: it commits everything that waits, rows and audit entries in one
transaction, and hands the lead to one of those who came meanwhile. Alone, a thread pays no
switch; among 32, they share one `fsync`. The main thread alone never leads: see `_stand_in_for_main`. A write that fails alone fails alone: the batch is rolled
back and each of its members is committed by itself.

The leader also does what work the others left to it (`WriteSet.prepare`, `WriteSet.finish`), one after
another: flat combining (D. Hendler, I. Incze, N. Shavit, M. Tzafrir, SPAA 2010). Under one interpreter
lock nothing is lost by that, and 32 threads that prepared for themselves took the lock from each other
in the midst of it (docs/benchmarks.md).

Leaves to whom: what may be written is `write_unit`'s; leaves and their hashes are `audit.log`'s.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
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
    """Fills in the rest; run once by whichever thread commits, before the transaction. It must submit
    nothing itself."""
    finish: Callable[[], None] | None = None
    """Run once when all is durable, before the writer goes on, by the thread that committed."""


class _Ticket:
    """A write set on its way: waits until it is done, failed, or told to lead."""

    __slots__ = ("called", "error", "finished", "leads", "leaves", "may_lead", "work")

    def __init__(self, work: WriteSet) -> None:
        self.work = work
        self.may_lead = threading.current_thread() is not threading.main_thread()
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
        self._stand_in = threading.Thread(target=self._stand_in_for_main, name="commit", daemon=True)
        self._called: SimpleQueue[None] = SimpleQueue()
        self._at_rest = threading.Event()
        self._process = os.getpid()
        self._stand_in.start()

    def submit(self, work: WriteSet) -> list[Leaf]:
        """Make `work` durable and return the leaves of its entries.

        Raises:
            ConflictError: a row exists already, or a change refused.
            StorageError: or one of its kinds; nothing of `work` was written.
        """
        ticket = _Ticket(work)
        if ticket.may_lead:
            self._write(ticket)
        else:
            with self._mutex:
                self._queue(ticket)
            self._called.put(None)
            self._await(ticket)
        work.prepare = work.finish = None  # they hold what holds them: a cycle for the collector, otherwise
        if ticket.error is not None:
            raise ticket.error
        return ticket.leaves

    def _queue(self, ticket: _Ticket) -> None:
        """Take a ticket; call it under the mutex, so that what was taken is committed before a close."""
        if self._closed:
            raise StorageError("the vault is closed")
        if os.getpid() != self._process:
            # Threads are not forked, and SQLite is not to be used across a fork.
            raise StorageError("the vault was opened by another process: open it here")
        self._waiting.append(ticket)

    def _write(self, ticket: _Ticket) -> None:
        with self._mutex:
            self._queue(ticket)
            leads, self._led = not self._led, True
        if not leads:
            ticket.called.acquire()
        if leads or ticket.leads:
            self._lead(ticket)

    def _await(self, ticket: _Ticket) -> None:
        """Wait for the leader, in the main thread; give up what nobody has begun where that is interrupted."""
        try:
            ticket.called.acquire()
        except BaseException:
            with self._mutex, suppress(ValueError):
                self._waiting.remove(ticket)
            raise

    def _stand_in_for_main(self) -> None:
        """Lead for the main thread.

        Threat: interrupts (Ctrl-C) come to the main thread, anywhere. One in the midst of others' work
        would leave it half done, and one in the midst of handing the lead on would end all writing.
        """
        while True:
            self._called.get()
            with self._mutex:
                leads = bool(self._waiting) and not self._led
                self._led = self._led or leads
                if self._closed and not self._led:
                    self._at_rest.set()
                    return
            if leads:
                self._lead(None)

    def run(self, change: Change) -> None:
        """Run one change in a transaction of its own, between the batches; for maintenance."""
        self.submit(WriteSet(changes=[change]))

    def close(self) -> None:
        """Refuse what is submitted from now on, commit what was taken, then give the connection back.

        Threat: a connection closed in the midst of a transaction rolls a part of it back, and the rest goes
        in without its entry.
        """
        with self._mutex:
            self._closed = True
        self._called.put(None)
        self._at_rest.wait()
        self._connection.close()

    def _lead(self, own: _Ticket | None) -> None:
        with self._mutex:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH))]
        try:
            ready = [ticket for ticket in batch if _prepared(ticket)]
            if ready:
                self._commit(ready)
            for ticket in batch:
                ticket.finish()
        except BaseException as error:  # noqa: BLE001  # raised by `submit`, when the lead is handed on
            (own or batch[0]).error = error
        finally:
            with self._mutex:
                self._hand_over()
            for ticket in batch:
                if ticket is not own:
                    ticket.called.release()

    def _hand_over(self) -> None:
        """Make the next in the queue the leader; call it under the mutex."""
        if self._waiting and self._waiting[0].may_lead:
            successor = self._waiting[0]
            successor.leads = True
            successor.called.release()
            return
        self._led = False
        if self._waiting or self._closed:
            self._called.put(None)

    def _commit(self, batch: list[_Ticket]) -> None:
        try:
            self._transact(batch)
        except BaseException as error:  # noqa: BLE001  # each writer gets its own error
            if len(batch) == 1:
                batch[0].error = error
                return
            for ticket in batch:
                self._commit([ticket])
            return
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


def _prepared(ticket: _Ticket) -> bool:
    """Let a write set be filled in; say whether it may be committed. One that fails fails alone."""
    try:
        if ticket.work.prepare is not None:
            ticket.work.prepare()
    except BaseException as error:  # noqa: BLE001  # its writer's, whoever prepares for it
        ticket.error = error
        return False
    return True
