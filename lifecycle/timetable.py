"""The timetable: what time does to a vault while nobody asks.

    timetable = Timetable(vault.parts, catalogue(vault.parts))
    timetable.start()
    vault.before_close(timetable.end)

Owns when a job runs for a tenant: from the database's `due` and the vault's clock, never from this process's
memory. So it holds over restarts and among many processes:

- A run that was missed, once or a hundred times, is caught up once.
- A paused job is passed over; what came due meanwhile is caught up when it goes on.
- A job that failed is tried again, later each time; one whose time was out goes on at the next look.
- A clock that went forward makes things due early, once; one that went back does not make them wait for it.

It leaves one run to `lifecycle.running`, and asking again and again to `lifecycle.scheduler`.
"""

import logging
import random
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from lifecycle.running import MAX_JITTER_SECONDS, MAX_RETRY_SECONDS, Ran, Runner, Scheduled, jittered
from lifecycle.scheduler import Ticker
from lifecycle.terms import Term
from vault.clock import microseconds, monotonic
from vault.errors import VaultError
from vault.parts import Parts
from vault.storage.job_rows import JobState

LOOK_SECONDS: Final = 5.0
"""How often it is looked whether a job is due."""
_KNOWN_MICROSECONDS: Final = 60_000_000
"""How late another process's word on when a job is due may be noticed."""
THREADS: Final = 2
"""Jobs that run at one time: writers and readers come first."""
END_SECONDS: Final = 15.0
_LOGGER: Final = logging.getLogger(__name__)


class Timetable:
    """Runs the jobs of one vault when they are due.

    Args:
        parts: Of an open vault.
        jobs: What runs, and when.
        current: Returns the parts in force, where a reload of the policies may put others there.
        monotonic: Seconds that never go back.
        jitter: Returns a share of so many seconds, by which a run may come later.
    """

    def __init__(
        self,
        parts: Parts,
        jobs: Sequence[Scheduled],
        *,
        current: Callable[[], Parts] | None = None,
        monotonic: Callable[[], float] = monotonic,
        jitter: Callable[[float], float] = lambda most: random.uniform(0, most),  # noqa: S311  # spreads load
    ) -> None:
        self._parts = parts
        self._jobs = [one for one in jobs if one.term is not None]
        self._jitter = jitter
        self._stopping = threading.Event()
        self._runner = Runner(
            parts, current=current, monotonic=monotonic, stopping=self._stopping.is_set, jitter=jitter
        )
        self._ticker: Ticker | None = None
        self._seen: set[tuple[str, str]] = set()
        self._begun = microseconds(parts.clock())
        self._known: dict[tuple[str, str], tuple[int, int]] = {}
        """When it was seen that a job is not due, and until when that is relied on."""
        self._looking = 0
        self._changed = threading.Condition()

    def start(self) -> None:
        """Begin to look, in threads of its own."""
        ticker = Ticker(THREADS)
        for one in self._jobs:
            ticker.every(LOOK_SECONDS, one.name, partial(self._look_quietly, one))
        ticker.start()
        self._ticker = ticker

    def end(self, seconds: float = END_SECONDS) -> bool:
        """Begin nothing more, ask what runs to stop after its batch, and wait; say whether all ended in time.

        What has not ended by then loses nothing: it is refused by the closed store, or by its lease.
        """
        self._stopping.set()
        if self._ticker is not None:
            self._ticker.end()
        with self._changed:
            return self._changed.wait_for(lambda: self._looking == 0, seconds)

    def look(self) -> list[Ran]:
        """Run what is due, one after another; return what was run."""
        return [ran for one in self._jobs for ran in self.look_at(one)]

    def look_at(self, scheduled: Scheduled) -> list[Ran]:
        """Run one job for each tenant for which it is due.

        Raises:
            StorageError: or one of its kinds.
        """
        done = []
        for tenant in self._parts.store.tenants():
            if self._stopping.is_set():
                break
            if scheduled.term is None or self._waits(scheduled, tenant):
                continue
            if not self._is_due(scheduled, scheduled.term, tenant):
                continue
            still_due = partial(self._still_due, scheduled, tenant)
            ran = self._runner.run(scheduled, tenant, still_due=still_due)
            if ran is not None:
                self._seen.add((tenant, scheduled.name))
                done.append(ran)
        return done

    def _is_due(self, scheduled: Scheduled, term: Term, tenant: str) -> bool:
        state = self._runner.state(tenant, scheduled.name)
        if state.paused:
            return False
        if self._is_first(scheduled, tenant, state):
            return True
        now = self._parts.clock()
        if not _is_planned(state, term, now):
            self._runner.plan(scheduled, tenant, jittered(term.after(now), now, self._jitter))
            return False
        at = microseconds(now)
        self._known[tenant, scheduled.name] = (at, min(state.due, at + _KNOWN_MICROSECONDS))
        return state.due <= at

    def _waits(self, scheduled: Scheduled, tenant: str) -> bool:
        """Say whether it was seen a moment ago that nothing is due: of many tenants, most looks end here."""
        seen, until = self._known.get((tenant, scheduled.name), (0, 0))
        return seen <= microseconds(self._parts.clock()) < until

    def _still_due(self, scheduled: Scheduled, tenant: str, state: JobState) -> bool:
        if state.paused:
            return False
        return self._is_first(scheduled, tenant, state) or 0 < state.due <= microseconds(self._parts.clock())

    def _is_first(self, scheduled: Scheduled, tenant: str, state: JobState) -> bool:
        """Say whether a job is to run because this timetable begins, and neither it nor another has run it since."""
        if not scheduled.at_start or (tenant, scheduled.name) in self._seen:
            return False
        return state.finished is None or state.finished < self._begun

    def _look_quietly(self, scheduled: Scheduled) -> None:
        with self._changed:
            if self._stopping.is_set():
                return
            self._looking += 1
        try:
            self.look_at(scheduled)
        except Exception as error:  # noqa: BLE001  # the next look comes soon
            told = (
                type(error).__name__ if isinstance(error, VaultError) else f"a defect, {type(error).__name__}"
            )
            _LOGGER.warning("the job %s could not be run: %s", scheduled.name, told)
        finally:
            with self._changed:
                self._looking -= 1
                self._changed.notify_all()


def _is_planned(state: JobState, term: Term, now: datetime) -> bool:
    """Say whether a job's next run can be relied on: there is one, and no clock was ahead when it was planned."""
    if state.due == 0:
        return False
    latest = max(term.after(now), now + timedelta(seconds=MAX_RETRY_SECONDS))
    return state.due <= microseconds(latest + timedelta(seconds=MAX_JITTER_SECONDS))
