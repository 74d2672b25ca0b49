"""Fixtures of the tests of guard and feedback: a fresh copy of a small vault for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.clinic import Clinic, make_template


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed vault with two tenants; copied, never opened."""
    return make_template(tmp_path_factory.mktemp("template") / "vault")


@pytest.fixture
def clinic(template: Path, tmp_path: Path) -> Iterator[Clinic]:
    """An open vault of its own."""
    opened = Clinic(template, tmp_path / "vault")
    yield opened
    opened.close()
