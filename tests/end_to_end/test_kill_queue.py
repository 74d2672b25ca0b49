"""kill -9 while work is put off, taken, done and ended: none of it is lost, and none of it is done half.

A child opens the vault, puts work off or does it, and is killed at a named step. Then the parent opens the vault an hour
later, works the queue, and looks.
"""

import os
import signal
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from policies.model import Purpose
from tests.simulators.children import Tell, run_child
from tests.simulators.clinic import CLINIC, OWNER, Clinic, make_template
from tests.simulators.fakes import START, FrozenClock, fake_options
from vault.memos import MemOS
from vault.model import Chat, SpeakerRole, Turn
from vault.opening import Vault
from vault.queueing.deriving import Deriving
from vault.queueing.queue import Queue
from vault.queueing.work import Worker

SAID = ("My right knee hurts on stairs.", "The weather is fine.", "Actually it's the left knee.")
COMMIT = ("begin", "logged", "inserted", "committed")


class Trap:
    """A probe that kills its process when a step is reached for the nth time since it was set."""

    def __init__(self) -> None:
        self.step, self.nth = "", 0

    def __call__(self, step: str) -> None:
        if step == self.step:
            self.nth -= 1
            if self.nth == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def open_trapped(path: Path) -> tuple[Vault, Trap]:
    trap = Trap()
    return Vault.open(path, options=fake_options(probe=trap, clock=FrozenClock(START))), trap


def derive_and_die(path: Path, step: str, _tell: Tell) -> None:
    vault, trap = open_trapped(path)
    trap.step, trap.nth = step, 1
    Deriving(vault.parts, Queue(vault.parts)).step(CLINIC)


def work_and_die(path: Path, step: str, nth: int, _tell: Tell) -> None:
    vault, trap = open_trapped(path)
    MemOS(vault, principal=OWNER, purpose=Purpose.TREATMENT).organize_later(subject="anna")
    trap.step, trap.nth = step, nth
    Worker(lambda: vault.parts).step(CLINIC)


@pytest.fixture
def ward(tmp_path: Path) -> Clinic:
    """A closed vault in which something was said that organizing links."""
    template = make_template(tmp_path / "template")
    made = Clinic(template, tmp_path / "vault", fake_options(clock=FrozenClock(START)))
    made.mem(OWNER).extract(Chat(tuple(Turn("Ana", text, SpeakerRole.USER) for text in SAID)), subject="anna")
    made.close()
    return made


def later(ward: Clinic, hours: float = 1) -> Clinic:
    return ward.reopen(fake_options(clock=FrozenClock(START + timedelta(hours=hours))))


def settle(ward: Clinic) -> None:
    """Work the queue as a server does, until nothing is left."""
    assert isinstance(ward.options.clock, FrozenClock)
    for _ in range(6):
        Worker(lambda: ward.vault.parts).drain(CLINIC, 30)
        ward.options.clock.advance(timedelta(seconds=30))


def linked(ward: Clinic) -> list[tuple[object, ...]]:
    return ward.sql("SELECT source_id, kind, target_id FROM edge ORDER BY 1, 2, 3")


@pytest.mark.parametrize("step", COMMIT)
def test_what_was_written_is_queued_wherever_the_reading_of_the_log_is_killed(
    ward: Clinic, step: str
) -> None:
    assert run_child(partial(derive_and_die, ward.path, step)).killed
    later(ward)
    try:
        queue = Queue(ward.vault.parts)
        assert ward.count("task") == (step == "committed")
        while Deriving(ward.vault.parts, queue).step(CLINIC):
            pass
        assert ward.count("task") == 1, "once"
        assert ward.audit().verify().row_findings == ()
    finally:
        ward.close()


@pytest.mark.parametrize(
    ("step", "nth"),
    # Commits of a step: what was done long ago goes, the task is taken, organizing, the task ends.
    [("task-taken", 1), ("task-done", 1), *((step, nth) for nth in (2, 3, 4) for step in COMMIT)],
)
def test_work_is_done_whole_and_not_lost_wherever_its_worker_is_killed(
    ward: Clinic, step: str, nth: int
) -> None:
    assert run_child(partial(work_and_die, ward.path, step, nth)).killed
    later(ward)
    try:
        settle(ward)
        (state,) = ward.sql("SELECT state FROM task")
        assert state == ("done",)
        edges = linked(ward)
        assert edges
        ward.mem(OWNER).organize(subject="anna")
        assert linked(ward) == edges, "nothing was left to be linked"
        assert ward.audit().verify().row_findings == ()
        assert ward.audit().verify().passed
    finally:
        ward.close()
