"""Folding the write-ahead log into the database file, so that no byte of what was dropped stands beside it.

Owns one bounded attempt. `secure_delete` overwrites what is dropped in the database's pages; the pages as they
were before stand in the write-ahead log until it is cut. SQLite folds it in by itself now and then and writes
over it from its start, and cuts it only when the database is closed.

It has a connection of its own: the committing one may be in the midst of a transaction.
"""

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text

from audit.log import Leaf

_WAIT_MILLISECONDS: Final = 100
"""How long one attempt may hold writers back while it waits for readers."""
_PAUSE_SECONDS: Final = 0.05
"""Between two attempts writers go on."""
_PAGES: Final = 1_000
"""After how many pages a commit folds the log in: SQLite's own choice."""
_BACKSTOP_PAGES: Final = 32_000
"""The same while somebody else folds it in: 128 MB, should that fail."""


def fold(path: Path, seconds: float) -> bool:
    """Fold the log in and cut it to nothing; say whether that was done within the time.

    A reader that looks at an older state holds it off. Nothing is raised: what was committed stands either way.
    """
    until = time.monotonic() + seconds
    while not _fold_once(path):
        if time.monotonic() >= until:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True


def fold_beside(path: Path) -> None:
    """Fold in what is in the log now, beside those who write and read; the file is not cut.

    Nothing is raised, as with `fold`: whoever commits folds it in, should that fail.
    """
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as own,
    ):
        own.execute("PRAGMA synchronous=FULL")
        own.execute("PRAGMA wal_checkpoint(PASSIVE)")


def fold_aside(connection: Connection, _leaves: Sequence[Leaf]) -> None:
    """Let commits fold nothing in by themselves for now; a `Change` for whoever folds in their stead."""
    connection.execute(text(f"PRAGMA wal_autocheckpoint={_BACKSTOP_PAGES}"))


def fold_again(connection: Connection, _leaves: Sequence[Leaf]) -> None:
    """Let commits fold the log in again; a `Change`."""
    connection.execute(text(f"PRAGMA wal_autocheckpoint={_PAGES}"))


def _fold_once(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as connection:
            connection.execute(f"PRAGMA busy_timeout={_WAIT_MILLISECONDS}")
            connection.execute("PRAGMA synchronous=FULL")
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error:  # no space left, a bad disk: the log stays as it is
        return False
    return bool(busy == 0)
