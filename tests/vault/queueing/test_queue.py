"""The durable queue: each task is done by one, in order, again after a failure, and under whom it was asked by."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.errors import DeniedError
from policies.model import Principal, Purpose
from tests.simulators.clinic import (
    ADMINISTRATOR,
    BANK,
    CLINIC,
    MEMBER,
    OFFICER,
    OWNER,
    SERVICE,
    STRANGER,
    Clinic,
    person,
)
from tests.simulators.fakes import FrozenClock
from vault.checking.finding import Check
from vault.consistency import Consistency
from vault.erasure import Erasures
from vault.errors import (
    ConflictError,
    ErasedError,
    IdentifierInvalidError,
    LeaseLostError,
    NotFoundError,
    QueueFullError,
    RootUnreachableError,
    StorageFullError,
    TamperedError,
)
from vault.organizer import Organizer
from vault.parts import Parts
from vault.queueing import deriving
from vault.queueing.deriving import Deriving
from vault.queueing.desk import QueueDesk, TaskVerdict
from vault.queueing.queue import Queue, Taken
from vault.queueing.task import Order, Priority, QueueLimits, TaskKind
from vault.queueing.work import DOING, Doing, Ending, Worker
from vault.storage.group_commit import WriteSet

SMALL: Final = QueueLimits(
    depth=5, attempts=3, lease_seconds=60, first_retry_seconds=2, max_retry_seconds=10, kept_seconds=100
)


def queue(clinic: Clinic, limits: QueueLimits = SMALL) -> Queue:
    return Queue(clinic.vault.parts, limits, lambda: 0.0)


def worker(clinic: Clinic, doing: Mapping[TaskKind, Doing] = DOING, limits: QueueLimits = SMALL) -> Worker:
    return Worker(lambda: clinic.vault.parts, limits, doing, lambda: 0.0)


def subject(clinic: Clinic, name: str, tenant: str = CLINIC) -> str:
    return clinic.vault.parts.sealers.subject_ids(tenant, (name,))[0]


def put(
    clinic: Clinic,
    name: str = "anna",
    priority: Priority = Priority.NORMAL,
    *,
    key: str | None = None,
    principal: Principal = OWNER,
    limits: QueueLimits = SMALL,
) -> str:
    about = subject(clinic, name, principal.tenant)
    order = Order(TaskKind.ORGANIZE, about, principal, Purpose.TREATMENT, priority, key)
    added = queue(clinic, limits).order(order)
    clinic.vault.parts.store.submit(WriteSet(changes=[added.change]))
    return added.found[0]


def wrote(clinic: Clinic, *names: str) -> None:
    for name in names:
        clinic.mem(OWNER).extract("The knee hurts.", subject=name)


def state(clinic: Clinic, task_id: str) -> tuple[object, ...]:
    return clinic.sql("SELECT state, attempts, reason FROM task WHERE task_id = ?", task_id)[0]


def failing(*errors: Exception) -> Mapping[TaskKind, Doing]:
    left = list(errors)

    def fail(_parts: Parts, _taken: Taken, _name: str) -> object:
        if left:
            raise left.pop(0)
        return None

    return {TaskKind.ORGANIZE: fail}


def noting(done: list[str]) -> Mapping[TaskKind, Doing]:
    return {TaskKind.ORGANIZE: lambda _parts, _taken, name: done.append(name)}


# -- order -------------------------------------------------------------------------------------------------------


def test_what_is_put_off_is_done_under_who_asked_and_once(clinic: Clinic) -> None:
    wrote(clinic, "anna")
    put_off = clinic.mem(OWNER).organize_later(subject="anna")
    entry = clinic.last()
    assert (entry.index, entry.event, entry.principal) == (put_off.leaf_index, "task.queue", OWNER.id)
    assert clinic.mem(OWNER).retrieve("knee").hits, "words find what waits to be organized"
    assert clinic.mem(OWNER).work()
    done = clinic.last()
    assert (done.event, done.principal, done.purpose) == ("memory.organize", OWNER.id, "treatment")
    assert state(clinic, put_off.task_id)[0] == "done"
    size = len(clinic.log())
    assert clinic.mem(OWNER).work()
    assert len(clinic.log()) == size


def test_who_may_put_nothing_off_works_no_queue_either(clinic: Clinic) -> None:
    wrote(clinic, "anna")
    put_off = clinic.mem(OWNER).organize_later(subject="anna")
    with pytest.raises(DeniedError):
        clinic.mem(ADMINISTRATOR).work()
    assert (clinic.last().event, clinic.last().decision) == ("task.queue", "denied")
    assert state(clinic, put_off.task_id)[0] == "waiting"


def test_the_urgent_goes_first_and_what_waited_long_enough_before_it(
    clinic: Clinic, clock: FrozenClock
) -> None:
    wrote(clinic, "low", "normal", "high", "late")
    done: list[str] = []
    for name in ("low", "normal", "high"):
        put(clinic, name, Priority(name))
    clock.advance(timedelta(minutes=11))
    put(clinic, "late", Priority.HIGH)
    assert worker(clinic, noting(done)).drain(CLINIC, 60)
    assert done == ["high", "normal", "low", "late"]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(Priority), st.integers(0, 900)),
        min_size=1,
        max_size=6,
        unique_by=lambda one: one,
    )
)
def test_nothing_is_overtaken_by_what_came_later_than_its_priority_is_behind(
    clinic: Clinic, clock: FrozenClock, orders: list[tuple[Priority, int]]
) -> None:
    limits = replace(SMALL, depth=100)
    begun = clock.now
    names = [f"p-{number}" for number in range(len(orders))]
    wrote(clinic, *names)
    clinic.sql("DELETE FROM task")
    at: dict[str, tuple[Priority, float]] = {}
    for name, (priority, seconds) in zip(names, sorted(orders, key=lambda one: one[1]), strict=True):
        clock.now = begun + timedelta(seconds=seconds)
        put(clinic, name, priority, limits=limits)
        at[name] = priority, seconds
    done: list[str] = []
    assert worker(clinic, noting(done), limits).drain(CLINIC, 60)
    for place, first in enumerate(done):
        for later in done[place + 1 :]:
            allowed = (at[first][0].behind - at[later][0].behind) / 1e6
            assert at[first][1] + allowed <= at[later][1]
    clock.now = begun


def test_the_same_key_queues_the_same_work_once(clinic: Clinic, clock: FrozenClock) -> None:
    wrote(clinic, "anna", "berta")
    first = put(clinic, "anna", key="visit 12")
    assert put(clinic, "anna", key="visit 12") == first
    assert put(clinic, "anna") == first, "what waits already is not queued twice"
    assert put(clinic, "berta") != first
    assert worker(clinic, noting([])).drain(CLINIC, 60)
    assert put(clinic, "anna", key="visit 12") == first, "it was done"
    assert state(clinic, first)[0] == "done"
    assert put(clinic, "anna") != first
    assert "visit" not in str(clinic.sql("SELECT * FROM task"))
    assert worker(clinic, noting([])).drain(CLINIC, 60)
    clock.advance(timedelta(seconds=101))
    queue(clinic).sweep(CLINIC)
    assert clinic.count("task") == 0
    assert put(clinic, "anna", key="visit 12") != first


def test_two_principals_are_not_put_together_and_no_key_keeps_anothers_work_back(clinic: Clinic) -> None:
    wrote(clinic, "anna", "berta")
    assert put(clinic, "anna") != put(clinic, "anna", principal=SERVICE)
    mine = put(clinic, "berta", key="visit 12")
    assert put(clinic, "berta", key="visit 12", principal=SERVICE) != mine
    assert put(clinic, "anna", key="visit 12") != mine


def test_a_full_queue_refuses_and_other_tenants_are_not_told(clinic: Clinic) -> None:
    names = [f"p-{number}" for number in range(SMALL.depth + 1)]
    wrote(clinic, *names)
    for name in names[:-1]:
        put(clinic, name)
    with pytest.raises(QueueFullError, match="try again"):
        put(clinic, names[-1])
    assert clinic.count("task") == SMALL.depth
    clinic.mem(STRANGER).extract("The account is empty.", subject="anna")
    assert put(clinic, "anna", principal=STRANGER)


def test_the_facade_logs_that_it_was_refused(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    wrote(clinic, "anna", "berta")
    monkeypatch.setattr("vault.queueing.view.Queue", lambda parts: Queue(parts, replace(SMALL, depth=1)))
    clinic.mem(OWNER).organize_later(subject="anna")
    with pytest.raises(QueueFullError):
        clinic.mem(OWNER).organize_later(subject="berta")
    assert (clinic.last().event, clinic.last().outcome) == ("task.queue", "refused")


def test_who_may_not_organize_puts_nothing_off(clinic: Clinic) -> None:
    with pytest.raises(DeniedError):
        clinic.mem(ADMINISTRATOR).organize_later(subject="anna")
    assert (clinic.last().event, clinic.last().decision) == ("task.queue", "denied")
    assert clinic.count("task") == 0


@pytest.mark.parametrize("bad", [{"subject": 3}, {"key": ""}, {"key": "x" * 201}, {"key": 3}])
def test_what_is_no_subject_or_key_is_refused(clinic: Clinic, bad: dict[str, object]) -> None:
    with pytest.raises(IdentifierInvalidError):
        clinic.mem(OWNER).organize_later(**bad)  # type: ignore[arg-type]


# -- failures ----------------------------------------------------------------------------------------------------


def test_a_task_that_fails_is_tried_again_later_each_time_and_then_dead(
    clinic: Clinic, clock: FrozenClock
) -> None:
    wrote(clinic, "anna")
    task = put(clinic)
    work = worker(clinic, failing(*(ValueError("Anna Keller") for _ in range(9))))
    assert work.step(CLINIC) is Ending.RETRY
    assert state(clinic, task) == ("waiting", 1, "value")
    assert work.step(CLINIC) is None, "not yet"
    clock.advance(timedelta(seconds=2))
    assert work.step(CLINIC) is Ending.RETRY
    clock.advance(timedelta(seconds=2))
    assert work.step(CLINIC) is None, "twice as long"
    clock.advance(timedelta(seconds=2))
    assert work.step(CLINIC) is Ending.DEAD
    assert state(clinic, task) == ("dead", 3, "value")
    entry = clinic.last()
    assert (entry.event, entry.payload) == (
        "task.dead",
        {"task": task, "kind": "organize", "reason": "value"},
    )
    assert "Keller" not in str(clinic.sql("SELECT * FROM task"))


def test_a_poison_task_keeps_no_other_from_being_done(clinic: Clinic, clock: FrozenClock) -> None:
    wrote(clinic, "poison", "anna", "berta")
    done: list[str] = []

    def some(_parts: Parts, _taken: Taken, name: str) -> object:
        if name == "poison":
            raise RuntimeError
        done.append(name)
        return None

    for name in ("poison", "anna", "berta"):
        put(clinic, name)
    work = worker(clinic, {TaskKind.ORGANIZE: some})
    for _ in range(4):
        work.drain(CLINIC, 60)
        clock.advance(timedelta(seconds=11))
    assert sorted(done) == ["anna", "berta"]
    assert [one.reason for one in desk(clinic).dead(ADMINISTRATOR, Purpose.OPERATIONS)] == ["runtime"]


@pytest.mark.parametrize("error", [DeniedError("no"), TamperedError("bad")])
def test_what_can_never_be_done_is_dead_at_once(clinic: Clinic, error: Exception) -> None:
    wrote(clinic, "anna")
    task = put(clinic)
    assert worker(clinic, failing(error)).step(CLINIC) is Ending.DEAD
    assert state(clinic, task)[:2] == ("dead", 1)


@pytest.mark.parametrize("error", [RootUnreachableError("gone"), StorageFullError("full")])
def test_what_says_nothing_of_the_task_counts_no_attempt(
    clinic: Clinic, clock: FrozenClock, error: Exception
) -> None:
    wrote(clinic, "anna")
    task = put(clinic)
    work = worker(clinic, failing(*[error] * 5))
    for _ in range(5):
        assert work.step(CLINIC) is Ending.RETRY
        clock.advance(timedelta(seconds=2))
    assert state(clinic, task)[:2] == ("waiting", 0)
    assert work.step(CLINIC) is Ending.DONE


def test_the_policy_of_the_moment_decides_not_that_of_the_order(clinic: Clinic) -> None:
    wrote(clinic, "anna")
    task = put(clinic, principal=person("nobody", *OFFICER.roles))
    assert worker(clinic).step(CLINIC) is Ending.DEAD
    assert state(clinic, task)[2] == "denied"
    assert ("memory.organize", "denied") in [(one.event, one.decision) for one in clinic.log()]


@pytest.mark.parametrize(
    "change",
    [
        "roles = 'clinician'",
        "principal_id = 'dr-a'",
        "purpose = 'operations'",
        "subject_id = 'sub_other'",
        "kind = 'erase'",
        "assurance = 'mfa'",
        "seal = x'00'",
        "seal = 'text'",
        "roles = 3",
        "priority = 99",
    ],
)
def test_a_row_that_somebody_changed_is_not_done(clinic: Clinic, change: str) -> None:
    wrote(clinic, "anna")
    task = put(clinic)
    clinic.sql(f"UPDATE task SET {change}")  # noqa: S608  # of our own words
    done: list[str] = []
    assert worker(clinic, noting(done)).step(CLINIC) is None
    assert done == []
    assert state(clinic, task)[::2] == ("dead", "tampered")
    assert clinic.last().event == "task.dead"


# -- leases ------------------------------------------------------------------------------------------------------


def test_who_wakes_after_the_lease_ran_out_writes_nothing(clinic: Clinic, clock: FrozenClock) -> None:
    wrote(clinic, "anna")
    clinic.mem(OWNER).extract("The knee is better.", subject="anna")
    task = put(clinic)
    others: list[Ending | None] = []

    def sleep(parts: Parts, taken: Taken, name: str) -> object:
        clock.advance(timedelta(seconds=61))
        others.append(worker(clinic).step(CLINIC))  # sweeps; it waits for its retry
        clock.advance(timedelta(seconds=2))
        others.append(worker(clinic).step(CLINIC))
        return Organizer(parts).organize(taken.task.principal, name, taken.task.purpose)

    assert worker(clinic, {TaskKind.ORGANIZE: sleep}).step(CLINIC) is Ending.LOST
    assert others == [None, Ending.DONE]
    assert state(clinic, task)[:2] == ("done", 2)
    organized = [one for one in clinic.log() if one.event == "memory.organize"]
    assert len(organized) == 1, "of two who believed that they had it, one wrote"


@pytest.mark.parametrize("ending", ["done", "failed", "put_back", "dropped"])
def test_who_lost_the_lease_ends_nothing(clinic: Clinic, clock: FrozenClock, ending: str) -> None:
    wrote(clinic, "anna")
    task = put(clinic)
    mine = queue(clinic)
    taken = mine.take(CLINIC, "one")
    assert taken is not None
    clock.advance(timedelta(seconds=61))
    with pytest.raises(LeaseLostError):
        getattr(mine, ending)(taken, *([] if ending == "done" else ["late"]))
    assert not mine.renew(taken)
    assert state(clinic, task)[0] == "running"
    assert mine.sweep(CLINIC) == 1
    assert state(clinic, task) == ("waiting", 1, "lapsed")
    with pytest.raises(LeaseLostError):
        getattr(mine, ending)(taken, *([] if ending == "done" else ["late"]))


def test_a_lease_that_is_renewed_lasts(clinic: Clinic, clock: FrozenClock) -> None:
    wrote(clinic, "anna")
    put(clinic)
    mine = queue(clinic)
    taken = mine.take(CLINIC, "one")
    assert taken is not None
    for _ in range(3):
        clock.advance(timedelta(seconds=50))
        assert mine.renew(taken)
        assert mine.sweep(CLINIC) == 0
        assert mine.take(CLINIC, "two") is None
    mine.done(taken)


def test_a_task_whose_workers_die_is_dead_after_as_many(clinic: Clinic, clock: FrozenClock) -> None:
    wrote(clinic, "anna")
    task = put(clinic)
    for _ in range(SMALL.attempts):
        assert queue(clinic).take(CLINIC, "doomed") is not None
        clock.advance(timedelta(seconds=61))
        queue(clinic).sweep(CLINIC)
        clock.advance(timedelta(seconds=11))
    assert state(clinic, task) == ("dead", 3, "lapsed")
    assert clinic.last().event == "task.dead"


def test_a_task_that_was_taken_up_meanwhile_is_not_taken_up_twice(
    clinic: Clinic, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrote(clinic, "anna")
    put(clinic)
    assert queue(clinic).take(CLINIC, "doomed") is not None
    clock.advance(timedelta(seconds=61))
    with clinic.vault.parts.store.log_connection(CLINIC) as connection:
        from vault.storage.task_rows import lapsed  # noqa: PLC0415

        seen = lapsed(connection, CLINIC, int(clock().timestamp() * 1e6))
    assert queue(clinic).sweep(CLINIC) == 1
    monkeypatch.setattr("vault.queueing.queue.lapsed", lambda *_: seen)
    assert queue(clinic).sweep(CLINIC) == 0


def test_clocks_that_jump_keep_no_task_for_ever(clinic: Clinic, clock: FrozenClock) -> None:
    wrote(clinic, "anna", "berta", "carla")
    now = clock.now
    clock.advance(timedelta(days=400))
    ahead = put(clinic, "anna")
    assert queue(clinic).take(CLINIC, "doomed") is not None
    failed = put(clinic, "berta")
    assert worker(clinic, failing(ValueError())).step(CLINIC) is Ending.RETRY
    ranked = put(clinic, "carla", Priority.LOW)
    clock.now = now
    assert queue(clinic).sweep(CLINIC) == 1, "a lease of next year is over"
    clock.advance(timedelta(seconds=10))
    assert worker(clinic, noting([])).drain(CLINIC, 60)
    assert [state(clinic, one)[0] for one in (ahead, failed, ranked)] == ["done"] * 3


# -- erasure -----------------------------------------------------------------------------------------------------


def erase(clinic: Clinic, name: str) -> None:
    erasures = Erasures(clinic.vault.parts)
    plan = erasures.plan(OFFICER, name)
    erasures.erase(OFFICER, name, plan.digest)


def test_an_erasure_takes_the_tasks_of_the_person_and_lets_none_come(clinic: Clinic) -> None:
    wrote(clinic, "anna", "berta")
    put(clinic, "anna")
    left = put(clinic, "berta")
    erase(clinic, "anna")
    assert clinic.sql("SELECT task_id FROM task") == [(left,)]
    with pytest.raises(ErasedError):
        put(clinic, "anna")
    with pytest.raises(ErasedError):
        clinic.mem(OWNER).organize_later(subject="anna")
    assert clinic.last().outcome == "refused"


def test_the_consistency_job_finds_a_task_about_somebody_who_was_erased(clinic: Clinic) -> None:
    wrote(clinic, "anna", "berta")
    put(clinic, "anna")
    about = subject(clinic, "anna")
    (row,) = clinic.sql("SELECT * FROM task")
    erase(clinic, "anna")
    marks = ", ".join("?" for _ in row)
    clinic.sql(f"INSERT INTO task VALUES ({marks})", *row)  # noqa: S608  # as if an old copy of the table came back
    found = Consistency(clinic.vault.parts).run(CLINIC, repair=False)
    assert [(one.where, one.got) for one in found.found if one.check is Check.TOMBSTONE] == [
        (about, "rows of task")
    ]


def test_a_task_about_nobody_known_ends_quietly(clinic: Clinic) -> None:
    task = put(clinic, "never-written")
    assert worker(clinic).step(CLINIC) is Ending.GONE
    assert state(clinic, task)[0] == "done"


# -- deriving ----------------------------------------------------------------------------------------------------


def derive(clinic: Clinic, tenant: str = CLINIC) -> bool:
    return Deriving(clinic.vault.parts, queue(clinic)).step(tenant)


def test_what_was_written_is_organized_later_and_nothing_twice(clinic: Clinic, clock: FrozenClock) -> None:
    clinic.mem(OWNER).extract("The knee hurts.", subject="anna")
    (changed,) = clinic.mem(OWNER).extract("The hip hurts.", subject=("berta", "carla")).memory_ids
    while derive(clinic):
        pass
    about = {subject(clinic, name) for name in ("anna", "berta", "carla")}
    assert {row[0] for row in clinic.sql("SELECT subject_id FROM task")} == about
    entry = clinic.last()
    assert (entry.event, entry.principal, entry.payload) == (
        "task.queue",
        "memvault",
        {"count": 3, "kind": "organize"},
    )
    assert worker(clinic).step(CLINIC) is None, "what is said within a few seconds is organized together"
    clock.advance(timedelta(seconds=6))
    assert worker(clinic).drain(CLINIC, 60)
    assert {one.principal for one in clinic.log() if one.event == "memory.organize"} == {"memvault"}
    assert not derive(clinic)
    clinic.mem(OWNER).update(changed, "The hip is better.")
    assert derive(clinic)
    waiting = {row[0] for row in clinic.sql("SELECT subject_id FROM task WHERE state = 'waiting'")}
    assert waiting == {subject(clinic, name) for name in ("berta", "carla")}


def test_a_full_queue_makes_the_log_wait(clinic: Clinic, clock: FrozenClock) -> None:
    names = [f"p-{number}" for number in range(SMALL.depth + 1)]
    wrote(clinic, *names[: SMALL.depth])
    assert derive(clinic)
    wrote(clinic, names[-1])
    assert not derive(clinic)
    clock.advance(timedelta(seconds=6))
    done: list[str] = []
    assert worker(clinic, noting(done)).drain(CLINIC, 60)
    assert derive(clinic)
    clock.advance(timedelta(seconds=6))
    assert worker(clinic, noting(done)).drain(CLINIC, 60)
    assert sorted(done) == names


def test_two_that_read_the_log_at_one_time_queue_once(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrote(clinic, "anna")
    read = deriving._read  # where the other comes between

    def meanwhile(*args: object) -> tuple[int, list[str]]:
        monkeypatch.setattr(deriving, "_read", read)
        assert derive(clinic)
        return read(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(deriving, "_read", meanwhile)
    size = clinic.count("task")
    assert not derive(clinic)
    assert clinic.count("task") == size + 1


def test_who_was_erased_and_what_cannot_be_read_is_passed_over(clinic: Clinic) -> None:
    wrote(clinic, "anna", "berta")
    erase(clinic, "anna")
    while derive(clinic):
        pass
    assert clinic.sql("SELECT subject_id FROM task") == [(subject(clinic, "berta"),)]
    assert not derive(clinic, BANK)


@pytest.mark.parametrize("payload", [None, "junk", "[]", '{"memories":3}', '{"written":[3]}'])
def test_an_entry_that_names_nothing_queues_nothing(payload: str | None) -> None:
    assert list(deriving._named(payload)) == []


# -- the desk ----------------------------------------------------------------------------------------------------


def desk(clinic: Clinic) -> QueueDesk:
    return QueueDesk(clinic.vault.parts, SMALL)


def dead_one(clinic: Clinic) -> str:
    wrote(clinic, "anna")
    task = put(clinic)
    assert worker(clinic, failing(TamperedError("bad"))).step(CLINIC) is Ending.DEAD
    return task


def test_an_administrator_sees_numbers_and_has_dead_work_tried_again(clinic: Clinic) -> None:
    task = dead_one(clinic)
    wrote(clinic, "berta")
    put(clinic, "berta")
    found = desk(clinic).status(ADMINISTRATOR, Purpose.OPERATIONS)
    assert {(one.kind, one.state): one.tasks for one in found.counts} == {
        ("organize", "dead"): 1,
        ("organize", "waiting"): 1,
    }
    assert (found.open, found.depth) == (1, SMALL.depth)
    (dead,) = desk(clinic).dead(ADMINISTRATOR, Purpose.OPERATIONS)
    assert (dead.id, dead.kind, dead.principal, dead.reason) == (task, "organize", OWNER.id, "tampered")
    leaf = desk(clinic).decide(ADMINISTRATOR, Purpose.OPERATIONS, task, TaskVerdict.RETRY)
    entry = clinic.last()
    assert (entry.index, entry.event, entry.resource) == (leaf.index, "task.decide", task)
    assert state(clinic, task) == ("waiting", 0, None)
    assert worker(clinic).drain(CLINIC, 60)
    assert state(clinic, task)[0] == "done"
    with pytest.raises(NotFoundError):
        desk(clinic).decide(ADMINISTRATOR, Purpose.OPERATIONS, task, TaskVerdict.RETRY)
    assert clinic.last().outcome == "not-found"


def test_dead_work_is_dropped_by_an_administrator_of_its_tenant_alone(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = dead_one(clinic)
    other = person("admin-b", *ADMINISTRATOR.roles, tenant=BANK)
    with pytest.raises(NotFoundError):
        desk(clinic).decide(other, Purpose.OPERATIONS, task, TaskVerdict.DISCARD)
    for call in (
        lambda: desk(clinic).decide(MEMBER, Purpose.OPERATIONS, task, TaskVerdict.DISCARD),
        lambda: desk(clinic).dead(MEMBER, Purpose.OPERATIONS),
        lambda: desk(clinic).status(MEMBER, Purpose.OPERATIONS),
    ):
        with pytest.raises(DeniedError):
            call()
        assert clinic.last().decision == "denied"
    assert state(clinic, task)[0] == "dead"
    with clinic.vault.parts.store.log_connection(CLINIC) as connection:
        from vault.storage.task_rows import dead_tasks  # noqa: PLC0415

        seen = dead_tasks(connection, CLINIC, 1, task)
    desk(clinic).decide(ADMINISTRATOR, Purpose.OPERATIONS, task, TaskVerdict.DISCARD)
    assert clinic.count("task") == 0
    monkeypatch.setattr("vault.queueing.desk.dead_tasks", lambda *_: seen)
    with pytest.raises(ConflictError):
        desk(clinic).decide(ADMINISTRATOR, Purpose.OPERATIONS, task, TaskVerdict.DISCARD)


def test_a_drain_that_runs_out_of_time_says_so(clinic: Clinic) -> None:
    wrote(clinic, "anna", "berta")
    put(clinic, "anna")
    put(clinic, "berta")
    assert not worker(clinic, noting([])).drain(CLINIC, 0)
    stops: Iterable[bool] = iter([True])
    stopping: Callable[[], bool] = lambda: next(iter(stops))  # noqa: E731
    assert not worker(clinic, noting([])).drain(CLINIC, 60, stopping)
