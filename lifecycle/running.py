"""One run of a job: lease, bounds, entry.

1. Take the lease of tenant and job; where another has it, there is nothing to do.
2. Under it, see once more that the job is due: another timetable may have run it a moment ago.
3. Let the job work, in batches, until it is done or its time is out.
4. In one transaction, behind the fence: the `job.run` entry, what is kept for the next run, the lease's end.

Owns this order. It leaves when a job is due to `lifecycle.timetable`, and the work to the job. Killed anywhere, the
lease runs out by itself and the next run goes on from the cursor that the last transaction saved; what that one
did has its own entries, but no `job.run` entry.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from threading import Event, Thread
from typing import Final
from uuid import uuid4

from sqlalchemy import Connection

from audit.canonical import MAX_INTEGER, JsonValue
from audit.event import EntryDraft, EventType, Outcome
from audit.log import Leaf
from lifecycle.job import BATCH, Counts, Job, JobRun
from lifecycle.terms import Term
from vault.checking.finding import Finding
from vault.clock import microseconds, monotonic
from vault.error_words import kind_of
from vault.errors import LeaseLostError, VaultError
from vault.grant import Grant
from vault.parts import Parts
from vault.storage.group_commit import WriteSet
from vault.storage.job_rows import JobState, job_state, set_job
from vault.storage.leasing import HeldLease, Leases

SECONDS: Final = 60.0
"""Longest time of one run, where its job has no better; what is left is for the next."""
MARGIN_SECONDS: Final = 30.0
"""How much longer the lease is: a batch that was begun in time comes to its end."""
BEAT_SECONDS: Final = 15.0
"""How often the lease of a longer run is looked at."""
FIRST_RETRY_SECONDS: Final = 30
MAX_RETRY_SECONDS: Final = 3_600
FAILURES: Final = "failures"
"""Among the counts of a job's row: how often it failed since it last did not."""


class RunOutcome(StrEnum):
    """What became of a run."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    """Its time was out: the next run goes on."""
    FAILED = "failed"
    LOST = "lost"
    """Another got the lease meanwhile: what this one had not committed by then was refused."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A job, and when and how far it runs."""

    job: Job
    about: str
    """What it does, in one line for people."""
    term: Term | None
    """None: by hand alone."""
    at_start: bool = False
    """Whether it also runs when a timetable begins: what a crash may have left is not to wait."""
    seconds: float = SECONDS
    batch: int = BATCH

    @property
    def name(self) -> str:
        """Of the job."""
        return self.job.name

    @property
    def lease_seconds(self) -> float:
        """How long its lease is: after so long at most, a run that was killed is taken up."""
        return min(self.seconds, SECONDS) + MARGIN_SECONDS


@dataclass(frozen=True, slots=True)
class Ran:
    """A run that is over."""

    job: str
    tenant: str
    outcome: RunOutcome
    counts: Mapping[str, int]
    reason: str | None
    """Kind of the error, where it failed: never its message."""
    leaf_index: int
    findings: tuple[Finding, ...] = ()


