"""Connections to `vault.db`: durable for writing, walled by tenant for reading.

Two engines over one SQLite file. The writer has one connection, WAL and `synchronous=FULL`: a commit
is on the disk when it returns. Readers are `query_only` and see content tables only through temporary
views that repeat the tenant in the database, with an authorizer that refuses the tables themselves and
every statement but a query: the fourth wall between tenants, which holds also where a query forgets its
`WHERE`. (On PostgreSQL row-level security takes this place.) What is read within one `reading` is one
state of the database.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool, StaticPool

from audit.store import COSIGNATURE, LEAF, SUBTREE, TILE
from vault.storage.damaged_text import read_damaged_text
from vault.storage.faults import translated
from vault.storage.schema import WALLED_TABLES

READERS: Final = 8
_PRIVATE_FILE: Final = 0o600
BUSY_MILLISECONDS: Final = 5_000
# Not `audit_head` and `audit_checkpoint`: what signs looks at those of all logs at one time, and they hold
# sizes and roots.
_WALLED: Final = frozenset(table.name for table in (*WALLED_TABLES, LEAF, TILE, SUBTREE, COSIGNATURE))
# Threat: a statement that takes the wall down before it looks over it, by ATTACH, PRAGMA or a view of
# its own. What is not named here is refused.
_QUERYING: Final = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
        sqlite3.SQLITE_TRANSACTION,
    }
)
_TENANT: Final = "tenant"


def writer_engine(path: Path) -> Engine:
    """Make the engine with the single durable connection; a new file is its owner's alone."""
    _make_private(path)
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=StaticPool,
        hide_parameters=True,
        connect_args={"check_same_thread": False, "isolation_level": None, "cached_statements": 256},
    )

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        read_damaged_text(connection)
        for pragma in (
            f"busy_timeout={BUSY_MILLISECONDS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "secure_delete=ON",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "cache_size=-32768",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        _execute(connection, "BEGIN IMMEDIATE")

    return engine


def _execute(connection: Connection, statement: str) -> None:
    """Run a statement without values past SQLAlchemy's execution layer, which every look would pay for."""
    cursor = connection.connection.cursor()
    cursor.execute(statement)
    cursor.close()


def _make_private(path: Path) -> None:
    """Make a file that is not there yet, before SQLite would, whose `-wal` and `-shm` get the same mode."""
    with suppress(OSError):  # where it cannot be made, SQLite says so when it opens it
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE_FILE)
        try:
            os.fchmod(descriptor, _PRIVATE_FILE)  # whatever the umask
        finally:
            os.close(descriptor)


def reader_engine(path: Path) -> Engine:
    """Make the engine for reading; use it through `reading` only."""
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=READERS,
        max_overflow=READERS,
        hide_parameters=True,
        connect_args={"check_same_thread": False, "isolation_level": None, "cached_statements": 256},
    )

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, record: Any) -> None:  # noqa: ANN401  # SQLAlchemy's record
        read_damaged_text(connection)
        tenant = record.info[_TENANT] = [""]
        connection.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
        connection.execute("PRAGMA temp_store=MEMORY")
        # Deterministic within one statement: a reader's tenant is set before the statement starts.
        connection.create_function("current_tenant", 0, lambda: tenant[0], deterministic=True)
        for name in sorted(_WALLED):
            connection.execute(
                f"CREATE TEMP VIEW {name} AS SELECT * FROM main.{name} WHERE tenant_id = current_tenant()"  # noqa: S608  # names of our own tables
            )
        connection.execute("PRAGMA query_only=ON")
        connection.set_authorizer(_authorize)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        _execute(connection, "BEGIN")

    return engine


def _authorize(
    action: int, table: str | None, _column: str | None, base: str | None, view: str | None
) -> int:
    """Refuse all but queries, and the walled tables to a query that does not come through their view."""
    if action not in _QUERYING:
        return sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_READ and base == "main" and table in _WALLED and view != table:
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


@contextmanager
def reading(engine: Engine, tenant: str) -> Iterator[Connection]:
    """Lend a read connection that sees the rows of `tenant` alone."""
    with translated(), engine.connect() as connection:
        look_at(connection, tenant)
        try:
            yield connection
        finally:
            look_at(connection, "")


def look_at(connection: Connection, tenant: str) -> None:
    """Turn a lent connection to another tenant; the state of the database that it sees stays the same."""
    connection.connection.info[_TENANT][0] = tenant
