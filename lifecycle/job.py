"""What a job is, and what it is given for one run.

    class Expire:
        name = "expiry"

        def run(self, run: JobRun) -> Counts:
            while run.goes_on():
                ...  # one batch: WriteSet(drafts=[…], changes=[run.fence, …, run.save(cursor)])
            return Counts({"memories": 12_000}, complete=True)

Owns the shapes alone. It leaves when jobs run to `lifecycle.timetable`, which jobs there are to
`lifecycle.catalogue`, and how one run begins and ends to `lifecycle.running`.

A job is idempotent: killed anywhere, it is run again from the cursor that its last transaction saved. It does what
it does in batches of one transaction each, with `fence` first, so that a run whose lease was lost writes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from sqlalchemy import Connection

from audit.canonical import JsonValue
from audit.log import Leaf
from vault.checking.finding import Finding
from vault.parts import Parts
from vault.storage.group_commit import Change
from vault.storage.job_rows import set_cursor
from vault.storage.leasing import HeldLease

BATCH: Final = 500
"""Rows of one transaction, where a job has no better number: writers wait for no longer than that takes."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a run did."""

    of: Mapping[str, int] = field(default_factory=dict)
    """How many, by a word of lower-case letters and hyphens: these go into the log."""
    complete: bool = True
    """Whether nothing is left. Where something is, the job runs again soon, from its cursor."""
    told: Mapping[str, JsonValue] = field(default_factory=dict)
    """What the entry of the run says beside: ids under payload keys of `audit.payload_keys`."""
    findings: tuple[Finding, ...] = ()
    """What is to be shown to who runs it by hand; the log gets the counts alone."""


@dataclass(frozen=True, slots=True)
class JobRun:
    """One run of a job for one tenant."""

    parts: Parts
    tenant: str
    job: str
    now: datetime
    """When it began, by the vault's clock: terms are compared with it, so that one run sees one present."""
    lease: HeldLease
    cursor: str
    """What the last run saved; empty at first, and after one that was complete."""
    deadline: float
    """Monotonic seconds at which it is to stop."""
    batch: int
    """Rows of one transaction at most."""
    monotonic: Callable[[], float]
    stopping: Callable[[], bool] = lambda: False
    """Whether the program is about to end."""
    by_hand: bool = False
    """Whether a person asked for it now."""

    @property
    def fence(self) -> Change:
        """The change to put first into each write set: refuses where the lease is not ours any more."""
        return self.lease.fence

    def goes_on(self) -> bool:
        """Say whether another batch may be begun; renews the lease where that is due."""
        if self.stopping() or self.monotonic() >= self.deadline:
            return False
        return self.lease.keep()

    def save(self, cursor: str) -> Change:
        """Return a change that keeps a cursor for the next run, in the transaction of the work it stands for."""

        def save(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            set_cursor(connection, self.tenant, self.job, cursor)

        return save


class Job(Protocol):
    """Something that time does to a vault."""

    @property
    def name(self) -> str:
        """Its name: lower-case letters and hyphens."""
        ...

    def run(self, run: JobRun) -> Counts:
        """Do what there is to do for one tenant, as far as the run's bounds allow.

        Raises:
            LeaseLostError: somebody else runs it by now.
            VaultError: it failed; what was committed stands, and the next run goes on from there.
        """
        ...
