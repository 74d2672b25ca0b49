"""Working the queue: one task at a time, under its lease, by whom it was asked for.

Owns what a worker does with a task and with how it ends. It leaves organizing and distilling to where they are, and
threads to `lifecycle.queue_worker`.

Whatever a task writes is fenced: in the same transaction it is seen that the task is still this worker's. One that was
stopped for minutes and wakes writes nothing. A task may be done twice all the same, where a worker was killed between
doing it and saying so: each kind comes to nothing more the second time.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import StrEnum
from threading import Event, Thread
from typing import Final
from uuid import uuid4

from policies.errors import DeniedError
from vault.clock import monotonic
from vault.error_words import kind_of
from vault.errors import (
    ErasedError,
    KeyDestroyedError,
    LeaseLostError,
    RootUnusableError,
    StorageError,
    TamperedError,
    VaultError,
)
from vault.organizer import Organizer
from vault.parts import Parts
from vault.queueing.distilling import Distiller
from vault.queueing.queue import Queue, Taken
from vault.queueing.task import QueueLimits, TaskKind, TaskState
from vault.storage.beside import BESIDE
from vault.storage.group_commit import WriteSet
from vault.storage.task_rows import has_tasks, is_open, sealed_name

_NEVER: Final = (DeniedError, TamperedError)
"""Another attempt would come to the same."""


class Ending(StrEnum):
    """How an attempt ended."""

    DONE = "done"
    GONE = "gone"
    """Whom it is about was erased."""
    RETRY = "retry"
    DEAD = "dead"
    LOST = "lost"
    """The lease was: another has it, and its attempt counts."""


class Gone(Exception):  # noqa: N818  # no error: the end of a task
    """Nothing is known of whom a task is about."""


Doing = Callable[[Parts, Taken, str], object]
"""Does a task about somebody of this name; whatever it writes is fenced."""


def _organize(parts: Parts, taken: Taken, name: str) -> object:
    """Organize; done a second time it finds nothing new to link."""
    return Organizer(parts).organize(taken.task.principal, name, taken.task.purpose)


def _distil(parts: Parts, taken: Taken, name: str) -> object:
    """Distil; done a second time it finds no near-duplicates."""
    return Distiller(parts).distil(taken.task.principal, name, taken.task.purpose)


DOING: Final[Mapping[TaskKind, Doing]] = {TaskKind.ORGANIZE: _organize, TaskKind.DISTIL: _distil}


class Worker:
    """Works the queues of a vault's tenants.

    Args:
        current: Returns the parts in force; a task is done under those that it was taken with.
        limits: Of the queues.
        doing: What each kind comes to.
        jitter: As for `Queue`.
    """

    def __init__(
        self,
        current: Callable[[], Parts],
        limits: QueueLimits | None = None,
        doing: Mapping[TaskKind, Doing] = DOING,
        jitter: Callable[[], float] | None = None,
    ) -> None:
        self._current = current
        self._limits = limits
        self._doing = doing
        self._jitter = jitter
        self.holder: Final = f"work-{uuid4().hex[:16]}"

    def step(self, tenant: str) -> Ending | None:
        """Do the next task of a tenant that is due; None where there is none.

        Raises:
            StorageError: or one of its kinds: not even how it ended could be written; its lease runs out.
        """
        parts = self._current()
        with parts.store.log_connection(tenant) as connection:
            if not has_tasks(connection, tenant):
                return None
        queue = self._queue(parts)
        queue.sweep(tenant)
        taken = queue.take(tenant, f"{self.holder}-{threading.get_ident() % 100_000}")
        if taken is None:
            return None
        try:
            with _beating(queue, taken):
                parts.probe("task-taken")
                self._do(parts, queue, taken)
                parts.probe("task-done")
            queue.done(taken)
        except LeaseLostError:
            return Ending.LOST
        except Exception as error:  # noqa: BLE001  # whatever it is, it is this task's end, and no other's
            with suppress(LeaseLostError):
                return self._ended(queue, taken, error)
            return Ending.LOST
        return Ending.DONE

    def drain(self, tenant: str, seconds: float, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Do what is due until nothing is; say whether that happened in time."""
        until = monotonic() + seconds
        while not stopping():
            if self.step(tenant) is None:
                return True
            if monotonic() >= until:
                break
        parts = self._current()
        with parts.store.log_connection(tenant) as connection:
            return not is_open(connection, tenant, int(parts.clock().timestamp() * 1_000_000))

    def _queue(self, parts: Parts) -> Queue:
        return (
            Queue(parts, self._limits) if self._jitter is None else Queue(parts, self._limits, self._jitter)
        )

    def _do(self, parts: Parts, queue: Queue, taken: Taken) -> None:
        task = taken.task
        with parts.store.log_connection(task.tenant) as connection:
            name = sealed_name(connection, task.tenant, task.subject)
        if name is None:
            raise Gone
        fence = queue.fence(taken)

        def beside(work: WriteSet) -> None:
            work.changes.insert(0, fence)

        before = BESIDE.set(beside)
        try:
            opened = parts.sealers.subject_name(task.tenant, task.subject, name)
            self._doing[task.kind](parts, taken, opened)
        finally:
            BESIDE.reset(before)

    def _ended(self, queue: Queue, taken: Taken, error: Exception) -> Ending:
        reason = kind_of(error)
        if isinstance(error, Gone | ErasedError | KeyDestroyedError):
            queue.dropped(taken, reason)
            return Ending.GONE
        if isinstance(error, RootUnusableError | StorageError):
            queue.put_back(taken, reason)
            return Ending.RETRY
        ended = queue.failed(taken, reason, for_good=isinstance(error, _NEVER))
        return Ending.DEAD if ended is TaskState.DEAD else Ending.RETRY


@contextmanager
def _beating(queue: Queue, taken: Taken) -> Iterator[None]:
    """Keep the lease of a task that takes long. What was stopped finds it over when it wakes, and renews nothing."""
    ended = Event()

    def beat() -> None:
        while not ended.wait(queue.limits.lease_seconds / 3):
            with suppress(VaultError):  # it is tried again; the fence has the last word
                if not queue.renew(taken):
                    return

    thread = Thread(target=beat, name=f"lease-{taken.task.id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
