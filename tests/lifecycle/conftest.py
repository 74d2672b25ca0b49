"""Fixtures of the timetable's tests: a vault whose clock stands still, and jobs that only tell what they were asked."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Connection

from audit.log import Leaf
from lifecycle.job import Counts, JobRun
from tests.simulators.clinic import CLINIC
from tests.simulators.fakes import FrozenClock, fake_options
from vault.opening import LocalRootWarning, Vault
from vault.storage.job_rows import set_job


@dataclass
class ScriptedJob:
    """Does what it is told, and remembers its runs."""

    work: Callable[[JobRun], Counts] = lambda _run: Counts({"rows": 1})
    name: str = "probe"
    runs: list[JobRun] = field(default_factory=list)

    def run(self, run: JobRun) -> Counts:
        self.runs.append(run)
        return self.work(run)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def vault(tmp_path: Path, clock: FrozenClock) -> Iterator[Vault]:
    """An open, empty vault."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LocalRootWarning)
        opened = Vault.create(tmp_path / "vault", tenant=CLINIC, options=fake_options(clock=clock))
    with opened:
        yield opened


@pytest.fixture
def set_paused(vault: Vault) -> Callable[[bool], None]:
    """Pauses or resumes the job of the tests, behind its control."""

    def set_to(paused: bool) -> None:  # noqa: FBT001  # the one thing it says
        def change(connection: Connection, _leaves: Sequence[Leaf]) -> None:
            set_job(connection, CLINIC, "probe", paused=int(paused))

        vault.parts.store.change(change)

    return set_to
