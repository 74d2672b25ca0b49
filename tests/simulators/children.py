"""Children that die at a chosen moment: each forked from a clean process of one thread, each bounded.

Owns starting them, hearing what they tell, and an end for every one of them. A test never forks by itself:
its process has threads (of open vaults, of models, of the test runner), and a child forked beside them may
find a lock of SQLite or of a library held by a thread that it does not have, and wait for ever. So a server
is started once, as a fresh interpreter (multiprocessing's "forkserver"): it has imported all that is slow,
and has no second thread when it forks.

A child that outlives its time is asked for its stacks, killed, and fails the test with them. Leaves to whom:
what a child does is the test's. It is a function of a module with plain arguments, since it is pickled:

    run_child(partial(write_and_die, path, "committed"))
"""

import faulthandler
import json
import math
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Final, NoReturn

from tests.simulators.warm import ASKED

SECONDS: Final = 60.0
"""Longest life of a child, its server's start included."""
REPOSITORY: Final = Path(__file__).resolve().parents[2]
PRELOADED: Final = ["pytest", "tests.simulators.warm"]
_STACKS_SECONDS: Final = 5.0
_DEATH_SECONDS: Final = 10.0
_ORPHAN_SECONDS: Final = 30.0
"""How long a child whose parent is gone outlives its time."""
_SERVER: Final = {"PYTHONPATH": str(REPOSITORY), "OPENBLAS_NUM_THREADS": "1", ASKED: "1"}
"""NumPy's algebra starts threads when it is imported: not in a process that forks."""

Tell = Callable[..., None]
"""Tells the parent something: keywords with values that JSON knows. Ten lines of text, not a page: a message
that fits into a pipe at once is never torn by a kill."""
Work = Callable[[Tell], object]


class ChildStuckError(AssertionError):
    """A child did not end in its time; the message has the stacks of its threads."""


@dataclass(frozen=True)
class Moment:
    """When the parent kills: so many seconds after so many things that were told."""

    lines: int
    seconds: float


@dataclass
class Child:
    """What a child had acknowledged, and whether it was killed or came to its end."""

    acknowledged: list[dict[str, object]] = field(default_factory=list)
    killed: bool = False


def run_child(work: Work, kill_at: Moment | None = None, seconds: float = SECONDS) -> Child:
    """Let a child work, wait for its end and return what it told.

    Raises:
        ChildStuckError: it did not end in time; it was killed.
        AssertionError: the work raised, or the child ended otherwise than by itself or by SIGKILL.
    """
    with _running(work, seconds) as running:
        if kill_at is not None:
            running.hear(kill_at.lines)
            time.sleep(kill_at.seconds)
            running.process.kill()
        running.hear()
        exit_code = running.end()
    errors = [line for line in running.told if "error" in line]
    assert not errors, errors
    assert exit_code in {0, -signal.SIGKILL}, f"a child ended with {exit_code}; it told {running.told}"
    return Child(running.told, exit_code == -signal.SIGKILL)


@dataclass
class _Running:
    """A child that runs, seen from its parent; no wait here is without a bound."""

    process: ForkServerProcess
    reading: Connection
    stacks: Path
    until: float
    told: list[dict[str, object]] = field(default_factory=list)

    def hear(self, count: float = math.inf) -> None:
        """Hear so many things, or all until the child ends."""
        while len(self.told) < count:
            if not self.reading.poll(_left(self.until)):
                self._give_up()
            try:
                self.told.append(json.loads(self.reading.recv_bytes()))
            except EOFError:
                return

    def end(self) -> int:
        """Wait for the end and return the exit code: minus the signal, if it was one."""
        self.process.join(_left(self.until))
        if self.process.exitcode is None:
            self._give_up()
        return self.process.exitcode

    def _give_up(self) -> NoReturn:
        """Ask for the stacks, which a thread that waits in C has, too, and fail with them."""
        if self.process.pid is not None:
            os.kill(self.process.pid, signal.SIGUSR1)
        until, stacks, before = time.monotonic() + _STACKS_SECONDS, "", "unlike"
        while (stacks != before or not stacks) and time.monotonic() < until:
            time.sleep(0.25)
            before, stacks = stacks, self.stacks.read_text()
        raise ChildStuckError(
            f"a child did not end in its time; it told {self.told} and stands at:\n{stacks or '(it cannot say)'}"
        )


@contextmanager
def _running(work: Work, seconds: float) -> Iterator[_Running]:
    """Start a child, and leave nothing of it: no process, no pipe, no file."""
    until = time.monotonic() + seconds
    with ExitStack() as stack:
        stacks = Path(stack.enter_context(tempfile.NamedTemporaryFile(prefix="stacks-of-a-child-")).name)
        reading, writing = multiprocessing.Pipe(duplex=False)
        stack.callback(reading.close)
        with writing:
            process = _start(partial(_be_child, work, writing, stacks, seconds + _ORPHAN_SECONDS), until)
        stack.callback(_forget, process)
        yield _Running(process, reading, stacks, until)


def _left(until: float) -> float:
    return max(0.0, until - time.monotonic())


def _start(run: Callable[[], NoReturn], until: float) -> ForkServerProcess:
    """Start in a thread: multiprocessing waits for its server's answer without a bound."""
    started: list[ForkServerProcess | BaseException] = []

    def start() -> None:
        try:
            process = _context().Process(target=run, daemon=True)
            process.start()
            started.append(process)
        except BaseException as error:  # noqa: BLE001  # raised below, in the test's own thread
            started.append(error)

    starter = threading.Thread(target=start, name="start-child", daemon=True)
    starter.start()
    starter.join(_left(until))
    if not started:
        raise ChildStuckError("expected the server to start a child in time, got no answer")
    if isinstance(started[0], BaseException):
        raise started[0]
    return started[0]


def _forget(process: ForkServerProcess) -> None:
    process.kill()
    process.join(_DEATH_SECONDS)
    process.close()


@cache
def _context() -> ForkServerContext:
    """Start the server, once a test process; it ends with that."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    before = {name: os.environ.get(name) for name in _SERVER}
    os.environ.update(_SERVER)
    try:
        forkserver.ensure_running()
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
    return context


def _be_child(work: Work, writing: Connection, stacks: Path, seconds: float) -> NoReturn:
    """Work, tell an error as such, and end at once: neither exit handlers nor threads hold a child up."""
    signal.alarm(math.ceil(seconds))  # by itself, where the parent is no more
    with stacks.open("w") as file:
        faulthandler.register(signal.SIGUSR1, file, all_threads=True)

        def tell(**said: object) -> None:
            writing.send_bytes(json.dumps(said).encode())

        try:
            work(tell)
        except BaseException as error:  # noqa: BLE001  # the parent is told instead
            tell(error=f"{type(error).__name__}: {error}")
        os._exit(0)
