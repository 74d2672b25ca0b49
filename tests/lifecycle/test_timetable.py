"""The timetable: what is due runs once, whatever clocks, processes and errors do."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit.event import EventType, Outcome, parse_header
from audit.selection import entries_of
from lifecycle.job import Counts, JobRun
from lifecycle.running import MAX_RETRY_SECONDS, Runner, RunOutcome, Scheduled, retry_seconds
from lifecycle.terms import parse_term
from lifecycle.timetable import Timetable
from tests.lifecycle.conftest import ScriptedJob
from tests.simulators.clinic import BANK, CLINIC
from tests.simulators.fakes import FrozenClock, fake_options
from vault.clock import from_microseconds
from vault.error_words import kind_of
from vault.errors import StorageFullError
from vault.opening import Vault
from vault.storage.group_commit import WriteSet
from vault.storage.job_rows import MAX_CURSOR, JobState
from vault.storage.leasing import Leases

HOUR = timedelta(hours=1)


def hourly(job: ScriptedJob, term: str = "1h", *, at_start: bool = False) -> Scheduled:
    return Scheduled(job, "is probed", parse_term(term), at_start=at_start)


def timetable(vault: Vault, *jobs: Scheduled) -> Timetable:
    return Timetable(vault.parts, jobs, jitter=lambda _most: 0.0)


def entries(vault: Vault, tenant: str = CLINIC) -> list[tuple[Outcome, str]]:
    with vault.parts.store.log_connection(tenant) as connection:
        found = list(entries_of(connection, tenant, [EventType.JOB_RUN]))
    return [(parse_header(entry.header).outcome, str(entry.payload)) for entry in found]


def state(vault: Vault, name: str = "probe", tenant: str = CLINIC) -> JobState:
    return Runner(vault.parts).state(tenant, name)


def due(vault: Vault) -> datetime:
    return from_microseconds(state(vault).due)


def test_a_job_is_planned_when_it_is_first_seen_and_run_when_it_is_due(
    vault: Vault, clock: FrozenClock
) -> None:
    job = ScriptedJob()
    table = timetable(vault, hourly(job))
    assert table.look() == []
    assert due(vault) == clock.now + HOUR
    clock.advance(HOUR - timedelta(microseconds=1))
    assert table.look() == []
    clock.advance(timedelta(microseconds=1))
    (ran,) = table.look()
    assert (ran.job, ran.tenant, ran.outcome, ran.counts) == (
        "probe",
        CLINIC,
        RunOutcome.COMPLETE,
        {"rows": 1},
    )
    assert entries(vault) == [(Outcome.OK, '{"counts":[["rows",1]],"job":"probe","outcome":"complete"}')]
    assert table.look() == []
    assert due(vault) == clock.now + HOUR


def test_a_run_that_was_missed_a_hundred_times_is_caught_up_once(vault: Vault, clock: FrozenClock) -> None:
    job = ScriptedJob()
    table = timetable(vault, hourly(job, "17 3 * * *"))
    table.look()
    clock.advance(timedelta(days=100))
    assert len(table.look()) == 1
    assert table.look() == []
    assert due(vault) == datetime(2027, 3, 3, 3, 17, tzinfo=UTC)


def test_what_was_missed_while_no_process_ran_is_caught_up_by_the_next_one(
    vault: Vault, clock: FrozenClock, tmp_path: Path
) -> None:
    timetable(vault, hourly(ScriptedJob())).look()
    vault.close()
    clock.advance(timedelta(days=3))
    job = ScriptedJob()
    with Vault.open(tmp_path / "vault", options=fake_options(clock=clock)) as opened:
        assert len(timetable(opened, hourly(job)).look()) == 1
    assert len(job.runs) == 1


def test_two_timetables_run_a_job_once(vault: Vault, clock: FrozenClock) -> None:
    """Both look at one time, again and again, each with threads of its own."""
    begun = threading.Barrier(4)

    def slowly(run: JobRun) -> Counts:
        time.sleep(0.002)
        run.parts.store.submit(WriteSet(changes=[run.fence]))
        return Counts({"rows": 1})

    job = ScriptedJob(slowly)
    tables = [timetable(vault, hourly(job)) for _ in range(4)]
    tables[0].look()
    rounds = 12

    def look(table: Timetable) -> None:
        for _ in range(rounds):
            if begun.wait(20) == 0:
                clock.advance(HOUR)
            begun.wait(20)
            table.look()
            begun.wait(20)

    threads = [threading.Thread(target=look, args=(table,)) for table in tables]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [outcome for outcome, _ in entries(vault)] == [Outcome.OK] * rounds
    tokens = [run.lease.token for run in job.runs]
    assert len(tokens) == rounds
    assert sorted(set(tokens)) == tokens


def test_each_tenant_has_its_own_runs(vault: Vault, clock: FrozenClock) -> None:
    vault.add_tenant(BANK)
    job = ScriptedJob()
    table = timetable(vault, hourly(job))
    table.look()
    clock.advance(HOUR)
    assert [ran.tenant for ran in table.look()] == [BANK, CLINIC]
    assert len(entries(vault, BANK)) == len(entries(vault, CLINIC)) == 1


def test_one_tenants_error_is_neither_anothers_nor_another_jobs(vault: Vault, clock: FrozenClock) -> None:
    vault.add_tenant(BANK)

    def fail_at_bank(run: JobRun) -> Counts:
        if run.tenant == BANK:
            raise StorageFullError("no space left for patient 17")
        return Counts()

    table = timetable(vault, hourly(ScriptedJob(fail_at_bank)), hourly(ScriptedJob(name="other")))
    table.look()
    clock.advance(HOUR)
    assert [(ran.tenant, ran.job, ran.outcome.value) for ran in table.look()] == [
        (BANK, "probe", "failed"),
        (CLINIC, "probe", "complete"),
        (BANK, "other", "complete"),
        (CLINIC, "other", "complete"),
    ]


def test_a_failure_is_told_by_its_kind_alone_and_tried_again_later_each_time(
    vault: Vault, clock: FrozenClock
) -> None:
    def fail(_run: JobRun) -> Counts:
        raise StorageFullError("no space left for patient 17")

    table = timetable(vault, hourly(ScriptedJob(fail), "1d"))
    table.look()
    clock.advance(timedelta(days=1))
    waits = []
    for _ in range(9):
        (ran,) = table.look()
        assert (ran.outcome, ran.reason) == (RunOutcome.FAILED, "storage-full")
        assert table.look() == [], "not at once"
        waits.append((due(vault) - clock.now).total_seconds())
        clock.now = due(vault)
    assert waits == [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]
    told = entries(vault)
    assert {outcome for outcome, _ in told} == {Outcome.FAILED}
    assert not any("patient" in payload for _, payload in told)
    assert state(vault).counts == {"failures": 9}


def test_a_success_ends_the_counting_of_failures(vault: Vault, clock: FrozenClock) -> None:
    results: list[Exception | None] = [ValueError("of content"), None, ValueError("of content")]

    def now_and_then(_run: JobRun) -> Counts:
        error = results.pop(0)
        if error is not None:
            raise error
        return Counts({"rows": 2})

    table = timetable(vault, hourly(ScriptedJob(now_and_then)))
    table.look()
    clock.advance(HOUR)
    assert table.look()[0].reason == "value"
    clock.now = due(vault)
    assert table.look()[0].outcome is RunOutcome.COMPLETE
    assert state(vault).counts == {"rows": 2}
    clock.now = due(vault)
    table.look()
    assert (due(vault) - clock.now).total_seconds() == 30


def test_a_run_whose_time_was_out_goes_on_from_its_cursor_at_the_next_look(
    vault: Vault, clock: FrozenClock
) -> None:
    def three_steps(run: JobRun) -> Counts:
        step = int(run.cursor or 0) + 1
        run.parts.store.submit(WriteSet(changes=[run.fence, run.save(str(step))]))
        return Counts({"steps": step}, complete=step == 3)

    job = ScriptedJob(three_steps)
    table = timetable(vault, hourly(job))
    table.look()
    clock.advance(HOUR)
    outcomes = [table.look()[0].outcome.value for _ in range(3)]
    assert outcomes == ["partial", "partial", "complete"]
    assert [run.cursor for run in job.runs] == ["", "1", "2"]
    assert table.look() == []
    assert state(vault).cursor == "", "the next time it begins anew"


def test_a_cursor_is_kept_with_the_work_that_it_stands_for_or_not_at_all(
    vault: Vault, clock: FrozenClock
) -> None:
    def fail_in_the_second_batch(run: JobRun) -> Counts:
        def refuse(*_: object) -> None:
            raise StorageFullError("no space")

        run.parts.store.submit(WriteSet(changes=[run.fence, run.save("first")]))
        run.parts.store.submit(WriteSet(changes=[run.fence, run.save("second"), refuse]))
        return Counts()

    table = timetable(vault, hourly(ScriptedJob(fail_in_the_second_batch)))
    table.look()
    clock.advance(HOUR)
    assert table.look()[0].outcome is RunOutcome.FAILED
    assert state(vault).cursor == "first"


def test_a_paused_job_is_passed_over_and_caught_up_once_when_it_goes_on(
    vault: Vault, clock: FrozenClock, set_paused: Callable[[bool], None]
) -> None:
    job = ScriptedJob()
    table = timetable(vault, hourly(job))
    table.look()
    set_paused(True)
    for _ in range(5):
        clock.advance(HOUR)
        assert table.look() == []
    set_paused(False)
    assert len(table.look()) == 1
    assert table.look() == []


def test_a_clock_that_goes_forward_and_back_runs_things_once_and_then_as_before(
    vault: Vault, clock: FrozenClock
) -> None:
    job = ScriptedJob()
    table = timetable(vault, hourly(job, "1d"))
    table.look()
    right = clock.now
    clock.advance(timedelta(days=3_650))
    assert len(table.look()) == 1
    clock.now = right
    assert table.look() == [], "what was planned by the wrong clock is planned anew"
    assert due(vault) == right + timedelta(days=1)
    clock.advance(timedelta(days=1))
    assert len(table.look()) == 1


def test_a_clock_that_goes_back_a_little_runs_nothing_twice(vault: Vault, clock: FrozenClock) -> None:
    job = ScriptedJob()
    table = timetable(vault, hourly(job))
    table.look()
    clock.advance(HOUR)
    table.look()
    clock.advance(timedelta(minutes=-2))
    assert table.look() == []
    clock.advance(timedelta(minutes=2) + HOUR)
    assert len(table.look()) == 1


def test_a_run_that_slept_past_its_lease_writes_nothing_more_and_does_not_undo_the_other_run(
    vault: Vault, clock: FrozenClock
) -> None:
    other = ScriptedJob()

    def sleep_and_wake(run: JobRun) -> Counts:
        clock.advance(timedelta(minutes=10))
        (ran,) = timetable(vault, hourly(other)).look()
        assert ran.outcome is RunOutcome.COMPLETE
        run.parts.store.submit(WriteSet(changes=[run.fence, run.save("late")]))
        return Counts({"rows": 99})

    table = timetable(vault, hourly(ScriptedJob(sleep_and_wake)))
    table.look()
    clock.advance(HOUR)
    (ran,) = table.look()
    assert ran.outcome is RunOutcome.LOST
    assert [outcome for outcome, _ in entries(vault)] == [Outcome.OK, Outcome.FAILED]
    kept = state(vault)
    assert (kept.cursor, kept.outcome, kept.counts) == ("", "complete", {"rows": 1})


def test_a_run_whose_lease_was_lost_at_its_very_end_says_so_and_changes_nothing(
    vault: Vault, clock: FrozenClock
) -> None:
    def sleep(_run: JobRun) -> Counts:
        clock.advance(timedelta(minutes=10))
        return Counts({"rows": 5})

    table = timetable(vault, hourly(ScriptedJob(sleep)))
    table.look()
    before = state(vault).due
    clock.advance(HOUR)
    (ran,) = table.look()
    assert (ran.outcome, state(vault).due, state(vault).outcome) == (RunOutcome.LOST, before, None)


def test_a_job_is_told_to_stop_by_its_time_its_lease_and_the_end_of_the_program(
    vault: Vault, clock: FrozenClock
) -> None:
    now, stopping = [0.0], [False]
    answers: list[list[bool]] = []

    def ask(run: JobRun) -> Counts:
        told = [run.goes_on()]
        now[0] += 59
        told.append(run.goes_on())
        now[0] += 2
        told.append(run.goes_on())
        answers.append(told)
        return Counts()

    def end(run: JobRun) -> Counts:
        stopping[0] = True
        answers.append([run.goes_on()])
        return Counts(complete=False)

    def lose(run: JobRun) -> Counts:
        now[0] += 50  # half of the lease is gone: it is to be renewed, and is another's
        clock.advance(timedelta(days=1))
        Leases(vault.parts.store, clock).take(CLINIC, "probe", "another", 60)
        answers.append([run.goes_on()])
        return Counts(complete=False)

    runner = Runner(vault.parts, monotonic=lambda: now[0], stopping=lambda: stopping[0])
    for work in (ask, lose):
        runner.run(hourly(ScriptedJob(work)), CLINIC)
        clock.advance(HOUR)
    runner.run(hourly(ScriptedJob(end)), CLINIC)
    assert answers == [[True, True, False], [False], [False]]


def test_a_lease_is_no_longer_than_a_minute_and_a_half_and_is_renewed_while_a_longer_job_works(
    vault: Vault, clock: FrozenClock
) -> None:
    now = [0.0]
    job = ScriptedJob()
    scheduled = replace(hourly(job), seconds=600.0)

    def long(run: JobRun) -> Counts:
        """Work for four minutes without asking anybody."""
        for _ in range(4):
            until = run.lease.lease.until
            clock.advance(timedelta(seconds=60))
            now[0] += 60
            waited = time.monotonic() + 20
            while run.lease.lease.until == until and time.monotonic() < waited:
                time.sleep(0.002)
            run.parts.store.submit(WriteSet(changes=[run.fence]))
        return Counts({"rows": 4})

    job.work = long
    assert scheduled.lease_seconds == 90
    ran = Runner(vault.parts, monotonic=lambda: now[0], beat_seconds=0.005).run(scheduled, CLINIC)
    assert ran is not None
    assert ran.outcome is RunOutcome.COMPLETE


def test_a_job_that_does_not_end_in_its_time_loses_its_lease(vault: Vault, clock: FrozenClock) -> None:
    now = [0.0]

    def endless(run: JobRun) -> Counts:
        until = run.lease.lease.until
        now[0] += 60 + 30
        time.sleep(0.1)  # beats that must not renew
        assert run.lease.lease.until == until
        clock.advance(timedelta(seconds=91))
        run.parts.store.submit(WriteSet(changes=[run.fence]))
        return Counts()

    ran = Runner(vault.parts, monotonic=lambda: now[0], beat_seconds=0.005).run(
        hourly(ScriptedJob(endless)), CLINIC
    )
    assert ran is not None
    assert ran.outcome is RunOutcome.LOST


def test_what_a_crash_left_is_not_made_to_wait(vault: Vault, clock: FrozenClock) -> None:
    job = ScriptedJob()
    table = timetable(vault, hourly(job, at_start=True))
    also_begun = timetable(vault, hourly(job, at_start=True))
    clock.advance()
    assert len(table.look()) == 1
    assert table.look() == []
    assert also_begun.look() == [], "another has run it since"
    clock.advance()
    assert len(timetable(vault, hourly(job, at_start=True)).look()) == 1


def test_a_job_that_is_not_due_any_more_under_the_lease_is_not_run_and_the_lease_given_back(
    vault: Vault, clock: FrozenClock
) -> None:
    job = ScriptedJob()
    asked: list[JobState] = []

    def no_more(found: JobState) -> bool:
        asked.append(found)
        return False

    assert Runner(vault.parts).run(hourly(job), CLINIC, still_due=no_more) is None
    assert (len(asked), job.runs, entries(vault)) == (1, [], [])
    assert Leases(vault.parts.store, clock).take(CLINIC, "probe", "another", 60) is not None


def test_a_cursor_that_no_run_could_need_is_refused(vault: Vault) -> None:
    def forget_to_stop(run: JobRun) -> Counts:
        run.parts.store.submit(WriteSet(changes=[run.fence, run.save("x" * (MAX_CURSOR + 1))]))
        return Counts()

    ran = Runner(vault.parts).run(hourly(ScriptedJob(forget_to_stop)), CLINIC)
    assert ran is not None
    assert (ran.reason, state(vault).cursor) == ("input-invalid", "")


def test_a_job_that_is_off_is_never_run(vault: Vault, clock: FrozenClock) -> None:
    job = ScriptedJob()
    table = timetable(vault, replace(hourly(job), term=None))
    clock.advance(timedelta(days=400))
    assert table.look() == []
    assert job.runs == []


def test_of_what_is_not_due_the_database_is_asked_once_a_minute_and_not_at_each_look(
    vault: Vault, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[datetime] = []
    of_runner = Runner.state

    def count(runner: Runner, tenant: str, name: str) -> JobState:
        asked.append(clock.now)
        return of_runner(runner, tenant, name)

    monkeypatch.setattr(Runner, "state", count)
    table = timetable(vault, hourly(ScriptedJob()))
    table.look()
    asked.clear()
    for _ in range(60):
        clock.advance(timedelta(seconds=5))
        table.look()
    assert len(asked) == 5
    clock.advance(-timedelta(minutes=2))
    table.look()
    assert len(asked) == 6, "a clock that went back is not relied on"


def test_many_vaults_do_not_run_at_one_second(vault: Vault, clock: FrozenClock) -> None:
    asked: list[float] = []

    def most(seconds: float) -> float:
        asked.append(seconds)
        return seconds

    table = Timetable(vault.parts, [hourly(ScriptedJob())], jitter=most)
    table.look()
    assert due(vault) == clock.now + HOUR + timedelta(seconds=60)
    clock.advance(timedelta(hours=2))
    table.look()
    assert due(vault) == clock.now + HOUR + timedelta(seconds=60)
    assert asked == [60.0, 60.0]


def test_the_threads_run_what_is_due_and_end_in_time(vault: Vault, clock: FrozenClock) -> None:
    begun, ended = threading.Event(), threading.Event()

    def until_stopped(run: JobRun) -> Counts:
        begun.set()
        while run.goes_on():
            time.sleep(0.005)
        ended.set()
        return Counts(complete=False)

    table = timetable(vault, hourly(ScriptedJob(until_stopped), at_start=True))
    table.start()
    assert begun.wait(20)
    assert table.end(20)
    assert ended.is_set()
    assert entries(vault)[-1] == (Outcome.OK, '{"counts":[],"job":"probe","outcome":"partial"}')
    assert table.look() == [], "nothing is begun any more"


def test_a_job_that_does_not_stop_is_not_waited_for_for_ever(vault: Vault) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def deaf(_run: JobRun) -> Counts:
        begun.set()
        assert go_on.wait(20)
        return Counts()

    table = timetable(vault, hourly(ScriptedJob(deaf), at_start=True))
    table.start()
    assert begun.wait(20)
    assert not table.end(0.05)
    go_on.set()
    assert table.end(20)


def test_a_timetable_ends_before_its_vault(
    vault: Vault, clock: FrozenClock, caplog: pytest.LogCaptureFixture
) -> None:
    begun = threading.Event()

    def until_stopped(run: JobRun) -> Counts:
        begun.set()
        while run.goes_on():
            time.sleep(0.005)
        return Counts()

    job = ScriptedJob(until_stopped)
    table = timetable(vault, hourly(job, at_start=True))
    vault.before_close(table.end)
    table.start()
    assert begun.wait(20)
    vault.close()
    assert caplog.messages == [], "nothing was refused by a closed store"


def test_a_store_that_cannot_be_asked_is_told_of_without_content_and_asked_again(
    vault: Vault, caplog: pytest.LogCaptureFixture
) -> None:
    table = timetable(vault, hourly(ScriptedJob()))
    vault.close()
    table._look_quietly(table._jobs[0])
    assert caplog.messages == ["the job probe could not be run: StorageError"]


def test_an_interrupted_run_is_told_of_and_its_lease_given_back(vault: Vault, clock: FrozenClock) -> None:
    def interrupt(_run: JobRun) -> Counts:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Runner(vault.parts).run(hourly(ScriptedJob(interrupt)), CLINIC)
    assert entries(vault) == [
        (Outcome.OK, '{"counts":[],"job":"probe","outcome":"partial","reason":"interrupted"}')
    ]
    assert Leases(vault.parts.store, clock).take(CLINIC, "probe", "another", 60) is not None


def test_waiting_after_failures_has_a_bound() -> None:
    assert [retry_seconds(failures) for failures in (1, 2, 8, 10_000)] == [30, 60, 3_600, MAX_RETRY_SECONDS]


def test_the_kind_of_an_error_is_a_fixed_word() -> None:
    assert [kind_of(error) for error in (StorageFullError("x"), KeyError("x"), RuntimeError("x"))] == [
        "storage-full",
        "key",
        "runtime",
    ]
