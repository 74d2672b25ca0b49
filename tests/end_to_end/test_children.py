"""Children of tests: forked from a process of one thread, and ended whatever they do."""

import ast
import os
import signal
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from tests.simulators import warm
from tests.simulators.children import REPOSITORY, ChildStuckError, Moment, Tell, Work, run_child

FORKING = frozenset({"fork", "forkpty", "preexec_fn", "ProcessPoolExecutor"})
"""Names of what forks the process that runs it."""
ALLOWED = frozenset({"tests/simulators/log_process.py", "tests/end_to_end/test_children.py"})
"""A process of its own with one thread, and this file, which names what it looks for."""


def tell_where(tell: Tell) -> None:
    parent = os.getppid()
    tell(parent=parent, threads=len(list(Path(f"/proc/{parent}/task").iterdir())))


def tell_much(count: int, tell: Tell) -> None:
    for nth in range(count):
        tell(nth=nth)


def fail(_tell: Tell) -> None:
    raise ValueError("no luck")


def end_otherwise(_tell: Tell) -> None:
    os._exit(3)


def wait_for_a_lock_that_nobody_gives_back(tell: Tell) -> None:
    tell(pid=os.getpid())
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def leave_a_thread_and_a_pipe_behind(tell: Tell) -> None:
    tell(pid=os.getpid())
    threading.Thread(target=time.sleep, args=(600,)).start()


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_child_comes_from_a_process_of_one_thread_which_is_not_this_one() -> None:
    first, second = (run_child(tell_where) for _ in range(2))
    assert first == second
    (told,) = first.acknowledged
    assert told["threads"] == 1
    assert told["parent"] != os.getpid()


def test_a_child_is_heard_to_its_end_or_killed_after_so_many_words() -> None:
    whole = run_child(partial(tell_much, 500))
    assert (whole.killed, [line["nth"] for line in whole.acknowledged]) == (False, list(range(500)))
    cut = run_child(partial(tell_much, 10**9), Moment(3, 0))
    assert cut.killed
    assert [line["nth"] for line in cut.acknowledged] == list(range(len(cut.acknowledged)))
    assert len(cut.acknowledged) >= 3


@pytest.mark.parametrize("kill_at", [None, Moment(5, 0)])
def test_a_child_that_hangs_is_killed_and_the_failure_has_its_stacks(kill_at: Moment | None) -> None:
    begun = time.monotonic()
    with pytest.raises(ChildStuckError, match="in wait_for_a_lock_that_nobody_gives_back") as caught:
        run_child(wait_for_a_lock_that_nobody_gives_back, kill_at, seconds=2)
    assert time.monotonic() - begun < 30
    pid = int(str(caught.value).partition("'pid': ")[2].partition("}")[0])
    assert not is_alive(pid)


def test_a_child_whose_threads_go_on_ends_with_its_work() -> None:
    child = run_child(leave_a_thread_and_a_pipe_behind)
    (told,) = child.acknowledged
    assert not child.killed
    assert not is_alive(int(str(told["pid"])))


@pytest.mark.parametrize(("work", "told"), [(fail, "ValueError: no luck"), (end_otherwise, "ended with 3")])
def test_a_child_that_fails_fails_its_test(work: Work, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        run_child(work)


def test_a_child_without_a_parent_ends_by_itself() -> None:
    child = run_child(tell_the_alarm)
    assert child.acknowledged == [{"left": True}]


def tell_the_alarm(tell: Tell) -> None:
    tell(left=0 < signal.alarm(0) <= 90)


def test_what_cannot_be_sent_to_a_child_is_an_error_at_once() -> None:
    with pytest.raises(AttributeError, match="local object"):
        run_child(lambda tell: tell(never=True))


def test_the_process_that_forks_refuses_to_start_with_a_second_thread() -> None:
    assert warm.threads() >= 1
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, args=(20,))
    thread.start()
    try:
        assert warm.threads() > 1
        with pytest.raises(RuntimeError, match="expected one thread"):
            warm.require_one_thread(0.05)
    finally:
        stop.set()
        thread.join(20)


def test_no_test_forks_its_process() -> None:
    found = {
        f"{path.relative_to(REPOSITORY)}:{line}"
        for path in sorted((REPOSITORY / "tests").rglob("*.py"))
        if str(path.relative_to(REPOSITORY)) not in ALLOWED
        for line in forks_in(path.read_text())
    }
    assert not found, "use tests.simulators.children: a fork beside threads may wait for ever"


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.fork()",
        "from os import fork",
        "import os as o; o.forkpty()",
        "Popen([], preexec_fn=print)",
        "multiprocessing.get_context('fork')",
        "from concurrent.futures import ProcessPoolExecutor",
        "import multiprocessing\nmultiprocessing.Process()",
    ],
)
def test_a_fork_is_found_however_it_is_written(source: str) -> None:
    assert forks_in(source)


def test_what_only_speaks_of_forks_is_no_fork() -> None:
    assert forks_in("def fork(stage): ...\n(fork,) = found\nfork.roots\n'the log is forked'") == []


def forks_in(source: str) -> list[int]:
    """Return the lines that fork."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.expr | ast.alias | ast.keyword) and _forks(node)
    ]


def _forks(node: ast.expr | ast.alias | ast.keyword) -> bool:
    match node:
        case ast.Attribute(attr="Process", value=ast.Name(id="multiprocessing")):
            return True
        case ast.Attribute(attr=name) | ast.alias(name=name) | ast.keyword(arg=str(name)):
            return name in FORKING
        case ast.Call(func=ast.Attribute(attr="get_context"), args=[ast.Constant(value="fork")]):
            return True
    return False
