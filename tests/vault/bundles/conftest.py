"""A clinic that decides by the bundle in a folder, for each test."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulators.clinic import Clinic, make_template
from tests.simulators.fakes import fake_options
from tests.vault.bundles.folders import make
from vault.bundles.source import BundleSource


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vault of two tenants, closed."""
    return make_template(tmp_path_factory.mktemp("template") / "vault")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a bundle, `ours` in version 1."""
    return make(tmp_path / "policies")


@pytest.fixture
def clinic(template: Path, folder: Path, tmp_path: Path) -> Iterator[Clinic]:
    """A vault of its own that decides by the folder."""
    options = replace(fake_options(), policies=BundleSource(folder))
    made = Clinic(template, tmp_path / "vault", options)
    yield made
    made.close()
