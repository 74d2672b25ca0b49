"""Fixtures of the storage tests: an empty store with a real log."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.log import AuditLog
from tests.simulators.small_deployment import LOG_KEY, START, CountingSalts
from vault.storage.store import Store


@pytest.fixture
def log() -> AuditLog:
    """A log whose clock stands still."""
    return AuditLog(LOG_KEY, salt_source=CountingSalts(), clock=lambda: START)


@pytest.fixture
def store(tmp_path: Path, log: AuditLog) -> Iterator[Store]:
    """A store in a file of its own, migrated."""
    opened = Store(tmp_path / "vault.db", log)
    yield opened
    opened.close()
