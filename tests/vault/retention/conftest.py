"""Fixtures of the tests of retention: a fresh copy of a small vault whose memories end soon."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.clinic import make_template
from tests.vault.retention_vault import RetentionVault


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed vault with two tenants; copied, never opened."""
    return make_template(tmp_path_factory.mktemp("template") / "vault")


@pytest.fixture
def vault(template: Path, tmp_path: Path) -> Iterator[RetentionVault]:
    """An open vault of its own."""
    opened = RetentionVault(template, tmp_path / "vault")
    yield opened
    opened.close()
