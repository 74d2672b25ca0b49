"""Jobs as their administrator sees them: list, run, pause, resume, history; each an entry, none for anybody else."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection

from audit.canonical import MAX_INTEGER
from audit.event import EventType, Outcome
from audit.log import Leaf
from lifecycle.control import JobControl
from lifecycle.job import Counts, JobRun
from lifecycle.running import RunOutcome, Scheduled
from lifecycle.terms import parse_term
from lifecycle.timetable import Timetable
from policies.errors import DeniedError
from policies.model import Purpose
from tests.lifecycle.conftest import ScriptedJob
from tests.simulators.clinic import ADMINISTRATOR, AUDITOR, CLINIC, CLINICIAN, OFFICER, OWNER
from tests.simulators.fakes import FrozenClock
from vault.auditing import AuditView, LogEntry
from vault.errors import ConflictError, InputInvalidError, NotFoundError, StorageFullError
from vault.opening import Vault
from vault.storage.group_commit import WriteSet
from vault.storage.leasing import Leases

WHY = Purpose.OPERATIONS


@pytest.fixture
def job() -> ScriptedJob:
    return ScriptedJob()


@pytest.fixture
def scheduled(job: ScriptedJob) -> Scheduled:
    return Scheduled(job, "is probed", parse_term("1h"))


@pytest.fixture
def control(vault: Vault, scheduled: Scheduled) -> JobControl:
    return JobControl(vault.parts, [scheduled])


def last(vault: Vault) -> LogEntry:
    # The reading of this very entry comes behind it.
    entry = AuditView(vault.parts).entries(AUDITOR, Purpose.AUDIT, start=None, limit=1)[0]
    told = entry.payload if isinstance(entry.payload, dict) else {}
    return replace(entry, payload={key: value for key, value in told.items() if key != "asked"})


def test_nobody_but_an_administrator_sees_or_moves_a_job(
    vault: Vault, control: JobControl, job: ScriptedJob
) -> None:
    for stranger in (OWNER, AUDITOR, CLINICIAN, OFFICER):
        for ask, event in (
            (lambda: control.list(stranger, WHY), EventType.VAULT_READ),  # noqa: B023  # called at once
            (lambda: control.run(stranger, WHY, "probe"), EventType.JOB_RUN),  # noqa: B023
            (lambda: control.pause(stranger, WHY, "probe"), EventType.JOB_PAUSE),  # noqa: B023
            (lambda: control.resume(stranger, WHY, "probe"), EventType.JOB_PAUSE),  # noqa: B023
            (lambda: control.history(stranger, WHY), EventType.VAULT_READ),  # noqa: B023
        ):
            with pytest.raises(DeniedError):
                ask()
            told = last(vault).header
            assert (told.event, told.outcome, told.principal) == (event, Outcome.DENIED, stranger.id)
    assert job.runs == []


def test_a_count_that_json_does_not_carry_exactly_leaves_no_run_without_its_entry(
    vault: Vault, control: JobControl, job: ScriptedJob
) -> None:
    job.work = lambda _run: Counts({"bytes": 2**60, "rows": 1})
    (ran,) = control.run(ADMINISTRATOR, WHY, "probe")
    assert ran.outcome is RunOutcome.COMPLETE
    assert last(vault).payload == {
        "counts": [["bytes", MAX_INTEGER], ["rows", 1]],
        "job": "probe",
        "outcome": "complete",
    }


def test_a_job_that_is_run_by_hand_runs_until_nothing_is_left_under_the_name_of_who_ran_it(
    vault: Vault, control: JobControl, job: ScriptedJob
) -> None:
    def two_steps(run: JobRun) -> Counts:
        run.parts.store.submit(WriteSet(changes=[run.fence, run.save("half")]))
        return Counts({"rows": 2}, complete=run.cursor == "half")

    job.work = two_steps
    runs = list(control.run(ADMINISTRATOR, WHY, "probe"))
    assert [ran.outcome for ran in runs] == [RunOutcome.PARTIAL, RunOutcome.COMPLETE]
    told = control.history(ADMINISTRATOR, WHY, "probe")
    assert [(one.by, one.outcome, one.counts) for one in told] == [
        (ADMINISTRATOR.id, "complete", {"rows": 2}),
        (ADMINISTRATOR.id, "partial", {"rows": 2}),
    ]
    assert [one.index for one in told] == [runs[1].leaf_index, runs[0].leaf_index]


def test_a_job_is_run_by_hand_also_where_it_is_paused_or_off(
    vault: Vault, scheduled: Scheduled, job: ScriptedJob
) -> None:
    control = JobControl(vault.parts, [replace(scheduled, term=None)])
    control.pause(ADMINISTRATOR, WHY, "probe")
    assert len(list(control.run(ADMINISTRATOR, WHY, "probe"))) == 1
    (status,) = control.list(ADMINISTRATOR, WHY)
    assert (status.term, status.paused, status.due, status.outcome) == ("off", True, None, "complete")


def test_a_job_that_runs_elsewhere_is_not_run_by_hand(
    vault: Vault, control: JobControl, clock: FrozenClock, job: ScriptedJob
) -> None:
    assert Leases(vault.parts.store, clock).take(CLINIC, "probe", "elsewhere", 60) is not None
    with pytest.raises(ConflictError, match="runs already"):
        list(control.run(ADMINISTRATOR, WHY, "probe"))
    assert job.runs == []


def test_a_failure_ends_a_run_by_hand(control: JobControl, job: ScriptedJob) -> None:
    def fail(_run: JobRun) -> Counts:
        raise StorageFullError("no space left for patient 17")

    job.work = fail
    (ran,) = control.run(ADMINISTRATOR, WHY, "probe")
    assert (ran.outcome, ran.reason) == (RunOutcome.FAILED, "storage-full")
    (status,) = control.list(ADMINISTRATOR, WHY)
    assert (status.failures, status.counts, status.outcome) == (1, {}, "failed")


def test_a_pause_is_an_entry_and_lasts_until_it_is_taken_back(
    vault: Vault, control: JobControl, scheduled: Scheduled, clock: FrozenClock
) -> None:
    table = Timetable(vault.parts, [scheduled], jitter=lambda _most: 0.0)
    table.look()
    control.pause(ADMINISTRATOR, WHY, "probe")
    told = last(vault)
    assert (told.header.event, told.header.principal, told.header.resource) == (
        EventType.JOB_PAUSE,
        ADMINISTRATOR.id,
        "probe",
    )
    assert told.payload == {"job": "probe", "reason": "paused"}
    clock.advance(timedelta(days=9))
    assert table.look() == []
    control.resume(ADMINISTRATOR, WHY, "probe")
    assert last(vault).payload == {"job": "probe", "reason": "resumed"}
    assert len(table.look()) == 1


def test_a_job_that_there_is_not_is_not_found_and_the_attempt_is_logged(
    vault: Vault, control: JobControl
) -> None:
    for ask in (control.run, control.pause, control.resume):
        with pytest.raises(NotFoundError, match="probe"):
            ask(ADMINISTRATOR, WHY, "nosuch")
        assert last(vault).header.outcome is Outcome.NOT_FOUND
    with pytest.raises(NotFoundError):
        control.history(ADMINISTRATOR, WHY, "nosuch")
    assert control.history(ADMINISTRATOR, WHY) == ()


def test_the_history_is_newest_first_and_no_longer_than_asked(control: JobControl) -> None:
    for _ in range(4):
        list(control.run(ADMINISTRATOR, WHY, "probe"))
    told = control.history(ADMINISTRATOR, WHY, limit=3)
    assert [one.index for one in told] == sorted((one.index for one in told), reverse=True)
    assert len(told) == 3
    for limit in (0, 1_001):
        with pytest.raises(InputInvalidError):
            control.history(ADMINISTRATOR, WHY, limit=limit)


def test_looking_is_an_entry(vault: Vault, control: JobControl) -> None:
    control.list(ADMINISTRATOR, WHY)
    assert last(vault).payload == {"count": 1, "kind": "jobs"}
    control.history(ADMINISTRATOR, WHY)
    assert last(vault).payload == {"count": 0, "kind": "job-runs"}


def test_a_row_that_no_program_of_ours_wrote_is_shown_as_far_as_it_goes(
    vault: Vault, control: JobControl
) -> None:
    list(control.run(ADMINISTRATOR, WHY, "probe"))

    def spoil(connection: Connection, _leaves: Sequence[Leaf]) -> None:
        connection.exec_driver_sql("UPDATE job SET counts = 'x', due = 9223372036854775807, started = 'x'")

    vault.parts.store.change(spoil)
    (status,) = control.list(ADMINISTRATOR, WHY)
    assert (status.counts, status.due, status.started, status.outcome) == ({}, None, None, "complete")
