"""Statements that go past Core: same rows, same transaction, same refusals."""

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import (
    Column,
    Connection,
    Dialect,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    create_engine,
    select,
    update,
)
from sqlalchemy.pool import StaticPool
from sqlalchemy.types import TypeDecorator

from audit.driver import (
    LARGEST_BATCH,
    LARGEST_LIST,
    SMALLEST_LIST,
    BatchInsert,
    DriverStatement,
    ListStatement,
)
from vault.storage.schema import MEMORY


class Doubled(TypeDecorator[bytes]):
    """A column type that converts, and refuses what is no bytes."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes:  # noqa: ARG002  # the hook's form
        if not isinstance(value, bytes):
            raise TypeError("expected bytes")
        return value + value


THINGS = Table(
    "thing",
    MetaData(),
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(20)),
    Column("content", Doubled),
)
BY_ID = DriverStatement(select(THINGS.c.name).where(THINGS.c.id == bindparam("wanted")))
RENAME = DriverStatement(
    update(THINGS).where(THINGS.c.id == bindparam("wanted")).values(name=bindparam("new"))
)


AMONG = ListStatement(
    lambda ids: select(THINGS.c.id).where(THINGS.c.name != bindparam("but"), THINGS.c.id.in_(ids))
)
DROP = ListStatement(
    lambda ids: THINGS.delete().where(THINGS.c.name != bindparam("but"), THINGS.c.id.in_(ids))
)


@pytest.fixture(params=["qmark", "named"])
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A database whose driver takes values by place, and one that takes them by name."""
    engine = create_engine("sqlite://", paramstyle=request.param, poolclass=StaticPool)
    with engine.connect() as opened:
        THINGS.metadata.create_all(opened)
        opened.commit()
        yield opened
    engine.dispose()


def rows(count: int, first: int = 0) -> list[dict[str, object]]:
    return [{"id": n, "name": f"n{n}", "content": bytes([n % 256])} for n in range(first, first + count)]


@pytest.mark.parametrize("count", [0, 1, 2, 63, LARGEST_BATCH, LARGEST_BATCH + 1, 3 * LARGEST_BATCH - 1])
def test_any_number_of_rows_arrives_in_order_and_converted(connection: Connection, count: int) -> None:
    BatchInsert(THINGS).add(connection, rows(count))
    found = connection.execute(select(THINGS).order_by(THINGS.c.id)).all()
    assert [tuple(row) for row in found] == [(n, f"n{n}", bytes([n % 256]) * 2) for n in range(count)]


@given(counts=st.lists(st.integers(0, 200), max_size=5))
def test_batches_of_any_sizes_lose_and_double_nothing(counts: list[int]) -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with engine.connect() as opened:
        THINGS.metadata.create_all(opened)
        insertion, first = BatchInsert(THINGS), 0
        for count in counts:
            insertion.add(opened, rows(count, first))
            first += count
        assert opened.execute(select(THINGS.c.id).order_by(THINGS.c.id)).scalars().all() == list(range(first))
    engine.dispose()


def test_a_column_that_refuses_a_value_refuses_the_whole_call(connection: Connection) -> None:
    bad = [*rows(3), {"id": 9, "name": "n9", "content": "in clear"}]
    with pytest.raises(TypeError, match="expected bytes"):
        BatchInsert(THINGS).add(connection, bad)
    connection.rollback()
    assert connection.execute(select(THINGS.c.id)).all() == []


def test_a_row_without_a_value_for_a_column_is_refused(connection: Connection) -> None:
    with pytest.raises(KeyError):
        BatchInsert(THINGS).add(connection, [{"id": 1, "name": "n1"}])


def test_a_doubled_key_is_the_drivers_own_error_and_writes_nothing(connection: Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        BatchInsert(THINGS).add(connection, [*rows(2), *rows(1)])
    connection.rollback()
    assert connection.execute(select(THINGS.c.id)).all() == []


def test_what_was_inserted_goes_with_the_callers_rollback(connection: Connection) -> None:
    BatchInsert(THINGS).add(connection, rows(5))
    assert connection.in_transaction()
    connection.rollback()
    assert connection.execute(select(THINGS.c.id)).all() == []


def test_a_statement_reads_and_changes_by_its_named_values(connection: Connection) -> None:
    BatchInsert(THINGS).add(connection, rows(3))
    assert BY_ID.rows(connection, {"wanted": 2}) == [("n2",)]
    assert BY_ID.rows(connection, {"wanted": 7}) == []
    assert RENAME.change(connection, {"wanted": 2, "new": "other"}) == 1
    assert RENAME.change(connection, {"wanted": 7, "new": "other"}) == 0
    assert BY_ID.rows(connection, {"wanted": 2}) == [("other",)]


def test_the_widest_table_stays_below_the_oldest_limit_of_bound_values() -> None:
    assert LARGEST_BATCH * len(MEMORY.columns) < 999


@pytest.mark.parametrize(
    "count", [0, 1, SMALLEST_LIST, SMALLEST_LIST + 1, LARGEST_LIST, LARGEST_LIST + 1, 2 * LARGEST_LIST + 9]
)
def test_a_list_of_any_length_is_looked_for_and_removed_and_nothing_else(
    connection: Connection, count: int
) -> None:
    BatchInsert(THINGS).add(connection, rows(2 * count + 1))
    odd = list(range(1, 2 * count, 2))
    assert sorted(AMONG.rows(connection, {"but": "n1"}, odd)) == [(n,) for n in odd if n != 1]
    assert DROP.change(connection, {"but": "n1"}, odd) == max(0, count - 1)
    left = connection.execute(select(THINGS.c.id).order_by(THINGS.c.id)).scalars().all()
    assert left == [n for n in range(2 * count + 1) if n % 2 == 0 or n == 1]


def test_a_list_names_what_is_there_and_passes_over_what_is_not(connection: Connection) -> None:
    BatchInsert(THINGS).add(connection, rows(3))
    assert AMONG.rows(connection, {"but": ""}, [7, 2, 9]) == [(2,)]
    assert DROP.change(connection, {"but": ""}, [7, 9]) == 0
    assert len(connection.execute(select(THINGS.c.id)).all()) == 3
