"""Examining the derived index of a log without mending it: its file, and whether it says what the log does.

Owns the comparison of every row and every column of numbers with the log. It leaves making the file anew to
`audit.query.index`, and what a finding means to the doctor. The index is evidence of nothing; but whoever can
write it hides rows from pages and falsifies counts until it is made anew, so somebody should look.
"""

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, Final

import numpy as np

from audit.query.index import LogSource
from audit.query.rows import Kind, Row, row_of
from audit.query.schema import INDEX_VERSION, SEGMENT_ENTRIES

_BUSY_SECONDS: Final = 5.0
_STATE: Final = "SELECT version, tenant, size FROM state"
_ROWS: Final = (
    f"SELECT leaf_index, time_us, resource, erased_by, entry.kind_id, {', '.join(Kind._fields)} FROM entry"  # noqa: S608  # names of our own columns
    " LEFT JOIN kind ON kind.kind_id = entry.kind_id ORDER BY leaf_index"
)
_SEGMENT: Final = "SELECT first_us, last_us, times, kinds FROM segment WHERE number = ?"
_SEGMENTS: Final = "SELECT count(*) FROM segment"
_KIND_FIRST: Final = 5
_Found = tuple[Any, ...]
"""A row as the file has it: whatever was written there."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found of one index."""

    size_bytes: int
    """Of the file and what lies beside it."""
    mode: int
    """Permissions of the file."""
    reached: int
    """Entries that are indexed."""
    problem: str
    """Where it does not say what the log does; empty where it does."""


def examine(path: Path, log: LogSource) -> Examined | None:
    """Return what an index is, and hold all of it against the log; None where there is no file.

    Raises:
        OSError: the file cannot be looked at.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    paths = [path.with_name(path.name + ending) for ending in ("-wal", "-shm", "-journal")]
    size_bytes = status.st_size + sum(one.lstat().st_size for one in paths if one.exists())
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        return Examined(size_bytes, mode, 0, "it is no regular file")
    try:
        # query_only, and not mode=ro: that could not open a database whose log of writes has to be read.
        with closing(
            sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS, isolation_level=None
            )
        ) as connection:
            connection.execute("PRAGMA query_only=ON")
            connection.execute("BEGIN")
            reached, problem = _compare(connection, log)
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "SQLITE_ERROR")
        return Examined(size_bytes, mode, 0, f"it cannot be read: {name}")
    except (TypeError, ValueError, OverflowError):
        return Examined(size_bytes, mode, 0, "it is not in its form")
    return Examined(size_bytes, mode, reached, problem)


def _compare(connection: sqlite3.Connection, log: LogSource) -> tuple[int, str]:
    state = connection.execute(_STATE).fetchall()
    if len(state) != 1 or state[0][:2] != (INDEX_VERSION, log.tenant) or not isinstance(state[0][2], int):
        return 0, "it is of another version or tenant"
    reached: int = state[0][2]
    if not 0 <= reached <= log.size:
        return reached, f"it says that it reaches {reached} of {log.size} entries"
    rows = connection.execute(_ROWS)
    at = 0
    while block := list(islice(rows, SEGMENT_ENTRIES)):
        problem = _difference(connection, log, block, at, reached)
        if problem:
            return reached, problem
        at += len(block)
    if at != reached:
        return reached, f"it says that it reaches {reached} entries, and has {at}"
    ((columns,),) = connection.execute(_SEGMENTS)
    return (
        reached,
        "" if columns == reached // SEGMENT_ENTRIES else "it has columns of entries that it has not",
    )


def _difference(
    connection: sqlite3.Connection, log: LogSource, block: list[_Found], at: int, reached: int
) -> str:
    """Say what a block of rows says that the log does not; nothing where it is right."""
    for found, stored in zip_longest(block, log.entries(at, min(at + len(block), reached))):
        # An erasure beyond what is indexed is not taken up yet.
        later = stored is not None and stored.erased_by is not None and stored.erased_by >= reached
        if stored is None or (not later and _row(found) != row_of(stored)) or found[0] != stored.index:
            return f"it does not say of entry {found[0]} what the log does"
    if len(block) == SEGMENT_ENTRIES and not _same_columns(connection, at // SEGMENT_ENTRIES, block):
        return f"its columns do not say of entries {at} to {at + len(block) - 1} what its rows do"
    return ""


def _row(found: _Found) -> Row:
    index, time_us, resource, erased_by = found[:4]
    return Row(index, time_us, Kind(*found[_KIND_FIRST:]), resource, erased_by)


def _same_columns(connection: sqlite3.Connection, number: int, block: list[_Found]) -> bool:
    times = np.array([row[1] for row in block], "<i8")
    kinds = np.array([row[4] for row in block], "<i4")
    expected = (int(times.min()), int(times.max()), times.tobytes(), kinds.tobytes())
    found: Iterator[tuple[object, ...]] = connection.execute(_SEGMENT, (number,))
    return list(found) == [expected]
