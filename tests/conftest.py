"""Fixtures shared by all rooms' tests."""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Time limits for single examples fail at random on a machine that others use too.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared vectors and data sets beside the repository; skips where it is absent."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"shared data is not here: expected a folder {folder.name!r} beside the repository")
    return folder


@pytest.fixture(autouse=True, scope="module")
def no_vault_outlives_its_module() -> Iterator[None]:
    """Close what a module's tests left open.

    A vault's threads look into SQLite now and then. A test that forks in the midst of that gets a child in
    which SQLite's lock is held by nobody, and waits for ever.
    """
    yield
    opening = sys.modules.get("vault.opening")
    if opening is not None:
        for one in [one for one in gc.get_objects() if type(one) is opening.Vault]:
            one.close()
