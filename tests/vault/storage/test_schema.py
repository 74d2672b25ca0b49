"""The schema's laws: migrations make exactly it, the tenant leads every key, content columns take nothing but `Sealed`."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, Table, insert
from sqlalchemy.exc import StatementError
from sqlmodel import SQLModel

from audit.driver import BatchInsert
from audit.log import AuditLog
from audit.store import METADATA as AUDIT_METADATA
from vault.crypto.key_store import KEYS_METADATA
from vault.crypto.ledger import LEDGER
from vault.crypto.sealed import Sealed
from vault.errors import StoreVersionError
from vault.storage.columns import SealedColumn
from vault.storage.engine import writer_engine
from vault.storage.group_commit import WriteSet
from vault.storage.migrate import HEADS, upgrade
from vault.storage.schema import CONTENT_TABLES, CREDENTIAL, EPISODE, MEMORY, TENANT, WALLED_TABLES
from vault.storage.store import Store

CANARY = "planted content 4711"
SEALED_COLUMNS = [
    (table, column.name)
    for table in CONTENT_TABLES
    for column in table.columns
    if isinstance(column.type, SealedColumn)
]


def all_tables() -> list[Table]:
    """Return every table of both databases."""
    return [
        *SQLModel.metadata.tables.values(),
        *AUDIT_METADATA.tables.values(),
        *KEYS_METADATA.tables.values(),
    ]


@pytest.mark.parametrize("database", ["rows", "keys"])
def test_the_migrations_make_exactly_the_declared_tables(tmp_path: Path, database: str) -> None:
    declared = MetaData()
    for table in all_tables():
        if (table.metadata is LEDGER.metadata) is (database == "keys"):
            table.to_metadata(declared)
    engine = writer_engine(tmp_path / "made.db")
    upgrade(engine, "rows" if database == "rows" else "keys")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, declared) == []
        assert context.get_current_revision() == HEADS["rows" if database == "rows" else "keys"]
    engine.dispose()


def test_the_migrations_make_the_logs_guards(tmp_path: Path) -> None:
    engine = writer_engine(tmp_path / "made.db")
    upgrade(engine, "rows")
    engine.dispose()
    with closing(sqlite3.connect(tmp_path / "made.db")) as connection:
        triggers = {
            row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='trigger'")
        }
        assert len(triggers) == 29
        connection.execute(
            "INSERT INTO audit_leaf VALUES ('t', 0, zeroblob(32), '{}', zeroblob(32), '{}', 'memory.write', 0, NULL)"
        )
        for change in (
            "DELETE FROM audit_leaf",
            "UPDATE audit_leaf SET header = 'x'",
            "UPDATE audit_leaf SET leaf_hash = zeroblob(32)",
            "INSERT OR REPLACE INTO audit_leaf SELECT * FROM audit_leaf",
            "INSERT INTO audit_leaf VALUES ('t', 2, zeroblob(32), '{}', NULL, NULL, 'memory.write', 0, NULL)",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="audit log"):
                connection.execute(change)


@pytest.mark.parametrize("table", all_tables(), ids=lambda table: table.name)
def test_the_tenant_leads_every_primary_key_and_every_index(table: Table) -> None:
    assert next(iter(table.primary_key.columns)).name == "tenant_id"
    for index in table.indexes:
        assert next(iter(index.columns)).name == "tenant_id"


def test_every_table_that_holds_content_stands_behind_the_tenant_wall() -> None:
    walled = {table.name for table in WALLED_TABLES}
    assert {table.name for table in SQLModel.metadata.tables.values()} - walled == {
        TENANT.name,
        CREDENTIAL.name,
    }
    for table in all_tables():
        if table.name not in walled:
            assert not any(isinstance(column.type, SealedColumn) for column in table.columns)


def test_a_column_without_a_seal_holds_ids_words_and_numbers_only() -> None:
    clear = {
        (table.name, column.name)
        for table in WALLED_TABLES
        for column in table.columns
        if not isinstance(column.type, SealedColumn)
    }
    expected = {
        "subject": "tenant_id subject_id created",
        "episode": "tenant_id episode_id owner access_tier subjects kind recorded leaf_index resealed",
        "memory": "tenant_id memory_id version is_current episode_id position owner access_tier memory_tier trust"
        " subjects recorded purpose retention retention_rule term_start leaf_index resealed detector",
        "memory_subject": "tenant_id subject_id memory_id",
        "embedding": "tenant_id memory_id version model",
        "edge": "tenant_id source_id kind target_id leaf_index",
        "tombstone": "tenant_id digest kind recorded leaf_index",
        "hold": "tenant_id hold_id scope matter reason placed_by placed review asked_by asked released_by released"
        " leaf_index",
        "hold_target": "tenant_id hold_id kind target_id leaf_index",
        "lease": "tenant_id name holder token until",
        "job": "tenant_id name paused due cursor started finished outcome counts",
        "usage": "tenant_id memory_id last_used",
        "quarantine": "tenant_id memory_id version reason since leaf_index",
        "review": "tenant_id memory_id reason since leaf_index",
        "restriction": "tenant_id subject_id kind purpose since leaf_index",
        "erasure": "tenant_id erasure_id subject_id state begun finished intent_leaf certificate",
        "care_team": "tenant_id subject_id principal_id since leaf_index",
        "consent": "tenant_id subject_id purpose since leaf_index",
        "emergency": "tenant_id emergency_id principal_id reason case_id purpose started until noticed stopped"
        " stopped_by reviewed reviewed_by verdict leaf_index",
        "run": "tenant_id run_id principal_id name version definition inputs purpose state token started finished"
        " leaf_index",
        "run_step": "tenant_id run_id step_id operator state reason took kept leaf_index",
        "task": "tenant_id task_id kind subject_id principal_id roles assurance purpose state priority rank key queued"
        " due attempts holder token until finished reason seal leaf_index",
        "run_effect": "tenant_id run_id step_id call told leaf_index",
    }
    assert clear == {(table, name) for table, names in expected.items() for name in names.split()}


def row_of(table: Table, name: str, value: object) -> dict[str, object]:
    """Return a row that is right but for one column."""
    row: dict[str, object] = {}
    for column in table.columns:
        if isinstance(column.type, SealedColumn):
            row[column.name] = Sealed(b"sealed")
        else:
            row[column.name] = 1 if column.type.python_type is int else "x"
    return row | {name: value}


@pytest.mark.parametrize(("table", "name"), SEALED_COLUMNS, ids=str)
@pytest.mark.parametrize(
    "value", [CANARY, CANARY.encode(), bytearray(CANARY.encode()), 4711], ids=lambda v: type(v).__name__
)
def test_a_content_column_refuses_what_is_not_sealed_on_every_way_in(
    store: Store, table: Table, name: str, value: object
) -> None:
    row = row_of(table, name, value)
    with store._writer.connect() as connection, pytest.raises(StatementError) as caught:
        connection.execute(insert(table), [row])
    assert isinstance(caught.value.orig, TypeError)
    assert CANARY not in str(caught.value)
    with pytest.raises(TypeError, match="expected Sealed") as refused:
        store.submit(WriteSet(rows=[(table, row)]))
    assert CANARY not in str(refused.value)
    with store._writer.connect() as connection, pytest.raises(TypeError):
        BatchInsert(table).add(connection, [row])
    with store._writer.connect() as connection:
        assert connection.execute(table.select()).all() == []


class AlmostSealed(Sealed):
    """A subclass, which could say one thing and hold another."""


def test_a_content_column_refuses_a_subclass_of_sealed(store: Store) -> None:
    with pytest.raises(TypeError, match="expected Sealed"):
        store.submit(WriteSet(rows=[(EPISODE, row_of(EPISODE, "attributes", AlmostSealed(b"x")))]))


def test_only_the_originals_may_be_absent() -> None:
    assert [(table.name, name) for table, name in SEALED_COLUMNS if table.c[name].nullable] == [
        ("memory", "originals")
    ]
    assert MEMORY.c.originals.nullable


def test_sealed_values_come_back_as_sealed_values(store: Store) -> None:
    store.submit(WriteSet(rows=[(EPISODE, row_of(EPISODE, "attributes", Sealed(b"\x00\xff")))]))
    with store._writer.connect() as connection:
        assert connection.execute(EPISODE.select()).one().attributes == Sealed(b"\x00\xff")


def test_a_durable_connection_has_the_pragmas_that_durability_needs(store: Store) -> None:
    with store._writer.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1}
    with store.log_connection("t") as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.set_authorizer(None)
        try:
            assert raw.execute("PRAGMA query_only").fetchone() == (1,)
        finally:
            connection.invalidate()


def test_an_upgrade_of_a_present_store_changes_nothing(tmp_path: Path, log: AuditLog) -> None:
    Store(tmp_path / "vault.db", log).close()
    before = (tmp_path / "vault.db").read_bytes()
    Store(tmp_path / "vault.db", log).close()
    assert (tmp_path / "vault.db").read_bytes() == before


@pytest.mark.parametrize("revision", ["rows_0002", "keys_0001", "", "x"])
def test_a_store_of_an_unknown_revision_is_refused_and_named(
    tmp_path: Path, log: AuditLog, revision: str
) -> None:
    Store(tmp_path / "vault.db", log).close()
    with closing(sqlite3.connect(tmp_path / "vault.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    with pytest.raises(StoreVersionError, match=HEADS["rows"]):
        Store(tmp_path / "vault.db", log)
