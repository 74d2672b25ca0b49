"""kill -9 in the midst of expiry, at each step: what was ended is gone with its entry, the rest is due and ends next."""

import os
import shutil
import signal
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from policies.model import Purpose
from policies.retention_model import EndAction
from tests.simulators.children import Moment, Tell, run_child
from tests.simulators.clinic import AUDITOR, CLINIC
from tests.simulators.fakes import START, FrozenClock
from tests.vault.retention_vault import RetentionVault, retention_options
from vault.expiry import Expiry, Pace
from vault.memos import MemOS
from vault.opening import Vault

MEMORIES = 240
PLACES = ("expiring", "begin", "logged", "inserted", "committed", "expired")
LATER = START + timedelta(days=91)


class Trap:
    """Kills its process at a step of the so manieth batch."""

    def __init__(self, step: str, batches: int) -> None:
        self._step = step
        self._left = batches
        self._expiring = False

    def __call__(self, step: str) -> None:
        if step == "expiring":
            self._expiring = True
        if self._expiring and step == self._step:
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self._left -= 1


@pytest.fixture(scope="session")
def due(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed vault in which hundreds of memories are over, the archived and the redacted ones among them."""
    made = RetentionVault(template, tmp_path_factory.mktemp("due") / "vault")
    for number in range(MEMORIES // 20):
        made.write(*(f"number {number} {turn} of Anna Keller" for turn in range(20)), subject=f"p{number}")
    made.write("paid", "paid again", purpose=Purpose.PAYMENT)
    made.write("Anna Keller called", purpose=Purpose.RESEARCH)
    made.vault.wait(10)
    made.believe(LATER)
    made.close()
    return made.path


@pytest.fixture
def path(due: Path, tmp_path: Path) -> Path:
    return shutil.copytree(due, tmp_path / "vault")


def _expire(path: Path, step: str, batches: int, tell: Tell) -> None:
    trap = Trap(step, batches)
    with Vault.open(path, options=retention_options(clock=FrozenClock(LATER), probe=trap)) as vault:
        tell(begun=True)
        Expiry(vault.parts, Pace(1e-9)).run(CLINIC)  # as small batches as there are
    tell(ended=True)


def _finish(path: Path) -> dict[str, int]:
    """Let the next run end the rest, and see that rows, index and log agree before and after."""
    with Vault.open(path, options=retention_options(clock=FrozenClock(LATER))) as vault:
        audit = MemOS(vault, principal=AUDITOR, purpose=Purpose.AUDIT)
        before = audit.verify()
        assert before.passed
        assert not before.row_findings
        done = Expiry(vault.parts).run(CLINIC)
        after = audit.verify()
        assert after.passed
        assert not after.row_findings
        assert vault.parts.indexes.size(CLINIC) == 3
        return {action.value: count for action, count in done.counts.items()}


@pytest.mark.parametrize("batches", [0, 1, 2])
@pytest.mark.parametrize("step", PLACES)
def test_a_run_that_is_killed_is_taken_up(path: Path, step: str, batches: int) -> None:
    child = run_child(partial(_expire, path, step, batches))
    assert child.killed
    done = _finish(path)
    assert done["archive"] == 2
    assert done["redact"] == 1
    assert done["expire"] <= MEMORIES
    with Vault.open(path, options=retention_options(clock=FrozenClock(LATER))) as vault:
        assert not any(Expiry(vault.parts).run(CLINIC).counts.values())


@pytest.mark.parametrize("milliseconds", [1, 20, 60])
def test_a_run_that_is_killed_anywhere_is_taken_up(path: Path, milliseconds: int) -> None:
    child = run_child(partial(_expire, path, "never", 0), kill_at=Moment(1, milliseconds / 1000))
    done = _finish(path)
    assert done[EndAction.EXPIRE.value] <= MEMORIES
    assert child.acknowledged[0] == {"begun": True}
