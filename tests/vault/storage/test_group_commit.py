"""Many writers, one durable commit: each gets its own leaves or its own error, and nobody waits for ever."""

import itertools
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from audit.log import AuditLog, Leaf
from tests.simulators.small_deployment import draft
from vault.errors import ConflictError, StorageError
from vault.storage.engine import writer_engine
from vault.storage.group_commit import MAX_BATCH, GroupCommit, WriteSet, _Ticket
from vault.storage.migrate import upgrade
from vault.storage.schema import TENANT
from vault.storage.store import Store

WAIT = 10.0


class GateProbe:
    """Holds the leader at a step until it is let go, and raises what it was told to, once."""

    def __init__(self) -> None:
        self.arrived, self.go = threading.Event(), threading.Event()
        self.hold: str | None = None
        self.raising: dict[str, list[BaseException]] = {}
        self.steps: list[str] = []

    def __call__(self, step: str) -> None:
        self.steps.append(step)
        if step == self.hold:
            self.hold = None
            self.arrived.set()
            assert self.go.wait(WAIT)
        if self.raising.get(step):
            raise self.raising[step].pop()


@pytest.fixture
def probe() -> GateProbe:
    """A probe that does nothing yet."""
    return GateProbe()


@pytest.fixture
def commit(tmp_path: Path, log: AuditLog, probe: GateProbe) -> Iterator[GroupCommit]:
    """A group commit over an empty, migrated file."""
    engine = writer_engine(tmp_path / "vault.db")
    upgrade(engine, "rows")
    made = GroupCommit(engine, log, probe)
    yield made
    made.close()
    engine.dispose()


def work(name: str, entries: int = 1, *, refuse: BaseException | None = None) -> WriteSet:
    """Return a write set of one tenant row and some entries; `refuse` is raised in the transaction."""

    def change(_connection: Connection, _leaves: Sequence[Leaf]) -> None:
        if refuse is not None:
            raise refuse

    drafts = [draft(tenant="clinic", payload={"of": name, "nth": nth}) for nth in range(entries)]
    return WriteSet(drafts=drafts, rows=[(TENANT, {"tenant_id": name, "created": 0})], changes=[change])


def tenants(tmp_path: Path) -> list[str]:
    """Return the rows that are in the file."""
    return [str(row[0]) for row in look(tmp_path, "SELECT tenant_id FROM tenant ORDER BY 1")]


def log_of(tmp_path: Path) -> list[tuple[int, str]]:
    """Return index and name in the payload of each entry."""
    rows = look(tmp_path, "SELECT leaf_index, json_extract(payload, '$.of') FROM audit_leaf ORDER BY 1")
    return [(int(index), str(name)) for index, name in rows]  # type: ignore[call-overload]


def look(tmp_path: Path, query: str) -> list[tuple[object, ...]]:
    """Read the file with a connection of our own."""
    with closing(sqlite3.connect(tmp_path / "vault.db")) as connection:
        return connection.execute(query).fetchall()


def together(
    commit: GroupCommit, probe: GateProbe, works: Sequence[WriteSet]
) -> list[list[Leaf] | BaseException]:
    """Let a first write lead and hold it, so that all the others are committed as one batch after it."""
    probe.hold = "begin"
    with ThreadPoolExecutor(len(works) + 1) as pool:
        first = pool.submit(commit.submit, work("first"))
        assert probe.arrived.wait(WAIT)
        futures = [pool.submit(commit.submit, one) for one in works]
        wait_for(lambda: len(commit._waiting) == len(works))
        probe.go.set()
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


def test_writers_that_wait_share_one_commit(commit: GroupCommit, probe: GateProbe, tmp_path: Path) -> None:
    results = together(commit, probe, [work(f"t{nth}", 2) for nth in range(8)])
    assert probe.steps.count("begin") == 2
    assert all(isinstance(leaves, list) and len(leaves) == 2 for leaves in results)
    indexes = sorted(leaf.index for leaves in results if isinstance(leaves, list) for leaf in leaves)
    assert indexes == list(range(1, 17))
    assert len(tenants(tmp_path)) == 9


