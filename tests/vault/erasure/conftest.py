"""Fixtures of the tests of erasures."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.clinic import (
    Clinic,
    make_template,
)
from tests.vault.erased_people import People


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vault of two tenants, closed."""
    return make_template(tmp_path_factory.mktemp("template") / "vault")


@pytest.fixture
def clinic(template: Path, tmp_path: Path) -> Iterator[Clinic]:
    """A vault that knows Anna alone, Anna with Bob, and Bob alone."""
    made = Clinic(template, tmp_path / "vault")
    yield made
    made.close()


@pytest.fixture
def people(clinic: Clinic) -> People:
    """What was written of Anna and Bob."""
    return People(clinic)
