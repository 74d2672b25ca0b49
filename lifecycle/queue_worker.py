"""Workers of the queue: threads that do what was put off, while a vault is served.

Owns the threads, and looking again and again. It leaves what a task comes to to `vault.queueing.work`, and what is queued
because something was written to `vault.queueing.deriving`. An error of one look is told to the operator's log by its kind
and tried again at the next.

Threat: a full disk, or a root that is sealed for an hour, would end the threads, and nobody would miss them.
"""

import logging
import threading
from collections.abc import Callable
from typing import Final

from vault.error_words import kind_of
from vault.parts import Parts
from vault.queueing.deriving import Deriving
from vault.queueing.queue import Queue
from vault.queueing.task import QueueLimits
from vault.queueing.work import Worker

LOOK_SECONDS: Final = 2.0
END_SECONDS: Final = 15.0
_LOGGER: Final = logging.getLogger(__name__)


class QueueWorkers:
    """Threads that work the queues of all tenants of one vault.

    Args:
        current: Returns the parts in force.
        threads: How many.
        limits: Of the queues.
        look_seconds: How long nothing is looked at where nothing was due.
    """

    def __init__(
        self,
        current: Callable[[], Parts],
        *,
        threads: int = 1,
        limits: QueueLimits | None = None,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._current = current
        self._limits = limits
        self._look_seconds = look_seconds
        self._worker = Worker(current, limits)
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name=f"queue-{number}", daemon=True)
            for number in range(threads)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def end(self, seconds: float = END_SECONDS) -> bool:
        """Begin nothing more and wait for what is at hand; say whether all ended in time.

        What has not ended by then loses nothing: its lease runs out, and another takes it up.
        """
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(seconds)
        return not any(thread.is_alive() for thread in self._threads)

    def look(self) -> int:
        """Queue what follows from what was written, do what is due, once for each tenant; return how much was done."""
        done = 0
        for tenant in self._current().store.tenants():
            parts = self._current()
            while Deriving(parts, Queue(parts, self._limits)).step(tenant) and not self._stopping.is_set():
                pass
            while not self._stopping.is_set() and self._worker.step(tenant) is not None:
                done += 1
        return done

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
            except Exception as error:  # noqa: BLE001  # see the threat above: the next look tries again
                _LOGGER.warning("the queue was not worked: %s", kind_of(error))
            self._stopping.wait(self._look_seconds)
