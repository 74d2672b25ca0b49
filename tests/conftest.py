"""Fixtures shared by all rooms' tests."""

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
