"""A table on the disk for what a verification has to remember of each entry, and that goes away with it.

Owns a private database of SQLite's: one without a name, which it keeps in a cache of fixed size and a file that
it has unlinked (in `TMPDIR`, else /tmp). What is put there is the verifier's own: indexes and folded ids.
"""

import errno
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from weakref import finalize

_CACHE_KIB: Final = 1_024
_Row = tuple[int, ...]


class Scratch:
    """A table named `scratch`, made when something is put into it first: small evidence writes no file.

    Args:
        columns: Their definitions in SQL.
    """

    def __init__(self, columns: str) -> None:
        self._columns = columns
        self._table: sqlite3.Connection | None = None

    @property
    def begun(self) -> bool:
        """Whether anything was ever put into it."""
        return self._table is not None

    def put(self, statement: str, rows: Iterable[Sequence[int | None]]) -> None:
        """Run a statement that changes the table, once for each row of values.

        Raises:
            OSError: the disk takes no more.
        """
        with _told():
            if self._table is None:
                self._table = _made(self._columns)
                finalize(self, self._table.close)
            self._table.executemany(statement, rows)

    def has(self, statement: str, value: int) -> bool:
        """Say whether a statement finds anything.

        Raises:
            OSError: the disk cannot be read.
        """
        if self._table is None:
            return False
        try:  # not `_told`, which would take as long as the question
            return self._table.execute(statement, (value,)).fetchone() is not None
        except sqlite3.Error as error:
            raise _failed(error) from error

    def rows(self, statement: str) -> Iterator[_Row]:
        """Yield what a statement finds; nothing where nothing was put.

        Raises:
            OSError: the disk cannot be read.
        """
        if self._table is not None:
            with _told():
                yield from self._table.execute(statement)


def _made(columns: str) -> sqlite3.Connection:
    # One thread after another may read on: a verification in the service's pool.
    table = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    table.executescript(
        f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-{_CACHE_KIB};"
        f"CREATE TABLE scratch ({columns}); BEGIN"
    )
    return table


@contextmanager
def _told() -> Iterator[None]:
    """Tell of a full disk as one: neither a finding nor the want of one may come of it."""
    try:
        yield
    except sqlite3.Error as error:
        raise _failed(error) from error


def _failed(error: sqlite3.Error) -> OSError:
    return OSError(errno.ENOSPC, f"no room for a temporary file ({type(error).__name__})")
