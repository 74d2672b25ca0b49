"""A set of ids in memory that does not grow with it: a log of millions of writes is replayed in little.

Owns the folding of ids to 64 bits, and a private file on the disk that goes away with the set. Threat: ids made
to collide, so that a use of a memory that was never written passes; the folding is keyed anew in each run, and
nobody can try it out.

The latest ids are held in memory. Once there are so many they go, sorted, into a table of SQLite's: a database
without a name, which it keeps in a cache of fixed size and a file that it has unlinked (in `TMPDIR`, else /tmp).
Nothing in it is anybody's: folded ids under a key that is nowhere kept.
"""

import sqlite3
from collections.abc import Iterable
from hashlib import blake2b
from os import urandom
from typing import Final
from weakref import finalize

_FRESH: Final = 1 << 12
_CACHE_KIB: Final = 1_024
_SIZE: Final = 8
_ADD: Final = "INSERT OR IGNORE INTO seen VALUES (?)"
_ASK: Final = "SELECT 1 FROM seen WHERE id = ?"


class IdSet:
    """Ids that were seen. Two different ones pass for the same in one of 2^64 cases."""

    def __init__(self) -> None:
        self._key = urandom(32)
        self._fresh: set[int] = set()
        self._table: sqlite3.Connection | None = None
        """What went to the disk; a small log never does."""

    def update(self, ids: Iterable[str]) -> None:
        """Add ids.

        Raises:
            OSError: the disk takes no more.
        """
        for name in ids:
            self._fresh.add(self._folded(name))
            if len(self._fresh) >= _FRESH:
                self._spill()

    def __contains__(self, name: str) -> bool:
        folded = self._folded(name)
        if folded in self._fresh:
            return True
        return self._table is not None and bool(self._table.execute(_ASK, (folded,)).fetchone())

    def _spill(self) -> None:
        """Move the latest ids to the disk: in order, so that a page of the table is written once for all."""
        try:
            if self._table is None:
                self._table = _table()
                finalize(self, self._table.close)
            self._table.executemany(_ADD, zip(sorted(self._fresh)))
        except sqlite3.Error as error:
            raise OSError(f"expected room for a temporary file: {type(error).__name__}") from error
        self._fresh.clear()

    def _folded(self, name: str) -> int:
        digest = blake2b(name.encode(), digest_size=_SIZE, key=self._key).digest()
        return int.from_bytes(digest, signed=True)


def _table() -> sqlite3.Connection:
    # One thread after another may read on: a verification in the service's pool.
    table = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    table.executescript(
        f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-{_CACHE_KIB};"
        "CREATE TABLE seen (id INTEGER PRIMARY KEY); BEGIN"
    )
    return table
