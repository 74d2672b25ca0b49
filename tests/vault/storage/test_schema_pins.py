"""What stands in a database besides rows: nothing that the migrations did not make runs in the vault."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest

from vault.errors import TamperedError
from vault.storage.engine import writer_engine
from vault.storage.migrate import upgrade
from vault.storage.schema_pins import PINS, standing

Database = Literal["rows", "keys"]
DATABASES: tuple[Database, ...] = ("rows", "keys")


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> Database:
    chosen: Database = request.param
    return chosen


@pytest.fixture
def file(tmp_path: Path, database: Database) -> Path:
    path = tmp_path / "made.db"
    _open(path, database)
    return path


def _open(path: Path, database: Database) -> None:
    engine = writer_engine(path)
    try:
        upgrade(engine, database)
    finally:
        engine.dispose()


@pytest.fixture
def raw(file: Path) -> Iterator[sqlite3.Connection]:
    """The file itself, as whoever owns the disk has it."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        yield connection


def test_the_pins_are_those_of_what_the_migrations_make(file: Path, database: Database) -> None:
    engine = writer_engine(file)
    with engine.connect() as connection:
        assert standing(connection) == PINS[database]
    engine.dispose()


def test_a_store_whose_schema_nobody_touched_opens_again(
    file: Path, database: Database, raw: sqlite3.Connection
) -> None:
    raw.execute("VACUUM")
    _open(file, database)


@pytest.mark.parametrize(
    ("planted", "shown"),
    [
        (
            "CREATE TRIGGER evil AFTER INSERT ON {} BEGIN DELETE FROM alembic_version; END",
            "the trigger evil was added",
        ),
        ("CREATE VIEW evil AS SELECT * FROM {}", "the view evil was added"),
        ("CREATE TABLE evil (a)", "the table evil was added"),
        ("CREATE INDEX evil ON {} (tenant_id)", "the index evil was added"),
        ("CREATE UNIQUE INDEX evil ON {} (tenant_id)", "the index evil was added"),
        ("ALTER TABLE {0} ADD COLUMN evil TEXT", "the table {0} was changed"),
        ("DROP TABLE {}", "the table {} is missing"),
    ],
)
def test_an_object_that_was_added_changed_or_dropped_is_refused_and_named(
    file: Path, database: Database, raw: sqlite3.Connection, planted: str, shown: str
) -> None:
    table = "credential" if database == "rows" else "keys"  # one without an index of its own
    raw.execute(planted.format(table))
    with pytest.raises(TamperedError, match=shown.format(table)):
        _open(file, database)


def test_a_planted_object_cannot_make_its_name_a_message(
    file: Path, database: Database, raw: sqlite3.Connection
) -> None:
    raw.execute('CREATE VIEW "call 555-123-4567 \x1b[31m" AS SELECT 1')
    with pytest.raises(TamperedError, match="a view was added") as caught:
        _open(file, database)
    assert "555" not in str(caught.value)


def test_a_table_rewritten_in_the_schema_itself_is_refused(
    file: Path, database: Database, raw: sqlite3.Connection
) -> None:
    raw.execute("PRAGMA writable_schema=ON")
    raw.execute(
        "UPDATE sqlite_master SET sql = replace(sql, 'version_num VARCHAR(32) NOT NULL', 'version_num VARCHAR(32)')"
    )
    with pytest.raises(TamperedError, match="the table alembic_version was changed"):
        _open(file, database)


@pytest.mark.parametrize("guard", [name for name in PINS["rows"] if name.startswith("trigger ")])
def test_a_guard_of_the_log_that_was_dropped_is_missed(tmp_path: Path, guard: str) -> None:
    path = tmp_path / "made.db"
    _open(path, "rows")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"DROP {guard}")
    with pytest.raises(TamperedError, match=f"the {guard} is missing"):
        _open(path, "rows")


def test_a_guard_that_was_replaced_by_one_that_lets_all_pass_is_missed(tmp_path: Path) -> None:
    path = tmp_path / "made.db"
    _open(path, "rows")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER audit_leaf_keep")
        connection.execute(
            "CREATE TRIGGER audit_leaf_keep BEFORE DELETE ON audit_leaf WHEN 0 BEGIN"
            " SELECT RAISE(ABORT, 'audit log: leaves are never deleted'); END"
        )
    with pytest.raises(TamperedError, match="the trigger audit_leaf_keep was changed"):
        _open(path, "rows")
