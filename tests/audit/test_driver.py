"""Statements handed to the driver: the same rows as through Core, with values by place and by name."""

from collections.abc import Iterator

import pytest
from sqlalchemy import (
    Column,
    Connection,
    Enum,
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

from audit.driver import LARGEST_BATCH, BatchInsert, DriverStatement

TABLE = Table(
    "thing",
    MetaData(),
    Column("number", Integer, primary_key=True),
    Column("name", String(8)),
    Column("kind", Enum("a", "b", native_enum=False, validate_strings=True)),
    Column("bytes", LargeBinary),
)


@pytest.fixture(params=["qmark", "named"])
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    engine = create_engine("sqlite://", paramstyle=request.param)
    with engine.connect() as opened:
        TABLE.create(opened)
        yield opened
    engine.dispose()


def row(number: int) -> dict[str, object]:
    """A row whose keys stand in another order than the table's columns."""
    return {"bytes": bytes([number % 256]), "kind": "ab"[number % 2], "number": number, "name": f"n{number}"}


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, LARGEST_BATCH, LARGEST_BATCH + 1, 2 * LARGEST_BATCH + 37])
def test_every_row_of_a_batch_is_inserted_with_each_value_in_its_column(
    connection: Connection, count: int
) -> None:
    BatchInsert(TABLE).add(connection, [row(number) for number in range(count)])
    stored = connection.execute(select(TABLE).order_by(TABLE.c.number)).mappings().all()
    assert [dict(found) for found in stored] == [row(number) for number in range(count)]


def test_a_value_that_its_column_refuses_is_refused(connection: Connection) -> None:
    with pytest.raises(LookupError):
        BatchInsert(TABLE).add(connection, [row(1) | {"kind": "c"}])
    assert connection.execute(select(TABLE)).all() == []


def test_a_change_says_how_many_rows_it_changed_and_a_select_returns_all(connection: Connection) -> None:
    BatchInsert(TABLE).add(connection, [row(number) for number in range(4)])
    rename = DriverStatement(
        update(TABLE).where(TABLE.c.kind == bindparam("which")).values(name=bindparam("new_name"))
    )
    read = DriverStatement(select(TABLE.c.number, TABLE.c.name).where(TABLE.c.kind == bindparam("which")))
    assert rename.change(connection, {"new_name": "x", "which": "a"}) == 2
    assert rename.change(connection, {"new_name": "x", "which": "c"}) == 0
    assert read.rows(connection, {"which": "a"}) == [(0, "x"), (2, "x")]
    assert read.rows(connection, {"which": "b"}) == [(1, "n1"), (3, "n3")]


def test_what_is_rolled_back_was_never_inserted(connection: Connection) -> None:
    connection.commit()
    BatchInsert(TABLE).add(connection, [row(1)])
    connection.rollback()
    assert connection.execute(select(TABLE)).all() == []
