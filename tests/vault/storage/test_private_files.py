"""Files of a vault: its owner's alone from the first moment, and never another file behind a link."""

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from vault.errors import StorageError
from vault.storage.directory import VaultDirectory
from vault.storage.engine import writer_engine


@pytest.fixture(params=[0o000, 0o022, 0o777], ids=["no umask", "usual umask", "narrow umask"])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_a_new_database_and_what_sqlite_puts_beside_it_are_their_owners_alone(
    tmp_path: Path, umask: int
) -> None:
    engine = writer_engine(tmp_path / "new.db")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a)")
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    engine.dispose()
    assert modes == dict.fromkeys(("new.db", "new.db-wal", "new.db-shm"), 0o600)


def test_a_database_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE kept (a)")
    engine = writer_engine(path)
    with engine.connect() as connected:
        assert connected.exec_driver_sql("SELECT name FROM sqlite_master").scalars().all() == ["kept"]
    engine.dispose()


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    directory = VaultDirectory(tmp_path / "vault")
    directory.create()
    directory.lock.symlink_to(victim)
    with pytest.raises(StorageError, match="lock"):
        directory.hold()
    assert victim.read_text() == "precious"
