"""The few statements that every write runs, compiled once and handed to the database's driver as they are.

Owns the short cut past SQLAlchemy's execution layer: the text comes from Core, so that tables and columns
are named in one place, and the values go straight to a cursor of the caller's connection. Connection,
transaction and the translation of errors stay the caller's; an error arrives as the driver raised it.

Measured (docs/benchmarks.md): through Core a statement costs some 25 µs and a row 13 µs; here 9 µs and
9 µs. Rows that share a statement also share one release of the interpreter's lock: among 32 writing
threads each release costs the leader its turn.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from sqlalchemy import BindParameter, Connection, Dialect, Table, bindparam, insert
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

LARGEST_BATCH: Final = 32
"""Rows in one statement: no table of ours then binds more than 999 values, SQLite's limit before 3.32.

Batches are powers of two, so that the driver keeps few prepared statements.
"""

LARGEST_LIST: Final = 512
"""Values in the list of one statement."""
SMALLEST_LIST: Final = 8

_Values = Mapping[str, object]
_Bind = Callable[[object], object] | None


class DriverStatement:
    """One statement with named values: a SELECT of few rows, or a change."""

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, tuple[str, ...] | None]] = {}

    def rows(self, connection: Connection, values: _Values) -> list[tuple[Any, ...]]:
        """Return all rows of a SELECT."""
        cursor = _cursor(connection)
        try:
            self._execute(connection.dialect, cursor.execute, values)
            return cast("list[tuple[Any, ...]]", cursor.fetchall())
        finally:
            cursor.close()

    def change(self, connection: Connection, values: _Values) -> int:
        """Return how many rows were changed."""
        cursor = _cursor(connection)
        try:
            self._execute(connection.dialect, cursor.execute, values)
            return int(cursor.rowcount)
        finally:
            cursor.close()

    def _execute(self, dialect: Dialect, execute: Callable[..., object], values: _Values) -> None:
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = _text(self._statement, dialect)
        text, places = compiled
        execute(text, values if places is None else [values[name] for name in places])


class ListStatement:
    """One statement with named values over a list of any length, as in `column IN (…)`.

    Core writes such a list out anew each time, which costs more than looking a row up. Here a statement is kept
    for each power of two, and a shorter list is filled up with its last value: it stands for a set.

    Args:
        make: Returns the statement for so many values of the list.
    """

    def __init__(self, make: Callable[[Sequence[BindParameter[Any]]], ClauseElement]) -> None:
        self._make = make
        self._statements: dict[int, DriverStatement] = {}

    def rows(self, connection: Connection, values: _Values, each: Sequence[object]) -> list[tuple[Any, ...]]:
        """Return all rows of a SELECT, over a list without duplicates; none where it is empty."""
        found: list[tuple[Any, ...]] = []
        for statement, bound in self._parts(values, each):
            found += statement.rows(connection, bound)
        return found

    def change(self, connection: Connection, values: _Values, each: Sequence[object]) -> int:
        """Return how many rows were changed."""
        return sum(statement.change(connection, bound) for statement, bound in self._parts(values, each))

    def _parts(self, values: _Values, each: Sequence[object]) -> Iterator[tuple[DriverStatement, _Values]]:
        for start in range(0, len(each), LARGEST_LIST):
            part = each[start : start + LARGEST_LIST]
            size = max(SMALLEST_LIST, 1 << (len(part) - 1).bit_length())
            names = [f"each_{place}" for place in range(size)]
            statement = self._statements.get(size)
            if statement is None:
                statement = DriverStatement(self._make([bindparam(name) for name in names]))
                self._statements[size] = statement
            filled = [*part, *[part[-1]] * (size - len(part))]
            yield statement, {**values, **dict(zip(names, filled, strict=True))}


class BatchInsert:
    """Inserts rows of one table, many in one statement.

    A column type's own conversion still runs for each value: one that refuses a value refuses it here.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._forms: dict[str, _Form] = {}

    def add(self, connection: Connection, rows: Sequence[_Values]) -> None:
        """Insert rows, in order; each has a value for every column."""
        form = self._forms.get(connection.dialect.name)
        if form is None:
            form = self._forms[connection.dialect.name] = _Form(self._table, connection.dialect)
        cursor = _cursor(connection)
        try:
            form.insert(cursor.execute, rows)
        finally:
            cursor.close()


class _Form:
    """An INSERT of one table in one database's words."""

    def __init__(self, table: Table, dialect: Dialect) -> None:
        text, places = _text(insert(table), dialect)
        # SQLite's driver takes bytes as they are; a dialect without a driver wraps none in a memoryview.
        binds = type(dialect)() if dialect.name == "sqlite" else dialect
        self._columns: list[tuple[str, _Bind]] = [
            (name, table.c[name].type.dialect_impl(binds).bind_processor(binds))
            for name in places or table.c.keys()
        ]
        self._by_name = places is None
        self._head, _, self._row = text.partition(" VALUES ")
        self._texts: dict[int, str] = {1: text}

    def insert(self, execute: Callable[..., object], rows: Sequence[_Values]) -> None:
        if self._by_name:
            for row in rows:
                named = zip((name for name, _ in self._columns), self._bound([row]), strict=True)
                execute(self._texts[1], dict(named))
            return
        for batch in _batches(rows):
            execute(self._text(len(batch)), self._bound(batch))

    def _bound(self, rows: Sequence[_Values]) -> list[object]:
        return [
            row[name] if bind is None else bind(row[name]) for row in rows for name, bind in self._columns
        ]

    def _text(self, count: int) -> str:
        text = self._texts.get(count)
        if text is None:
            text = self._texts[count] = f"{self._head} VALUES {', '.join([self._row] * count)}"
        return text


def _cursor(connection: Connection) -> DBAPICursor:
    """Return a cursor inside the connection's transaction; like Core, begin one where there is none."""
    if not connection.in_transaction():
        connection.begin()
    return connection.connection.cursor()


def _text(statement: ClauseElement, dialect: Dialect) -> tuple[str, tuple[str, ...] | None]:
    """Return a statement's text, and the names of its values in order where the driver takes them by place."""
    compiled = statement.compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)  # noqa: S101  # narrows: statements of rows compile to this
    return str(compiled), tuple(compiled.positiontup) if compiled.positiontup is not None else None


def _batches(rows: Sequence[_Values]) -> Iterator[Sequence[_Values]]:
    start = 0
    while start < len(rows):
        size = min(LARGEST_BATCH, 1 << (len(rows) - start).bit_length() - 1)
        yield rows[start : start + size]
        start += size
