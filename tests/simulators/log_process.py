"""Processes that append to one log file: several at once, or one that dies at a chosen statement.

python -m tests.simulators.log_process write FILE NAME BATCHES    append until done, then say how often
python -m tests.simulators.log_process die FILE                   die at each statement in turn, in forks
"""

import json
import os
import shutil
import signal
import sqlite3
import sys
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from audit.errors import LogConflictError
from audit.event import EventType
from audit.evidence import SYSTEM_LOG
from audit.log import AuditLog
from audit.reader import verify_stored
from audit.store import METADATA
from tests.simulators.small_deployment import LOG_KEY, POLICY, START, draft

TENANT = "clinic-a"
BUSY_MILLISECONDS = 10_000


def engine_of(path: Path, *, immediate: bool = True) -> Engine:
    """Return an engine with the vault's settings; without `immediate`, writers collide and retry."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"isolation_level": None})

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in (f"busy_timeout={BUSY_MILLISECONDS}", "journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def make_log() -> AuditLog:
    """Return a log with real salts."""
    return AuditLog(LOG_KEY, salt_source=os.urandom, clock=lambda: START)


def create(path: Path) -> None:
    """Make the file, with a policy in both logs."""
    engine = engine_of(path)
    METADATA.create_all(engine)
    with engine.begin() as connection:
        loads = [draft(EventType.POLICY_LOAD, tenant=tenant) for tenant in (SYSTEM_LOG, TENANT)]
        make_log().append(connection, loads)
    engine.dispose()


def write(path: Path, name: str, batches: int) -> None:
    """Append batches of different sizes, now and then a checkpoint; retry what collides."""
    engine, log, collided = engine_of(path, immediate=name.startswith("polite")), make_log(), 0
    for nth in range(batches):
        while True:
            try:
                with engine.begin() as connection:
                    log.append(connection, [draft(principal=name, payload={"nth": nth})] * (1 + nth % 60))
                    if nth % 7 == 0:
                        log.checkpoint_all(connection, policy=POLICY)
                break
            except (LogConflictError, DBAPIError, sqlite3.OperationalError):  # the driver's own, too
                collided += 1
    engine.dispose()
    sys.stdout.write(json.dumps({"collided": collided}))


def _live(path: Path, fatal: int) -> int:
    """Do a little of everything, dying before the statement `fatal`; return how many there were."""
    engine, log, count, before = engine_of(path), make_log(), 0, ""
    acknowledged = os.open(path.with_suffix(".size"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def trace(statement: str) -> None:
        nonlocal count, before
        count += statement != before  # a statement is told again for each guard that it fires
        before = statement
        if count == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    with engine.connect() as connection:
        connection.connection.driver_connection.set_trace_callback(trace)  # type: ignore[union-attr]  # sqlite3's
        for size in (250, 10, 300):
            log.append(connection, [draft()] * size)
            connection.commit()
            os.pwrite(acknowledged, str(log.head(connection, TENANT).size).encode(), 0)
            connection.commit()
        log.checkpoint_all(connection, policy=POLICY)
        log.append(connection, [draft()])
        connection.commit()
    engine.dispose()
    return count


def _check(path: Path) -> int:
    """Hold what is left against itself and what was acknowledged; go on with it; return its size."""
    engine, log = engine_of(path), make_log()
    text = path.with_suffix(".size").read_text() or "1"
    with engine.connect() as connection:
        size = log.head(connection, TENANT).size
        assert size >= int(text), f"acknowledged {text}, got {size}"
        for tenant in (TENANT, SYSTEM_LOG):
            log.check(connection, tenant)
        verify_stored(connection, LOG_KEY.verifier, unsigned_allowed=True).require()
        log.append(connection, [draft()] * 300)
        log.checkpoint_all(connection, policy=POLICY)
        log.check(connection, TENANT)
        connection.commit()
    engine.dispose()
    return size


def die(path: Path) -> None:
    """Fork a process for each statement, let it die there, and check what it leaves."""
    create(path)
    deaths, sizes, fatal = 0, set(), 0
    while True:
        fatal += 1
        copy = Path(shutil.copy(path, path.with_name(f"{fatal}.db")))
        child = os.fork()
        if child == 0:
            _live(copy, fatal)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sizes.add(_check(copy))
        for left in path.parent.glob(f"{fatal}.*"):
            left.unlink()
        if not os.WIFSIGNALED(status):
            assert os.waitstatus_to_exitcode(status) == 0
            break
        deaths += 1
    sys.stdout.write(json.dumps({"deaths": deaths, "sizes": sorted(sizes)}))


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    else:
        die(Path(sys.argv[2]))