def test_the_leaves_returned_are_those_of_the_callers_own_entries(
    commit: GroupCommit, probe: GateProbe, tmp_path: Path
) -> None:
    results = together(commit, probe, [work(f"t{nth}", nth % 3 + 1) for nth in range(9)])
    written = dict(log_of(tmp_path))
    for nth, leaves in enumerate(results):
        assert isinstance(leaves, list)
        assert [written[leaf.index] for leaf in leaves] == [f"t{nth}"] * (nth % 3 + 1)


@pytest.mark.parametrize("error", [ConflictError("no"), ValueError("bug"), KeyboardInterrupt()], ids=repr)
def test_one_failing_write_set_fails_alone(
    commit: GroupCommit, probe: GateProbe, tmp_path: Path, error: BaseException
) -> None:
    works = [work(f"t{nth}", refuse=error if nth == 3 else None) for nth in range(6)]
    results = together(commit, probe, works)
    assert results[3] is error
    others = [leaves for nth, leaves in enumerate(results) if nth != 3]
    expected = {"first", "t0", "t1", "t2", "t4", "t5"}
    assert set(tenants(tmp_path)) == expected
    assert [index for index, _ in log_of(tmp_path)] == list(range(6))
    assert {name for _, name in log_of(tmp_path)} == expected
    if isinstance(error, Exception):
        assert all(isinstance(leaves, list) for leaves in others)
    else:
        assert sum(isinstance(leaves, KeyboardInterrupt) for leaves in others) <= 1, "the leader's, at most"


def test_a_row_that_exists_already_fails_its_own_writer_alone(
    commit: GroupCommit, probe: GateProbe, tmp_path: Path
) -> None:
    results = together(commit, probe, [work("same"), work("other"), work("same")])
    kinds = [type(result) for result in results]
    assert sorted(kind.__name__ for kind in kinds) == ["ConflictError", "list", "list"]
    assert tenants(tmp_path) == ["first", "other", "same"]
    assert [index for index, _ in log_of(tmp_path)] == [0, 1, 2]


@pytest.mark.parametrize("step", ["begin", "logged", "inserted"])
@pytest.mark.parametrize("error", [RuntimeError("disk"), KeyboardInterrupt(), SystemExit()], ids=repr)
def test_a_lone_leader_that_raises_writes_nothing_and_blocks_nobody(
    commit: GroupCommit, probe: GateProbe, tmp_path: Path, step: str, error: BaseException
) -> None:
    probe.raising[step] = [error]
    with pytest.raises(type(error)):
        commit.submit(work("lost"))
    assert tenants(tmp_path) == []
    assert log_of(tmp_path) == []
    assert commit.submit(work("next"))[0].index == 0
    assert tenants(tmp_path) == ["next"]


@pytest.mark.parametrize("step", ["begin", "logged", "inserted"])
def test_an_interrupted_leader_of_many_loses_nobodys_write_and_is_still_interrupted(
    commit: GroupCommit, probe: GateProbe, tmp_path: Path, step: str
) -> None:
    probe.hold = "begin"
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(commit.submit, work("first"))
        assert probe.arrived.wait(WAIT)
        futures = [pool.submit(commit.submit, work(f"t{nth}")) for nth in range(5)]
        wait_for(lambda: len(commit._waiting) == 5)
        probe.raising[step] = [KeyboardInterrupt()]
        probe.steps.clear()
        probe.go.set()
        errors = [future.exception(WAIT) for future in [first, *futures]]
    assert sum(isinstance(error, KeyboardInterrupt) for error in errors) == 1
    assert [error for error in errors if not isinstance(error, KeyboardInterrupt)] == [None] * 5
    expected = ["first", *(f"t{nth}" for nth in range(5))]
    lost = {"first"} if isinstance(errors[0], KeyboardInterrupt) else set()
    assert tenants(tmp_path) == [name for name in expected if name not in lost]
    assert commit.submit(work("next"))


def test_an_interrupt_after_the_commit_writes_nothing_twice(
    commit: GroupCommit, probe: GateProbe, tmp_path: Path
) -> None:
    probe.raising["committed"] = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        commit.submit(work("durable"))
    assert log_of(tmp_path) == [(0, "durable")]
    assert commit.submit(work("next"))[0].index == 1
    assert tenants(tmp_path) == ["durable", "next"]


