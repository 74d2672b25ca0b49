"""What writers leave to the one that commits: prepared and finished once, each for itself."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from audit.log import AuditLog, Leaf
from tests.simulators.small_deployment import draft
from vault.errors import ConflictError
from vault.storage.engine import writer_engine
from vault.storage.group_commit import GroupCommit, WriteSet
from vault.storage.migrate import upgrade
from vault.storage.schema import TENANT

WAIT = 10.0


class Held:
    """A probe that holds the first leader in its transaction until it is let go."""

    def __init__(self) -> None:
        self.arrived, self.go = threading.Event(), threading.Event()

    def __call__(self, step: str) -> None:
        if step == "begin" and not self.arrived.is_set():
            self.arrived.set()
            assert self.go.wait(WAIT)


class Bench:
    """A group commit, with all that was prepared and finished in it, and by which thread."""

    def __init__(self, folder: Path, log: AuditLog) -> None:
        self.engine = writer_engine(folder / "vault.db")
        upgrade(self.engine, "rows")
        self.held = Held()
        self.commit = GroupCommit(self.engine, log, self.held)
        self.prepared: list[tuple[str, int]] = []
        self.finished: list[tuple[str, int, list[str]]] = []

    def work(self, name: str, *fails: BaseException) -> WriteSet:
        """Return a write set that is filled in late; each error is raised by one try to do so."""
        work, left = WriteSet(), list(fails)

        def prepare() -> None:
            self.prepared.append((name, threading.get_ident()))
            work.rows[:] = [(TENANT, {"tenant_id": name, "created": 0})]
            if left:
                raise left.pop(0)
            work.drafts[:] = [draft(tenant="clinic", payload={"of": name})]

        work.prepare = prepare
        work.finish = lambda: self.finished.append((name, threading.get_ident(), self.tenants()))
        return work

    def tenants(self) -> list[str]:
        """Return the rows that are durable."""
        with closing(self.engine.raw_connection().cursor()) as cursor:
            return [row[0] for row in cursor.execute(str(select(TENANT.c.tenant_id))).fetchall()]

    def together(self, works: Sequence[WriteSet]) -> list[list[Leaf] | BaseException]:
        """Hold a first write in its transaction, so that all the others become one batch after it."""
        with ThreadPoolExecutor(len(works) + 1) as pool:
            first = pool.submit(self.commit.submit, self.work("first"))
            assert self.held.arrived.wait(WAIT)
            futures = []
            for nth, one in enumerate(works, start=1):
                futures.append(pool.submit(self.commit.submit, one))
                wait_for(lambda: len(self.commit._waiting) == nth)  # noqa: B023  # it is called at once
            self.held.go.set()
            first.result(WAIT)
            return [future.exception(WAIT) or future.result() for future in futures]


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; fail after ten seconds."""
    pause = threading.Event()
    for _ in range(1000):
        if condition():
            return
        pause.wait(0.01)
    pytest.fail("expected the condition to come true within ten seconds")


@pytest.fixture
def bench(tmp_path: Path, log: AuditLog) -> Iterator[Bench]:
    """A group commit over an empty, migrated file."""
    made = Bench(tmp_path, log)
    yield made
    made.commit.close()
    made.engine.dispose()


def test_one_thread_prepares_and_finishes_for_all_that_wait(bench: Bench) -> None:
    results = bench.together([bench.work(f"t{nth}") for nth in range(5)])
    assert all(isinstance(leaves, list) for leaves in results)
    names = [f"t{nth}" for nth in range(5)]
    assert [name for name, _ in bench.prepared[1:]] == names, "in the order in which they came"
    assert len({thread for _, thread in bench.prepared[1:]}) == 1
    assert [name for name, *_ in bench.finished[1:]] == names
    assert {thread for _, thread, _ in bench.finished[1:]} == {bench.prepared[1][1]}


def test_nothing_is_finished_before_it_is_durable(bench: Bench) -> None:
    bench.together([bench.work(f"t{nth}") for nth in range(3)])
    assert all(name in durable for name, _, durable in bench.finished)


@pytest.mark.parametrize("refusal", [ConflictError("no"), KeyboardInterrupt(), SystemExit()], ids=repr)
def test_a_preparation_that_fails_fails_alone_and_is_not_finished(
    bench: Bench, refusal: BaseException
) -> None:
    results = bench.together([bench.work("a"), bench.work("b", refusal), bench.work("c")])
    assert results[1] is refusal
    assert sorted(bench.tenants()) == ["a", "c", "first"]
    assert [name for name, *_ in bench.finished] == ["first", "a", "c"]


def test_a_finish_that_fails_is_its_own_writers_error_though_all_is_durable(bench: Bench) -> None:
    works, error = [bench.work("a"), bench.work("b"), bench.work("c")], ValueError("bug")

    def fail() -> None:
        raise error

    works[1].finish = fail
    results = bench.together(works)
    assert [result is error for result in results] == [False, True, False]
    assert sorted(bench.tenants()) == ["a", "b", "c", "first"]


def test_where_all_of_a_batch_fail_no_transaction_is_begun(bench: Bench) -> None:
    with pytest.raises(ConflictError):
        bench.commit.submit(bench.work("lost", ConflictError("no")))
    assert not bench.held.arrived.is_set()
    bench.held.go.set()
    assert bench.commit.submit(bench.work("next"))[0].index == 0
    assert bench.tenants() == ["next"]


def test_the_main_thread_leads_nobody_and_is_led(bench: Bench) -> None:
    """An interrupt comes to the main thread: it must not leave another's work half done."""
    bench.held.go.set()
    bench.commit.submit(bench.work("main"))
    with ThreadPoolExecutor(1) as pool:
        pool.submit(bench.commit.submit, bench.work("other")).result(WAIT)
    threads = {name: thread for name, thread, _ in bench.finished}
    assert threads["main"] not in {threading.main_thread().ident, threads["other"]}
    assert sorted(bench.tenants()) == ["main", "other"]
