"""What `jobs --json` prints. Fields are added over time, never renamed."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from api.schemas.views import View
from lifecycle.control import JobStatus, PastRun
from lifecycle.running import Ran
from vault.consistency import Finding


class JobView(View):
    """How a job stands."""

    job: str
    about: str
    term: Annotated[str, Field(description="an interval, a cron term in UTC, or off")]
    paused: bool
    due: datetime | None
    started: datetime | None
    finished: Annotated[
        datetime | None, Field(description="none or before `started`: it runs, or was killed")
    ]
    outcome: str | None
    counts: dict[str, int]
    failures: Annotated[int, Field(description="in a row")]

    @classmethod
    def of(cls, status: JobStatus) -> Self:
        """Return the view of a status."""
        return cls(
            job=status.name,
            about=status.about,
            term=status.term,
            paused=status.paused,
            due=status.due,
            started=status.started,
            finished=status.finished,
            outcome=status.outcome,
            counts=dict(status.counts),
            failures=status.failures,
        )


class JobsView(View):
    """The jobs of a tenant."""

    tenant: str
    jobs: list[JobView]


class FindingView(View):
    """Something that a job found."""

    check: str
    severity: str
    where: str
    expected: str
    got: str
    repaired: bool

    @classmethod
    def of(cls, finding: Finding) -> Self:
        """Return the view of a finding."""
        return cls(
            check=finding.check.value,
            severity=finding.severity.value,
            where=finding.where,
            expected=finding.expected,
            got=finding.got,
            repaired=finding.repaired,
        )


class RunView(View):
    """A run that is over."""

    job: str
    outcome: str
    reason: str | None
    counts: dict[str, int]
    entry: Annotated[int, Field(description="audit leaf index")]
    findings: list[FindingView]

    @classmethod
    def of(cls, ran: Ran) -> Self:
        """Return the view of a run."""
        return cls(
            job=ran.job,
            outcome=ran.outcome.value,
            reason=ran.reason,
            counts=dict(ran.counts),
            entry=ran.leaf_index,
            findings=[FindingView.of(one) for one in ran.findings],
        )


class RunsView(View):
    """Runs of a job, one after another, until nothing was left."""

    runs: list[RunView]


class PastRunView(View):
    """A run, as the log tells of it."""

    index: int
    time: datetime
    job: str
    by: str
    outcome: str
    reason: str | None
    counts: dict[str, int]

    @classmethod
    def of(cls, run: PastRun) -> Self:
        """Return the view of a past run."""
        return cls(
            index=run.index,
            time=run.time,
            job=run.job,
            by=run.by,
            outcome=run.outcome,
            reason=run.reason,
            counts=dict(run.counts),
        )


class HistoryView(View):
    """Past runs, newest first."""

    runs: list[PastRunView]
