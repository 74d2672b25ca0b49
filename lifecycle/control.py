"""The timetable as its administrator sees it: how jobs stand, what they did, run now, pause, go on.

Owns who may, and the entry of each. What a run does is `lifecycle.running`'s. Looking is an entry, too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from audit.canonical import JsonValue
from audit.event import EventType, Outcome
from audit.log import Leaf
from audit.selection import latest_of
from lifecycle.running import FAILURES, Ran, Runner, RunOutcome, Scheduled
from policies.errors import DeniedError
from policies.model import Action, Principal, Purpose, Relation, SystemResource
from vault.clock import from_microseconds
from vault.errors import ConflictError, InputInvalidError, NotFoundError
from vault.grant import Grant, authorise
from vault.journal import Call
from vault.log_stream import checked
from vault.parts import Parts
from vault.storage.group_commit import WriteSet
from vault.storage.job_rows import job_state, set_job

MAX_RUNS: Final = 1_000
"""Of one look at the history, and of one job that is run by hand until nothing is left."""
PAUSED: Final = "paused"
RESUMED: Final = "resumed"
_VAULT: Final = SystemResource.VAULT.value


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How a job stands for a tenant."""

    name: str
    about: str
    term: str
    """When it runs: an interval, a cron term in UTC, or `off`."""
    paused: bool
    due: datetime | None
    """None: not planned yet, or by hand alone."""
    started: datetime | None
    finished: datetime | None
    """None or earlier than `started`: it runs, or its last run was killed."""
    outcome: str | None
    counts: Mapping[str, int]
    failures: int
    """In a row."""


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run, as the log tells of it."""

    index: int
    time: datetime
    job: str
    by: str
    """Principal that ran it: the vault itself, or somebody by hand."""
    outcome: str
    reason: str | None
    counts: Mapping[str, int]


class JobControl:
    """Looks at the jobs of one vault, runs, pauses and resumes them.

    Args:
        parts: Of an open vault.
        jobs: All that there are.
    """

    def __init__(self, parts: Parts, jobs: Sequence[Scheduled]) -> None:
        self._parts = parts
        self._jobs = {one.name: one for one in jobs}
        self._runner = Runner(parts)

    def list(self, principal: Principal, purpose: Purpose) -> tuple[JobStatus, ...]:
        """Return how the jobs of the principal's tenant stand.

        Raises:
            DeniedError: not allowed; the denial is logged.
        """
        grant = self._authorise(principal, purpose)
        with self._parts.store.log_connection(grant.tenant) as connection:
            found = tuple(_status(connection, grant.tenant, one) for one in self._jobs.values())
        self._parts.journal.note(grant, {"count": len(found), "kind": "jobs"}, resource=_VAULT)
        return found

    def run(self, principal: Principal, purpose: Purpose, name: str) -> Iterator[Ran]:
        """Run a job now, paused or not, again and again until nothing is left; tell of each run.

        Raises:
            DeniedError: not allowed; the denial is logged.
            NotFoundError: there is no such job.
            ConflictError: it runs already, here or elsewhere.
        """
        grant, scheduled = self._asked(principal, purpose, name, EventType.JOB_RUN)
        return self._run_all(grant, scheduled)

    def pause(self, principal: Principal, purpose: Purpose, name: str) -> Leaf:
        """Let a job rest until it is resumed; one that runs comes to its end.

        Raises:
            DeniedError: not allowed; the denial is logged.
            NotFoundError: there is no such job.
        """
        return self._set_paused(principal, purpose, name, paused=True)

    def resume(self, principal: Principal, purpose: Purpose, name: str) -> Leaf:
        """Let a job go on; a run that it missed is caught up once.

        Raises:
            DeniedError: not allowed; the denial is logged.
            NotFoundError: there is no such job.
        """
        return self._set_paused(principal, purpose, name, paused=False)

    def history(
        self, principal: Principal, purpose: Purpose, name: str | None = None, *, limit: int = 50
    ) -> tuple[PastRun, ...]:
        """Return the last runs, newest first, as the log tells of them.

        Raises:
            DeniedError: not allowed; the denial is logged.
            NotFoundError: there is no such job.
            InputInvalidError: the limit is out of range.
            TamperedError: an entry is not what its leaf says.
        """
        if not 1 <= limit <= MAX_RUNS:
            raise InputInvalidError(f"expected a limit from 1 to {MAX_RUNS}, got {limit}")
        grant = self._authorise(principal, purpose)
        if name is not None:
            self._expect(name)
        holding = "" if name is None else f'"resource":"{name}"'
        with self._parts.store.log_connection(grant.tenant) as connection:
            found = latest_of(
                connection, grant.tenant, EventType.JOB_RUN, holding=holding or '"', limit=limit
            )
        runs = []
        for entry in found:
            header, payload = checked(entry, entry.index, grant.tenant)
            if payload and "job" in payload:  # else: somebody asked for a job and got none
                runs.append(_past(entry.index, header.time, header.principal, header.resource, payload))
        self._parts.journal.note(grant, {"count": len(runs), "kind": "job-runs"}, resource=_VAULT)
        return tuple(runs)

    def _run_all(self, grant: Grant, scheduled: Scheduled) -> Iterator[Ran]:
        for _ in range(MAX_RUNS):
            ran = self._runner.run(scheduled, grant.tenant, grant=grant)
            if ran is None:
                raise ConflictError(
                    f"{scheduled.name} runs already, or was killed: its lease ends within {scheduled.lease_seconds:.0f} s"
                )
            yield ran
            if ran.outcome is not RunOutcome.PARTIAL:
                return

    def _set_paused(self, principal: Principal, purpose: Purpose, name: str, *, paused: bool) -> Leaf:
        grant, scheduled = self._asked(principal, purpose, name, EventType.JOB_PAUSE)
        told: dict[str, JsonValue] = {"job": scheduled.name, "reason": PAUSED if paused else RESUMED}
        draft = self._parts.journal.allowed(grant, told, resource=scheduled.name, event=EventType.JOB_PAUSE)

        def set_paused(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            set_job(connection, grant.tenant, scheduled.name, paused=int(paused))

        return self._parts.store.submit(WriteSet(drafts=[draft], changes=[set_paused]))[0]

    def _expect(self, name: str) -> Scheduled:
        if name not in self._jobs:
            raise NotFoundError(f"there is no such job: expected one of {', '.join(self._jobs)}")
        return self._jobs[name]

    def _asked(
        self, principal: Principal, purpose: Purpose, name: str, event: EventType
    ) -> tuple[Grant, Scheduled]:
        grant = self._authorise(principal, purpose, event)
        if name not in self._jobs:
            self._parts.journal.note(grant, {}, resource=_VAULT, outcome=Outcome.NOT_FOUND, event=event)
        return grant, self._expect(name)

    def _authorise(self, principal: Principal, purpose: Purpose, event: EventType | None = None) -> Grant:
        over = ((SystemResource.VAULT, Relation.INSTITUTION),)
        try:
            return authorise(self._parts.policy, principal, Action.ADMINISTER, purpose, over=over)
        except DeniedError:
            call = Call(principal, Action.ADMINISTER, purpose)
            self._parts.journal.deny(call, resource=_VAULT, event=event)
            raise


def _status(connection: Connection, tenant: str, scheduled: Scheduled) -> JobStatus:
    state = job_state(connection, tenant, scheduled.name)
    counts = dict(state.counts or {})
    failures = counts.pop(FAILURES, 0)
    return JobStatus(
        name=scheduled.name,
        about=scheduled.about,
        term="off" if scheduled.term is None else scheduled.term.text,
        paused=state.paused,
        due=_time(state.due) if scheduled.term is not None else None,
        started=_time(state.started),
        finished=_time(state.finished),
        outcome=state.outcome,
        counts=counts,
        failures=failures,
    )


def _time(at: int | None) -> datetime | None:
    return from_microseconds(at) if at else None


def _past(index: int, time: datetime, by: str, job: str | None, payload: Mapping[str, JsonValue]) -> PastRun:
    counts, reason = payload.get("counts"), payload.get("reason")
    pairs = counts if isinstance(counts, list) else []
    return PastRun(
        index=index,
        time=time,
        job=job or "-",
        by=by,
        outcome=str(payload.get("outcome", "refused")),
        reason=reason if isinstance(reason, str) else None,
        counts=dict(_pairs(pairs)),
    )


def _pairs(pairs: Sequence[JsonValue]) -> Iterator[tuple[str, int]]:
    for pair in pairs:
        match pair:
            case [str(word), int(count)]:
                yield word, count
            case _:
                continue
