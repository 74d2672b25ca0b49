"""Fixtures shared by all rooms' tests."""

import faulthandler
import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Time limits for single examples fail at random on a machine that others use too.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_configure() -> None:
    """Tell on SIGUSR1 where every thread stands, then die of it: whoever ends a run that hangs learns where."""
    stderr = os.dup(2)  # what a test writes to is captured; this is not
    faulthandler.register(signal.SIGUSR1, stderr, all_threads=True, chain=True)


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

    A vault's threads look into SQLite now and then, for as long as the process lives: beside all later tests.
    """
    yield
    opening = sys.modules.get("vault.opening")
    if opening is not None:
        for one in [one for one in gc.get_objects() if type(one) is opening.Vault]:
            one.close()