class Runner:
    """Runs jobs over one vault, each once at a time wherever the store is open.

    Args:
        parts: Of an open vault.
        current: Returns the parts in force, where others may be put there; a run keeps those that it began under.
        monotonic: Seconds that never go back.
        stopping: Whether the program is about to end.
        jitter: So many seconds are added to when a job runs next, out of at most so many.
        beat_seconds: How often the lease of a run that is longer than it is looked at.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        current: Callable[[], Parts] | None = None,
        monotonic: Callable[[], float] = monotonic,
        stopping: Callable[[], bool] = lambda: False,
        jitter: Callable[[float], float] = lambda _most: 0.0,
        beat_seconds: float = BEAT_SECONDS,
    ) -> None:
        self._current = current or (lambda: parts)
        self._monotonic = monotonic
        self._stopping = stopping
        self.jitter = jitter
        self.beat_seconds = beat_seconds
        self._holder = f"run-{uuid4().hex[:16]}"
        self._leases = Leases(parts.store, parts.clock)

    @property
    def parts(self) -> Parts:
        """The parts in force."""
        return self._current()

    def state(self, tenant: str, name: str) -> JobState:
        """Return how a job stands."""
        with self.parts.store.log_connection(tenant) as connection:
            return job_state(connection, tenant, name)

    def plan(self, scheduled: Scheduled, tenant: str, due: datetime) -> None:
        """Say when a job runs next."""
        at = microseconds(due)

        def plan(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            set_job(connection, tenant, scheduled.name, due=at)

        self.parts.store.change(plan)

    def run(
        self,
        scheduled: Scheduled,
        tenant: str,
        *,
        still_due: Callable[[JobState], bool] = lambda _: True,
        grant: Grant | None = None,
    ) -> Ran | None:
        """Run a job for a tenant; None where another runs it, or it is not due any more.

        An error of the job is no error here: it is the run's outcome, told in its entry by its kind alone.

        Args:
            scheduled: Which, and within what bounds.
            tenant: For whom.
            still_due: Asked under the lease.
            grant: Of who runs it by hand; None is the vault itself.

        Raises:
            StorageError: or one of its kinds: not even the entry could be written.
        """
        seconds = scheduled.lease_seconds
        taken = self._leases.take(tenant, scheduled.name, self._holder, seconds)
        if taken is None:
            return None
        held = HeldLease(self._leases, taken, seconds, self._monotonic)
        try:
            state, now = self.state(tenant, scheduled.name), self.parts.clock()
            if not still_due(state):
                held.release()
                return None
            one = _One(self, self.parts, scheduled, tenant, held, state, now, grant)
            one.begin()
            return one.work()
        except BaseException:
            with suppress(VaultError):  # it runs out by itself
                held.release()
            raise

    def run_of(self, one: "_One") -> JobRun:
        """Return what a job is given."""
        return JobRun(
            parts=one.parts,
            tenant=one.tenant,
            job=one.scheduled.name,
            now=one.now,
            lease=one.held,
            cursor=one.state.cursor,
            deadline=self._monotonic() + one.scheduled.seconds,
            batch=one.scheduled.batch,
            monotonic=self._monotonic,
            stopping=self._stopping,
            by_hand=one.grant is not None,
        )


@dataclass(slots=True)
class _One:
    """A run that is under way."""

    runner: Runner
    parts: Parts
    """Under which it began."""
    scheduled: Scheduled
    tenant: str
    held: HeldLease
    state: JobState
    """As it was when the lease was taken."""
    now: datetime
    grant: Grant | None

    def begin(self) -> None:
        """Note that it began: a start without an end is a run that was killed."""
        started = microseconds(self.now)

        def begin(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            set_job(connection, self.tenant, self.scheduled.name, started=started)

        self._submit([], [self.held.fence, begin])

    def work(self) -> Ran:
        """Let the job work, and write what became of it."""
        run = self.runner.run_of(self)
        try:
            with _beating(run, self.runner.beat_seconds):
                counts = _tellable(self.scheduled.job.run(run))
        except LeaseLostError:
            return self._end(RunOutcome.LOST, Counts(complete=False))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is this run's outcome, and no other job's
            return self._end(RunOutcome.FAILED, Counts(complete=False), kind_of(error))
        except BaseException:
            with suppress(VaultError):
                self._end(RunOutcome.PARTIAL, Counts(complete=False), "interrupted")
            raise
        return self._end(RunOutcome.COMPLETE if counts.complete else RunOutcome.PARTIAL, counts)

    def _end(self, outcome: RunOutcome, counts: Counts, reason: str | None = None) -> Ran:
        draft = self._entry(outcome, counts, reason)
        if outcome is not RunOutcome.LOST:
            try:
                (leaf,) = self._submit([draft], [self.held.fence, self._closing(outcome, counts)])
                return self._ran(outcome, counts, reason, leaf)
            except LeaseLostError:
                outcome, draft = RunOutcome.LOST, self._entry(RunOutcome.LOST, counts, reason)
        # How the job stands is the other's to say by now.
        (leaf,) = self._submit([draft], [])
        return self._ran(outcome, counts, reason, leaf)

    def _closing(self, outcome: RunOutcome, counts: Counts) -> Callable[[Connection, Sequence[Leaf]], None]:
        finished = self.parts.clock()
        failures = 1 + (self.state.counts or {}).get(FAILURES, 0) if outcome is RunOutcome.FAILED else 0
        values: dict[str, object] = {
            "finished": microseconds(finished),
            "outcome": outcome.value,
            "counts": {**counts.of, FAILURES: failures} if failures else dict(counts.of),
            "due": microseconds(self._due(outcome, finished, failures)),
        }
        if outcome is RunOutcome.COMPLETE:
            values["cursor"] = ""

        def close(connection: Connection, leaves: Sequence[Leaf]) -> None:
            set_job(connection, self.tenant, self.scheduled.name, **values)
            self.held.releasing(connection, leaves)

        return close

    def _due(self, outcome: RunOutcome, finished: datetime, failures: int) -> datetime:
        if outcome is RunOutcome.PARTIAL:
            return finished
        if outcome is RunOutcome.FAILED:
            return finished + timedelta(seconds=retry_seconds(failures))
        if self.scheduled.term is None:
            return finished
        return jittered(self.scheduled.term.after(max(self.now, finished)), finished, self.runner.jitter)

    def _entry(self, outcome: RunOutcome, counts: Counts, reason: str | None) -> EntryDraft:
        journal, name = self.parts.journal, self.scheduled.name
        told: dict[str, JsonValue] = {
            **counts.told,
            "job": name,
            "outcome": outcome.value,
            "counts": [[word, count] for word, count in sorted(counts.of.items())],
        }
        if reason is not None:
            told["reason"] = reason
        bad = outcome in {RunOutcome.FAILED, RunOutcome.LOST}
        if self.grant is None:
            draft = journal.event(EventType.JOB_RUN, self.tenant, told)
        else:
            draft = journal.allowed(self.grant, told, event=EventType.JOB_RUN)
        return replace(draft, resource=name, outcome=Outcome.FAILED if bad else Outcome.OK)

    def _ran(self, outcome: RunOutcome, counts: Counts, reason: str | None, leaf: Leaf) -> Ran:
        name, of = self.scheduled.name, dict(counts.of)
        return Ran(name, self.tenant, outcome, of, reason, leaf.index, counts.findings)

    def _submit(
        self, drafts: list[EntryDraft], changes: list[Callable[[Connection, Sequence[Leaf]], None]]
    ) -> list[Leaf]:
        return self.parts.store.submit(WriteSet(drafts=drafts, changes=changes))


def _tellable(counts: Counts) -> Counts:
    """Return counts as the log can tell them: one beyond what JSON carries exactly is told as the most there is."""
    return replace(counts, of={word: min(count, MAX_INTEGER) for word, count in counts.of.items()})


@contextmanager
def _beating(run: JobRun, seconds: float) -> Iterator[None]:
    """Keep the lease of a run in whose midst nobody asks `goes_on` for long; until it should have ended, no longer.

    A process that was stopped does not beat, and one that wakes late finds the lease over: nothing is renewed then.
    """
    ended = Event()

    def beat() -> None:
        while not ended.wait(seconds):
            with suppress(VaultError):  # it is tried again; the fence has the last word
                if run.monotonic() >= run.deadline + MARGIN_SECONDS or not run.lease.keep():
                    return

    thread = Thread(target=beat, name=f"lease-{run.job}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def retry_seconds(failures: int) -> int:
    """Return after how long a job that failed so often in a row is tried again: twice as long each time."""
    return int(min(FIRST_RETRY_SECONDS * 2 ** min(failures - 1, 16), MAX_RETRY_SECONDS))


MAX_JITTER_SECONDS: Final = 60.0
_JITTER_SHARE: Final = 0.05


def jittered(due: datetime, now: datetime, jitter: Callable[[float], float]) -> datetime:
    """Return a time a little later, so that many vaults do not ask one server at one second."""
    most = min(MAX_JITTER_SECONDS, _JITTER_SHARE * (due - now).total_seconds())
    return due + timedelta(seconds=jitter(most))