def test_a_main_thread_interrupted_while_it_waits_takes_back_what_nobody_has_begun(
    commit: GroupCommit, probe: GateProbe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe.hold = "begin"
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(commit.submit, work("leader"))
        assert probe.arrived.wait(WAIT)
        wait_as_ever = commit._await

        def wait_and_be_interrupted(ticket: _Ticket) -> None:
            ticket.called = InterruptedWait()  # type: ignore[assignment]
            wait_as_ever(ticket)

        with monkeypatch.context() as patch:
            patch.setattr(commit, "_await", wait_and_be_interrupted)
            with pytest.raises(KeyboardInterrupt):
                commit.submit(work("interrupted"))
        behind = pool.submit(commit.submit, work("behind"))
        wait_for(lambda: len(commit._waiting) == 1)
        probe.go.set()
        assert leader.result(WAIT)
        assert behind.result(WAIT)
    assert commit.submit(work("later"))
    assert tenants(tmp_path) == ["behind", "later", "leader"]


class InterruptedWait:
    """A lock whose waiter is interrupted, as the main thread is by Ctrl-C."""

    def acquire(self) -> bool:
        """Raise instead of waiting."""
        raise KeyboardInterrupt


def test_an_interrupted_main_thread_harms_no_other_writer(commit: GroupCommit, tmp_path: Path) -> None:
    """Interrupts every two milliseconds into a main thread that writes beside four others."""
    ending, storm = threading.Event(), Storm()

    def write(thread: int) -> list[int]:
        indexes: list[int] = []
        while not ending.is_set():
            indexes += [leaf.index for leaf in commit.submit(work(f"t{thread}-{len(indexes)}"))]
        return indexes

    with ThreadPoolExecutor(4) as pool:
        others = [pool.submit(write, nth) for nth in range(4)]
        with storm:
            interrupted = storm.hit(lambda nth: commit.submit(work(f"main-{nth}")), seconds=1)
        ending.set()
        indexes = [index for other in others for index in other.result(WAIT)]
    assert interrupted, "expected some of them to have hit"
    written = dict(log_of(tmp_path))
    assert list(written) == list(range(len(written)))
    assert {written[index] for index in indexes} == {name for name in written.values() if name[0] == "t"}
    assert commit.submit(work("later"))[0].index == len(written)


class Storm:
    """Interrupts the main thread every two milliseconds, once in each call at most.

    The main thread is not traced meanwhile: an interrupt between the taking of coverage's own lock and its
    release leaves that lock taken, and every other thread then waits for ever.
    """

    def __init__(self) -> None:
        self._armed = False

    def __enter__(self) -> None:
        self._tracing = sys.gettrace()
        sys.settrace(None)
        self._before = signal.signal(signal.SIGALRM, self._interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)

    def __exit__(self, *_error: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)
        sys.settrace(self._tracing)

    def _interrupt(self, _signal: int, _frame: object) -> None:
        if self._armed:
            self._armed = False
            raise KeyboardInterrupt

    def hit(self, call: Callable[[int], object], seconds: float) -> int:
        """Call until the time is over; return how many of the calls were interrupted."""
        count, end = 0, time.monotonic() + seconds
        for nth in itertools.count():
            if time.monotonic() > end:
                return count
            try:
                self._armed = True
                call(nth)
                self._armed = False
            except KeyboardInterrupt:
                count += 1
        raise AssertionError


def test_more_writers_than_a_batch_holds_are_all_served(
    commit: GroupCommit, probe: GateProbe, tmp_path: Path
) -> None:
    count = MAX_BATCH + 9
    results = together(commit, probe, [work(f"t{nth}") for nth in range(count)])
    assert all(isinstance(result, list) for result in results)
    assert [index for index, _ in log_of(tmp_path)] == list(range(count + 1))


def test_a_write_set_may_be_of_several_tenants_and_its_leaves_keep_the_order_of_its_entries(
    commit: GroupCommit, tmp_path: Path
) -> None:
    order = ["b", "a", "system", "a", "b"]
    leaves = commit.submit(WriteSet(drafts=[draft(tenant=tenant) for tenant in order]))
    assert [(leaf.tenant, leaf.index) for leaf in leaves] == [
        ("b", 0),
        ("a", 0),
        ("system", 0),
        ("a", 1),
        ("b", 1),
    ]
    hashes = {
        (row[0], row[1]): row[2]
        for row in look(tmp_path, "SELECT tenant_id, leaf_index, leaf_hash FROM audit_leaf")
    }
    assert all(hashes[leaf.tenant, leaf.index] == leaf.hash for leaf in leaves)


def test_what_is_submitted_after_the_close_is_refused(tmp_path: Path, log: AuditLog) -> None:
    store = Store(tmp_path / "vault.db", log)
    store.close()
    with pytest.raises(StorageError, match="closed"):
        store.submit(work("late"))
    with pytest.raises(StorageError, match="closed"):
        store.tenants()
    assert tenants(tmp_path) == []


def test_a_write_after_a_fork_is_refused_and_does_not_wait_for_ever(
    commit: GroupCommit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commit.submit(work("before"))
    with monkeypatch.context() as patch:
        patch.setattr("vault.storage.group_commit.os.getpid", lambda: -1)  # as a forked child sees it
        with pytest.raises(StorageError, match="another process"):
            commit.submit(work("child"))
    assert commit.submit(work("after"))
    assert tenants(tmp_path) == ["after", "before"]


def test_a_close_while_others_write_tears_nothing_and_strands_nobody(tmp_path: Path, log: AuditLog) -> None:
    def write(commit: GroupCommit, thread: int) -> tuple[int, int]:
        """Write until the vault is closed; return how many rows and entries were acknowledged."""
        for nth in itertools.count():
            rows = [(TENANT, {"tenant_id": f"t{thread}-{nth}-{row}", "created": 0}) for row in range(40)]
            try:
                commit.submit(WriteSet(drafts=[draft(tenant="clinic")], rows=rows))
            except StorageError:
                return nth * 40, nth
        raise AssertionError

    for nth in range(20):
        (folder := tmp_path / str(nth)).mkdir()
        engine = writer_engine(folder / "vault.db")
        upgrade(engine, "rows")
        commit = GroupCommit(engine, log)
        with ThreadPoolExecutor(5) as pool:
            writers = [pool.submit(write, commit, thread) for thread in range(4)]
            time.sleep(0.02)
            closing_it = pool.submit(commit.close)
            main = write(commit, 9)
            closing_it.result(WAIT)
            rows, entries = (
                sum(counts) for counts in zip(main, *(w.result(WAIT) for w in writers), strict=True)
            )
        engine.dispose()
        assert len(tenants(folder)) == rows
        assert len(log_of(folder)) == entries


def test_many_threads_in_no_order_get_gapless_indexes_and_lose_nothing(
    commit: GroupCommit, tmp_path: Path
) -> None:
    def write(thread: int) -> list[int]:
        mine = []
        for nth in range(12):
            name = f"t{thread}-{nth}"
            refuse = ConflictError("no") if nth % 5 == 4 else None
            try:
                mine += [leaf.index for leaf in commit.submit(work(name, nth % 3 + 1, refuse=refuse))]
            except ConflictError:
                assert refuse is not None
        return mine

    with ThreadPoolExecutor(16) as pool:
        indexes = [index for found in pool.map(write, range(16)) for index in found]
    written = log_of(tmp_path)
    assert [index for index, _ in written] == list(range(len(written)))
    assert sorted(indexes) == list(range(len(written)))
    assert len(tenants(tmp_path)) == 16 * 10


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=12))
def test_any_mix_of_good_and_failing_write_sets_leaves_the_good_ones_alone(
    tmp_path_factory: pytest.TempPathFactory, log: AuditLog, mix: list[tuple[int, bool]]
) -> None:
    folder, probe = tmp_path_factory.mktemp("mix"), GateProbe()
    engine = writer_engine(folder / "vault.db")
    upgrade(engine, "rows")
    commit = GroupCommit(engine, log, probe)
    works = [
        work(f"t{nth}", entries, refuse=ConflictError("no") if fails else None)
        for nth, (entries, fails) in enumerate(mix)
    ]
    results = together(commit, probe, works)
    for result, (entries, fails) in zip(results, mix, strict=True):
        assert (
            isinstance(result, ConflictError)
            if fails
            else (isinstance(result, list) and len(result) == entries)
        )
    good = {f"t{nth}" for nth, (_, fails) in enumerate(mix) if not fails}
    assert set(tenants(folder)) == good | {"first"}
    written = log_of(folder)
    assert [index for index, _ in written] == list(range(len(written)))
    assert len(written) == 1 + sum(entries for entries, fails in mix if not fails)
    commit.close()
    engine.dispose()
