"""What a caller sees that is interrupted in the midst of a write, or whose vault is closed in the midst of a call."""

import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.simulators.clinic import OWNER, Clinic
from tests.simulators.fakes import FrozenClock, fake_options
from vault.errors import StorageError, VaultError

WAIT = 20.0
KNEE = "my left knee hurts when climbing stairs"


@pytest.mark.parametrize("step", ["begin", "inserted", "committed", "durable"])
def test_an_interrupted_write_of_the_main_thread_may_be_durable(
    template: Path, tmp_path: Path, step: str
) -> None:
    """Ctrl-C comes to the main thread, which only waits: what another thread has begun is ended there."""
    armed, reached = list[str](), list[str]()

    def interrupt(step: str) -> None:
        if step == "sealed" and armed:  # ours, and no checkpoint of another thread
            reached.append(armed.pop())
        elif step in reached:
            reached.clear()
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    def raise_it(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    options = fake_options(clock=FrozenClock(step=timedelta(milliseconds=10)), probe=interrupt)
    clinic = Clinic(template, tmp_path / "vault", options)
    owner = clinic.mem(OWNER)
    owner.extract("nothing of note")  # makes the key, which is a write of its own
    before, former = clinic.count("memory"), signal.signal(signal.SIGALRM, raise_it)
    try:
        armed.append(step)
        with pytest.raises(KeyboardInterrupt):
            owner.extract(KNEE)
    finally:
        signal.signal(signal.SIGALRM, former)
    clinic.audit().checkpoint()  # behind what has been begun
    assert [hit.memory.text for hit in owner.retrieve("knee").hits][:1] == [KNEE]
    assert clinic.count("memory") == before + 1
    assert clinic.audit().verify().passed
    clinic.close()


def test_calls_beside_a_close_end_well_or_say_that_the_vault_is_closed(
    template: Path, tmp_path: Path
) -> None:
    def until_closed(call: Callable[[], object]) -> VaultError | None:
        for _ in range(5_000):
            try:
                call()
            except StorageError as error:
                return error
        return None

    for nth in range(4):
        clinic = Clinic(template, tmp_path / f"vault{nth}")
        owner, auditor = clinic.mem(OWNER), clinic.audit()
        (memory_id,) = owner.extract(KNEE).memory_ids
        calls: list[Callable[[], object]] = [
            partial(owner.extract, KNEE),
            partial(owner.retrieve, "knee"),
            partial(owner.get, memory_id),
            partial(owner.update, memory_id, KNEE),
            owner.organize,
            auditor.entries,
            auditor.checkpoint,
            auditor.verify,
            partial(auditor.query_log, ""),
        ]
        with ThreadPoolExecutor(len(calls)) as pool:
            ends = [pool.submit(until_closed, call) for call in calls]
            threading.Event().wait(0.05 + 0.03 * nth)
            clinic.close()
            said = [str(end.result(WAIT)) for end in ends]
        assert set(said) == {"the vault is closed"}
