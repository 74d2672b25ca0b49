"""The ledger beside the keys: rows are added once, in any order, and neither changed nor dropped."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from vault.crypto import ledger as ledger_module
from vault.crypto.key_store import SqlKeyStore
from vault.crypto.ledger import Ledger, LedgerRow
from vault.storage.engine import writer_engine
from vault.storage.migrate import upgrade

ROW = LedgerRow("memory", b"d" * 32, "", 7)


@pytest.fixture
def keys_engine(tmp_path: Path) -> Iterator[Engine]:
    engine = writer_engine(tmp_path / "keys.db")
    upgrade(engine, "keys")
    yield engine
    engine.dispose()


@pytest.fixture
def ledger(store: SqlKeyStore) -> Ledger:
    return Ledger(store)


def test_what_is_added_is_there_after_a_restart(ledger: Ledger, keys_engine: Engine, tmp_path: Path) -> None:
    rows = [ROW, ROW._replace(kind="hold", body='{"scope":"tenant"}')]
    ledger.add("clinic", rows)
    keys_engine.dispose()
    engine = writer_engine(tmp_path / "keys.db")
    assert list(Ledger(SqlKeyStore(engine)).rows("clinic")) == sorted(rows)
    engine.dispose()


def test_a_row_that_is_there_stays_as_it_is(ledger: Ledger) -> None:
    ledger.add("clinic", [ROW])
    ledger.add("clinic", [ROW._replace(leaf_index=9, body="other"), ROW._replace(digest=b"e" * 32)])
    assert list(ledger.rows("clinic")) == [ROW, ROW._replace(digest=b"e" * 32)]


def test_each_tenant_has_a_ledger_of_its_own_and_kinds_are_told_apart(ledger: Ledger) -> None:
    hold = ROW._replace(kind="hold")
    ledger.add("clinic", [ROW, hold])
    ledger.add("bank", [ROW])
    ledger.add("bank", [])
    assert list(ledger.rows("clinic", "hold")) == [hold]
    assert list(ledger.rows("bank")) == [ROW]
    assert list(ledger.rows("nobody")) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(
    digests=st.lists(st.binary(min_size=32, max_size=32), unique=True, max_size=20), page=st.integers(1, 5)
)
def test_all_rows_come_back_however_they_were_added(ledger: Ledger, digests: list[bytes], page: int) -> None:
    tenant = f"t{hash(tuple(digests)) & 0xFFFFFF:x}"
    rows = [ROW._replace(digest=digest, leaf_index=index) for index, digest in enumerate(digests)]
    for _ in range(2):
        for row in rows:
            ledger.add(tenant, [row])
    ledger.add(tenant, rows)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ledger_module, "_PAGE", page)
        assert list(ledger.rows(tenant)) == sorted(rows, key=lambda row: row.digest)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM ledger",
        "UPDATE ledger SET body = 'other'",
        "INSERT OR REPLACE INTO ledger SELECT tenant_id, kind, digest, 'other', 1 FROM ledger",
    ],
)
def test_the_database_itself_refuses_to_change_or_drop_a_row(
    ledger: Ledger, tmp_path: Path, statement: str
) -> None:
    ledger.add("clinic", [ROW])
    with (
        closing(sqlite3.connect(tmp_path / "keys.db")) as raw,
        pytest.raises(sqlite3.IntegrityError, match="vault: rows of the ledger"),
    ):
        raw.execute(statement)
    assert list(ledger.rows("clinic")) == [ROW]
