"""A vault of its own for each test of the queue, with a clock that the test sets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.clinic import Clinic, make_template
from tests.simulators.fakes import FrozenClock, fake_options


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed vault with two tenants; copied, never opened."""
    return make_template(tmp_path_factory.mktemp("template") / "vault")


@pytest.fixture
def clock() -> FrozenClock:
    """A clock that stands."""
    return FrozenClock()


@pytest.fixture
def clinic(template: Path, tmp_path: Path, clock: FrozenClock) -> Iterator[Clinic]:
    """An open vault."""
    made = Clinic(template, tmp_path / "vault", fake_options(clock=clock))
    yield made
    made.close()
