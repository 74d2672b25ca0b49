"""Several processes on one log file, verified while they write; and a process that dies at every statement."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from audit.reader import verify_stored
from tests.simulators.log_process import TENANT, create, engine_of, make_log
from tests.simulators.small_deployment import LOG_KEY, POLICY, draft

REPOSITORY = Path(__file__).resolve().parents[2]
BATCHES = 40
SIZES = sum(1 + nth % 60 for nth in range(BATCHES))


def start(*arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.simulators.log_process", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )


def told(process: "subprocess.Popen[bytes]") -> dict[str, Any]:
    try:
        out, errors = process.communicate(timeout=240)
    finally:
        process.kill()
    assert process.returncode == 0, errors.decode()
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.mark.parametrize("manners", ["polite", "pushing"])
def test_several_processes_append_to_one_log_while_it_is_verified(tmp_path: Path, manners: str) -> None:
    path = tmp_path / "log.db"
    create(path)
    writers = [start("write", str(path), f"{manners}-{name}", str(BATCHES)) for name in ("a", "b", "c")]
    engine, sizes = engine_of(path, immediate=False), [0]
    try:
        until = time.monotonic() + 240
        while any(writer.poll() is None for writer in writers) and time.monotonic() < until:
            with engine.connect() as connection:
                report = verify_stored(connection, LOG_KEY.verifier, unsigned_allowed=True)
            report.require()
            [size] = [log.size for log in report.logs if log.tenant == TENANT]
            assert size >= sizes[-1]
            sizes.append(size)
            time.sleep(0.05)
        done = [told(writer) for writer in writers]
        with engine.connect() as connection:
            log = make_log()
            assert log.head(connection, TENANT).size == 1 + len(writers) * SIZES
            log.check(connection, TENANT)
            verify_stored(connection, LOG_KEY.verifier).require()
            entries = [entry.header for entry in log.entries(connection, TENANT)]
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate(timeout=30)
        engine.dispose()
    for name in ("a", "b", "c"):
        assert sum(f'"principal":"{manners}-{name}"' in header for header in entries) == SIZES
    assert len({size for size in sizes if size}) > 1, "verified while it grew"
    if manners == "polite":
        assert [one["collided"] for one in done] == [0, 0, 0], "who begins at once waits its turn"


@pytest.mark.slow
def test_a_process_that_dies_at_any_statement_leaves_a_log_that_verifies(tmp_path: Path) -> None:
    found = told(start("die", str(tmp_path / "log.db")))
    assert found["deaths"] > 40
    assert found["sizes"] == [1, 251, 261, 561, 562], "all of a transaction, or nothing"


@pytest.mark.slow
def test_a_writer_that_is_killed_at_any_moment_leaves_a_log_that_verifies(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    create(path)
    sizes = [1]
    for nth in range(6):
        writer = start("write", str(path), "polite-x", "100000")
        try:
            deadline = time.monotonic() + 30
            while _size(path) <= sizes[-1] and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(0.013 * nth)
        finally:
            writer.kill()
            writer.communicate(timeout=30)
        engine = engine_of(path)
        with engine.connect() as connection:
            make_log().check(connection, TENANT)
            verify_stored(connection, LOG_KEY.verifier, unsigned_allowed=True).require()
        engine.dispose()
        sizes.append(_size(path))
        assert sizes[-1] > sizes[-2]


def _size(path: Path) -> int:
    engine = engine_of(path, immediate=False)
    with engine.connect() as connection:
        size = make_log().head(connection, TENANT).size
    engine.dispose()
    return size


def test_a_full_disk_refuses_entries_and_leaves_a_log_that_goes_on_when_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    create(path)
    engine, log, refused = engine_of(path), make_log(), 0
    with engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        for more in range(120):
            size = log.head(connection, TENANT).size
            connection.commit()
            # A little more room each time, so that it runs out at another place of the transaction.
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 1 + more}")
            try:
                log.append(connection, [draft()] * 250)
                connection.commit()
            except (sqlite3.OperationalError, OperationalError):
                refused += 1
                connection.rollback()
                assert log.head(connection, TENANT).size == size
            log.check(connection, TENANT)
            connection.rollback()
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
        assert refused > 20
        log.append(connection, [draft()] * 300)
        log.checkpoint_all(connection, policy=POLICY)
        verify_stored(connection, LOG_KEY.verifier).require()
        connection.commit()
    engine.dispose()
