"""Examining the derived index: whatever it says that the log does not is found, and nothing is mended."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from audit.event import EventType
from audit.query.examine import Examined, examine
from audit.query.index import LogIndex
from tests.simulators.paper_log import PaperLog
from tests.simulators.small_blocks import small_blocks

small = pytest.fixture(autouse=True)(small_blocks)


@pytest.fixture
def log() -> PaperLog:
    made = PaperLog()
    for nth in range(21):
        made.add(
            EventType.MEMORY_WRITE, actor=f"agent-{nth % 3}", resource=f"epi_aaaaaaaa{nth:02}", tier="private"
        )
    return made


@pytest.fixture
def path(tmp_path: Path, log: PaperLog) -> Iterator[Path]:
    """The file of an index that reaches the whole log."""
    found = tmp_path / "log-index" / "clinic.db"
    index = LogIndex(found, "clinic")
    index.catch_up(log, seconds=10)
    yield found
    index.close()


def looked(path: Path, log: PaperLog) -> Examined:
    found = examine(path, log)
    assert found is not None
    return found


def test_an_index_that_says_what_the_log_does_is_well_and_its_file_is_told(path: Path, log: PaperLog) -> None:
    found = looked(path, log)
    assert (found.problem, found.reached, found.mode) == ("", 21, 0o600)
    assert found.size_bytes >= path.stat().st_size > 0
    path.chmod(0o644)
    assert looked(path, log).mode == 0o644


def test_one_that_is_behind_is_well_also_before_an_erasure_that_it_does_not_know(
    path: Path, log: PaperLog
) -> None:
    log.erase([3])
    found = looked(path, log)
    assert (found.problem, found.reached, log.size) == ("", 21, 22)


def test_where_there_is_no_file_nothing_is_made(tmp_path: Path, log: PaperLog) -> None:
    assert examine(tmp_path / "absent.db", log) is None
    assert list(tmp_path.iterdir()) == []


FORGERIES = {
    "UPDATE entry SET time_us = time_us + 1 WHERE leaf_index = 20": "entry 20",
    "UPDATE entry SET resource = 'epi_x' WHERE leaf_index = 3": "entry 3",
    "UPDATE entry SET erased_by = 20 WHERE leaf_index = 3": "entry 3",
    "UPDATE entry SET kind_id = 99 WHERE leaf_index = 0": "entry 0",
    "UPDATE kind SET actor = 'agent-9' WHERE kind_id = 1": "entry 1 ",
    "DELETE FROM entry WHERE leaf_index = 7": "entry 8",
    "DELETE FROM entry WHERE leaf_index = 20": "reaches 21 entries, and has 20",
    "INSERT INTO entry VALUES (21, 0, 0, '', NULL)": "entry 21",
    "INSERT INTO entry VALUES (-1, 0, 0, '', NULL)": "entry -1",
    "UPDATE segment SET kinds = zeroblob(32) WHERE number = 1": "columns do not say of entries 8 to 15",
    "UPDATE segment SET last_us = 0 WHERE number = 0": "columns do not say of entries 0 to 7",
    "DELETE FROM segment WHERE number = 1": "columns do not say of entries 8 to 15",
    "INSERT INTO segment SELECT 9, first_us, last_us, times, kinds FROM segment WHERE number = 0": "has not",
    "UPDATE state SET size = 22": "reaches 22 of 21",
    "UPDATE state SET size = -1": "reaches -1 of 21",
    "UPDATE state SET size = 'x'": "another version or tenant",
    "UPDATE state SET tenant = 'bank'": "another version or tenant",
    "UPDATE state SET version = 99": "another version or tenant",
    "DELETE FROM state": "another version or tenant",
    "DROP TABLE segment": "cannot be read: SQLITE_ERROR",
    "UPDATE entry SET kind_id = 5000000000 WHERE kind_id = 1; UPDATE kind SET kind_id = 5000000000 WHERE kind_id = 1": (
        "not in its form"
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_every_forgery_is_found_and_none_is_mended(path: Path, log: PaperLog, forgery: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(forgery)
    for _ in range(2):
        assert FORGERIES[forgery] in looked(path, log).problem


def test_what_is_no_database_or_no_regular_file_is_said(path: Path, log: PaperLog, tmp_path: Path) -> None:
    (tmp_path / "noise.db").write_bytes(b"noise" * 1000)
    assert "SQLITE_NOTADB" in looked(tmp_path / "noise.db", log).problem
    (tmp_path / "link.db").symlink_to(path)
    assert looked(tmp_path / "link.db", log).problem == "it is no regular file"
