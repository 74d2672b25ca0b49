"""A clinic of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.clinic import Clinic, make_template


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vault of two tenants, closed."""
    return make_template(tmp_path_factory.mktemp("template") / "vault")


@pytest.fixture
def clinic(template: Path, tmp_path: Path) -> Iterator[Clinic]:
    """A vault of its own."""
    made = Clinic(template, tmp_path / "vault")
    yield made
    made.close()
