"""kill -9 inside a job, at each step of its transactions: the next run goes on, nothing is done twice or left out."""

import os
import shutil
import signal
import warnings
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from audit.event import EventType
from audit.log import Leaf
from audit.selection import entries_of
from lifecycle.job import Counts, JobRun
from lifecycle.running import RunOutcome, Scheduled
from lifecycle.terms import parse_term
from lifecycle.timetable import Timetable
from tests.simulators.children import Tell, run_child
from tests.simulators.clinic import AUDITOR, CLINIC
from tests.simulators.fakes import START, FrozenClock, fake_options
from vault.clock import microseconds
from vault.errors import LeaseLostError
from vault.memos import MemOS
from vault.opening import LocalRootWarning, Vault
from vault.storage.group_commit import WriteSet
from vault.storage.leasing import HeldLease, Leases
from vault.storage.schema import LEASE

STEPS = 6
PLACES = ("begin", "logged", "inserted", "committed")


class CountingJob:
    """Writes the entries 0 to 5, one a transaction, each with the cursor that stands for it."""

    name = "probe"

    def run(self, run: JobRun) -> Counts:
        first = int(run.cursor or 0)
        for step in range(first, STEPS):
            if not run.goes_on():
                return Counts({"steps": step - first}, complete=False)
            draft = run.parts.journal.event(EventType.VAULT_REPAIR, run.tenant, {"part": step})
            run.parts.store.submit(WriteSet(drafts=[draft], changes=[run.fence, run.save(str(step + 1))]))
        return Counts({"steps": STEPS - first})


SCHEDULED = Scheduled(CountingJob(), "counts", parse_term("1h"), at_start=True)


class Trap:
    """Kills its process at a step of the so manieth transaction after it was set."""

    def __init__(self, step: str, transactions: int) -> None:
        self.step = step
        self.left = transactions
        self.is_set = False

    def __call__(self, step: str) -> None:
        if self.is_set and step == self.step:
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self.left -= 1


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "vault"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LocalRootWarning)
        Vault.create(path, tenant=CLINIC, options=fake_options()).close()
    return path


def _run_until_killed(path: Path, trap: Trap, now: datetime, tell: Tell) -> None:
    vault = Vault.open(path, options=fake_options(probe=trap, clock=FrozenClock(now)))
    trap.is_set = True
    Timetable(vault.parts, [SCHEDULED]).look()
    tell(came="to its end")


def written(vault: Vault) -> list[str]:
    with vault.parts.store.log_connection(CLINIC) as connection:
        return [str(entry.payload) for entry in entries_of(connection, CLINIC, [EventType.VAULT_REPAIR])]


def has_ended(vault: Vault) -> bool:
    with vault.parts.store.log_connection(CLINIC) as connection:
        return any(entries_of(connection, CLINIC, [EventType.JOB_RUN]))


def lease_until(vault: Vault) -> int:
    with vault.parts.store.log_connection(CLINIC) as connection:
        return int(connection.execute(select(LEASE.c.until)).scalar() or 0)


def _places() -> Iterator[tuple[str, int]]:
    """Yield kills in the taking of the lease, in the beginning, in each batch, and in the end."""
    for transaction in range(STEPS + 3):
        yield PLACES[transaction % len(PLACES)], transaction


@pytest.mark.parametrize(("step", "transaction"), list(_places()))
def test_a_job_that_was_killed_is_taken_up_when_its_lease_is_out_and_goes_on_where_it_was(
    template: Path, tmp_path: Path, step: str, transaction: int
) -> None:
    path = tmp_path / "vault"
    shutil.copytree(template, path)
    trap = Trap(step, transaction)
    child = run_child(partial(_run_until_killed, path, trap, START))
    assert (child.killed, child.acknowledged) == (True, [])
    clock = FrozenClock(START + timedelta(seconds=1))
    with Vault.open(path, options=fake_options(clock=clock)) as vault:
        before = written(vault)
        if not has_ended(vault):
            timetable = Timetable(vault.parts, [SCHEDULED], jitter=lambda _most: 0.0)
            if lease_until(vault) > microseconds(clock.now):
                assert timetable.look() == [], "its lease is not out yet"
                assert written(vault) == before
                clock.advance(timedelta(seconds=SCHEDULED.lease_seconds))
            assert [ran.outcome for ran in timetable.look()] == [RunOutcome.COMPLETE]
        assert written(vault) == [f'{{"part":{part}}}' for part in range(STEPS)]
        assert before == written(vault)[: len(before)]
        report = MemOS(vault, principal=AUDITOR).verify()
        assert report.passed, report


def _hold(path: Path, now: datetime, tell: Tell) -> None:
    vault = Vault.open(path, options=fake_options(clock=FrozenClock(now)))
    lease = Leases(vault.parts.store, vault.parts.clock).take(CLINIC, "probe", "child", 60)
    assert lease is not None
    tell(token=lease.token, until=lease.until)
    vault.close()


def test_a_holder_of_another_process_that_wakes_late_is_refused_in_the_transaction(
    template: Path, tmp_path: Path
) -> None:
    path = tmp_path / "vault"
    shutil.copytree(template, path)
    (told,) = run_child(partial(_hold, path, START)).acknowledged
    clock = FrozenClock(START + timedelta(seconds=61))
    with Vault.open(path, options=fake_options(clock=clock)) as vault:
        leases = Leases(vault.parts.store, clock)
        ours = leases.take(CLINIC, "probe", "parent", 60)
        assert ours is not None
        assert ours.token == int(str(told["token"])) + 1
        late = HeldLease(leases, type(ours)(CLINIC, "probe", "child", 1, int(str(told["until"]))), 60)
        reached: list[bool] = []

        def work(_connection: Connection, _leaves: Sequence[Leaf]) -> None:
            reached.append(True)

        with pytest.raises(LeaseLostError):
            vault.parts.store.submit(WriteSet(changes=[late.fence, work]))
        assert reached == []
