"""Workers of a served vault: what was written is organized, by many at one time, and no error ends them."""

import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lifecycle.queue_worker import QueueWorkers
from policies.model import Purpose
from tests.simulators.clinic import BANK, CLINIC, OWNER, STRANGER, Clinic, make_template
from tests.simulators.fakes import FrozenClock, fake_options
from vault.errors import StorageFullError
from vault.queueing.queue import Queue
from vault.queueing.task import Order, QueueLimits, TaskKind
from vault.queueing.work import Worker
from vault.storage.group_commit import WriteSet


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def clinic(tmp_path: Path, clock: FrozenClock) -> Iterator[Clinic]:
    """An open vault of two tenants."""
    opened = Clinic(make_template(tmp_path / "template"), tmp_path / "clinic", fake_options(clock=clock))
    yield opened
    opened.close()


def workers(clinic: Clinic, threads: int = 1) -> QueueWorkers:
    return QueueWorkers(lambda: clinic.vault.parts, threads=threads, look_seconds=0.01)


def test_what_was_written_is_organized_for_each_tenant(clinic: Clinic, clock: FrozenClock) -> None:
    clinic.mem(OWNER).extract("The knee hurts.", subject="anna")
    clinic.mem(STRANGER).extract("The account is empty.", subject="anna")
    found = workers(clinic)
    assert found.look() == 0
    clock.advance(timedelta(seconds=6))
    assert found.look() == 2
    assert found.look() == 0
    for tenant in (CLINIC, BANK):
        assert [one.principal for one in clinic.log(tenant) if one.event == "memory.organize"] == ["memvault"]


def test_among_many_threads_each_task_is_done_once(clinic: Clinic) -> None:
    names = [f"p-{number}" for number in range(24)]
    for name in names:
        clinic.mem(OWNER).extract("The knee hurts.", subject=name)
    parts = clinic.vault.parts
    queue, done, all_done = Queue(parts), list[str](), threading.Event()
    for name in names:
        (about,) = parts.sealers.subject_ids(CLINIC, (name,))
        added = queue.order(Order(TaskKind.ORGANIZE, about, OWNER, Purpose.TREATMENT))
        parts.store.submit(WriteSet(changes=[added.change]))

    def note(_parts: object, _taken: object, name: str) -> None:
        done.append(name)
        if len(done) >= len(names):
            all_done.set()

    worker = Worker(lambda: parts, QueueLimits(), {TaskKind.ORGANIZE: note})
    threads = [threading.Thread(target=worker.drain, args=(CLINIC, 30)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert all_done.is_set()
    assert sorted(done) == sorted(names)
    assert clinic.sql("SELECT DISTINCT state, attempts FROM task") == [("done", 1)]


def test_threads_end_when_they_are_told_to_and_no_error_ends_them_before(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looked = threading.Semaphore(0)
    found = workers(clinic, threads=2)

    def full() -> int:
        looked.release()
        raise StorageFullError("no space for Anna Keller")

    monkeypatch.setattr(found, "look", full)
    with caplog.at_level(logging.WARNING):
        found.start()
        for _ in range(6):
            assert looked.acquire(timeout=10)
        assert found.end()
    assert "storage-full" in caplog.text
    assert "Keller" not in caplog.text


def test_workers_that_never_began_end_at_once(clinic: Clinic) -> None:
    assert workers(clinic).end()
