"""The derived index of one tenant's log: a file of its own, made from the log and disposable.

Owns the file: how it is made, caught up in bounded transactions, held against the log and thrown away when
it is damaged, of another tenant, of another log or of another version. A kill at any point leaves a prefix
of the log indexed, because entries and size are committed together. It leaves questions to
`audit.query.find` and `audit.query.count`, and is evidence of nothing.
"""

import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Final, Protocol

import numpy as np
from sqlalchemy import URL, Connection, Engine, create_engine, delete, event, func, insert, select, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from audit.event import EventType
from audit.evidence import StoredEntry
from audit.query.deadline import ENDLESS, Deadline, QuestionTooDearError, interrupting
from audit.query.rows import Kind, Row, row_of
from audit.query.schema import ENTRY, INDEX_VERSION, KIND, METADATA, SEGMENT, SEGMENT_ENTRIES, STATE

BATCH: Final = 4_096
"""Entries of one transaction."""
SAMPLES: Final = 16
"""Entries that are compared with the log when a file is opened."""
_CONNECTIONS: Final = 4
_BUSY_MILLISECONDS: Final = 5_000
_PRIVATE: Final = 0o600
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})
_PRIMARY_CODE: Final = 0xFF


class LogSource(Protocol):
    """One state of one tenant's log."""

    @property
    def tenant(self) -> str:
        """Whose log it is."""
        ...

    @property
    def size(self) -> int:
        """Its number of entries."""
        ...

    def entries(self, start: int, stop: int) -> Iterator[StoredEntry]:
        """Yield the entries with index in `[start, stop)`, in order."""
        ...


class IndexUnusableError(Exception):
    """The file cannot be read or written; `damaged` says whether making it anew may help."""

    def __init__(self, reason: str, *, damaged: bool) -> None:
        super().__init__(reason)
        self.damaged = damaged


class _NotOfThisLogError(Exception):
    """The file says something else than the log."""


class LogIndex:
    """The index of one tenant's log.

    Args:
        path: Its file, in a directory that is the owner's alone.
        tenant: Whose log it indexes.
        max_pages: Largest size of the file in SQLite's pages; None is no limit.
    """

    def __init__(self, path: Path, tenant: str, *, max_pages: int | None = None) -> None:
        self._path = path
        self._tenant = tenant
        self._max_pages = max_pages
        self._engine: Engine | None = None
        self._kinds: dict[Kind, int] = {}
        self._lock = threading.Lock()

    @property
    def exists(self) -> bool:
        """Whether there is a file: somebody has asked this log before."""
        return self._path.exists()

    def catch_up(self, log: LogSource, *, seconds: float) -> int:
        """Index what the log has more, for so many seconds at most, and return the size that is indexed.

        A file that is not this log's is made anew, once. Where space ends, it stays as it is.

        Raises:
            IndexUnusableError: the file can be neither used nor made: no space, no permission, a bad disk.
        """
        ending = monotonic() + seconds
        with self._lock:
            try:
                return self._caught_up(log, ending)
            except (IndexUnusableError, _NotOfThisLogError) as error:
                if isinstance(error, IndexUnusableError) and not error.damaged:
                    raise
                self._discard()
            try:
                return self._caught_up(log, ending)
            except _NotOfThisLogError as error:
                raise IndexUnusableError(str(error), damaged=False) from None

    @contextmanager
    def reading(self, deadline: Deadline = ENDLESS) -> Iterator[tuple[Connection, int]]:
        """Lend a connection that sees one state of the index, and the size that it is complete up to.

        That size is of this state: another thread may have made the file anew since it was caught up.

        Raises:
            IndexUnusableError: the file cannot be read, or is another tenant's.
            QuestionTooDearError: the deadline passed.
        """
        with _translated():
            engine = self._engine
            if engine is None:
                raise IndexUnusableError("expected an index that was caught up first", damaged=True)
            with engine.connect() as connection, interrupting(connection, deadline):
                connection.exec_driver_sql("BEGIN")
                state = connection.execute(select(STATE)).one()
                # Threat: files put in each other's place while this one is open; its counts name actors.
                if (state.version, state.tenant) != (INDEX_VERSION, self._tenant):
                    raise IndexUnusableError("the index is of another version or tenant", damaged=True)
                yield connection, int(state.size)

    def discard(self) -> None:
        """Throw the file away; the next `catch_up` makes it anew."""
        with self._lock:
            self._discard()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None
        self._kinds = {}

    def _discard(self) -> None:
        self._close()
        for ending in ("", "-wal", "-shm", "-journal"):
            with suppress(OSError):
                self._path.with_name(self._path.name + ending).unlink(missing_ok=True)

    def _caught_up(self, log: LogSource, ending: float) -> int:
        with _translated():
            if self._engine is None:
                self._open(log)
            assert self._engine is not None  # noqa: S101  # narrows
            with self._engine.connect() as connection:
                return self._extended(connection, log, ending)

    def _extended(self, connection: Connection, log: LogSource, ending: float) -> int:
        """Index batch by batch, as far as time and space go, and return how far that was."""
        size = self._expect(connection, log)
        while size < log.size:
            try:
                size = self._extend(connection, log, size)
            except DBAPIError as error:
                if _code_of(error) in _DAMAGED:
                    raise
                return size  # no space, a bad disk: what is indexed already still answers
            if monotonic() >= ending:
                break
        return size

    def _open(self, log: LogSource) -> None:
        _make_private(self._path)
        self._engine = _engine(self._path, self._max_pages)
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            METADATA.create_all(connection)
            if connection.execute(select(STATE.c.one)).first() is None:
                first = {
                    "one": 1,
                    "version": INDEX_VERSION,
                    "tenant": self._tenant,
                    "size": 0,
                    "last_hash": b"",
                }
                connection.execute(insert(STATE), first)
            connection.commit()
            self._load_kinds(connection)
            size = self._expect(connection, log)
            self._compare_samples(connection, log, size)

    def _load_kinds(self, connection: Connection) -> None:
        self._kinds = {Kind(*row[1:]): row[0] for row in connection.execute(select(KIND))}
        connection.rollback()

    def _expect(self, connection: Connection, log: LogSource) -> int:
        """See that the file is of this log, and return the size that it reached."""
        state = connection.execute(select(STATE)).one()
        newest = connection.execute(select(func.max(ENTRY.c.leaf_index))).scalar_one()
        connection.rollback()
        if (state.version, state.tenant, log.tenant) != (INDEX_VERSION, self._tenant, self._tenant):
            raise _NotOfThisLogError("the index is of another version or tenant")
        if (
            state.size > log.size
            or (newest is None) != (state.size == 0)
            or (newest or 0) != max(0, state.size - 1)
        ):
            raise _NotOfThisLogError("the index is not of this log's size")
        if state.size and [one.leaf_hash for one in log.entries(newest, newest + 1)] != [state.last_hash]:
            raise _NotOfThisLogError("the index is of another log")
        return int(state.size)

    def _compare_samples(self, connection: Connection, log: LogSource, size: int) -> None:
        for index in sorted({size * nth // SAMPLES for nth in range(SAMPLES)} if size else ()):
            (stored,) = log.entries(index, index + 1)
            later = stored.erased_by is not None and stored.erased_by >= size  # not indexed yet
            if not later and stored_row(connection, index) != row_of(stored):
                raise _NotOfThisLogError("the index does not say what the log does")
        connection.rollback()

    def _extend(self, connection: Connection, log: LogSource, size: int) -> int:
        """Index one batch more, in one transaction."""
        stop = min(size + BATCH, log.size)
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            entries = _whole(log.entries(size, stop), stop - size)
            self._insert(connection, [row_of(stored) for stored in entries])
            erasing = [stored for stored in entries if stored.event == EventType.PAYLOAD_ERASE]
            touched = {index // SEGMENT_ENTRIES for index in self._erase(connection, log, erasing)}
            touched |= set(range(size // SEGMENT_ENTRIES, stop // SEGMENT_ENTRIES))
            for number in sorted(one for one in touched if (one + 1) * SEGMENT_ENTRIES <= stop):
                _fill_segment(connection, number)
            connection.execute(update(STATE).values(size=stop, last_hash=entries[-1].leaf_hash or b""))
            connection.commit()
        except BaseException:
            with suppress(DBAPIError):
                connection.rollback()
                self._load_kinds(connection)  # those of the batch never came to be
            raise
        return stop

    def _insert(self, connection: Connection, rows: Sequence[Row]) -> None:
        connection.execute(
            insert(ENTRY),
            [
                {
                    "leaf_index": row.index,
                    "time_us": row.time_us,
                    "kind_id": self._kind_id(connection, row.kind),
                    "resource": row.resource,
                    "erased_by": row.erased_by,
                }
                for row in rows
            ],
        )

    def _kind_id(self, connection: Connection, kind: Kind) -> int:
        known = self._kinds.get(kind)
        if known is None:
            known = self._kinds[kind] = len(self._kinds)
            connection.execute(insert(KIND), {"kind_id": known, **kind._asdict()})
        return known

    def _erase(self, connection: Connection, log: LogSource, erasing: Iterable[StoredEntry]) -> Iterator[int]:
        """Take what the payload told out of rows that were erased after they were indexed."""
        for entry in erasing:
            for index in _erased_by(entry):
                for stored in log.entries(index, index + 1):
                    row = row_of(stored)
                    values = {"erased_by": row.erased_by, "kind_id": self._kind_id(connection, row.kind)}
                    connection.execute(update(ENTRY).where(ENTRY.c.leaf_index == index).values(values))
                    yield index


def _whole(entries: Iterator[StoredEntry], count: int) -> list[StoredEntry]:
    found = list(entries)
    if len(found) != count:
        raise _NotOfThisLogError("the log has fewer entries than it says")
    return found


def stored_row(connection: Connection, index: int) -> Row | None:
    """Return the row of an entry as the file has it."""
    query = select(ENTRY, *(KIND.c[name] for name in Kind._fields)).join(
        KIND, KIND.c.kind_id == ENTRY.c.kind_id
    )
    found = connection.execute(query.where(ENTRY.c.leaf_index == index)).one_or_none()
    if found is None:
        return None
    return Row(found.leaf_index, found.time_us, Kind(*found[5:]), found.resource, found.erased_by)


def _fill_segment(connection: Connection, number: int) -> None:
    """Write a full block of entries as two columns of numbers."""
    first = number * SEGMENT_ENTRIES
    columns = select(ENTRY.c.time_us, ENTRY.c.kind_id).where(
        ENTRY.c.leaf_index >= first, ENTRY.c.leaf_index < first + SEGMENT_ENTRIES
    )
    found = np.array(
        [tuple(row) for row in connection.execute(columns.order_by(ENTRY.c.leaf_index)).all()], "<i8"
    )
    times, kinds = found[:, 0], found[:, 1].astype("<i4")
    connection.execute(delete(SEGMENT).where(SEGMENT.c.number == number))
    connection.execute(
        insert(SEGMENT),
        {
            "number": number,
            "first_us": int(times.min()),
            "last_us": int(times.max()),
            "times": times.tobytes(),
            "kinds": kinds.tobytes(),
        },
    )


def _erased_by(entry: StoredEntry) -> list[int]:
    """Return the indexes that an erasing entry names."""
    try:
        named = json.loads(entry.payload or "{}")["entries"]
        return [index for index in named if isinstance(index, int) and 0 <= index < entry.index]
    except (ValueError, RecursionError, TypeError, KeyError):
        return []


def _make_private(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        # Threat: a link in the file's place would have another file of this user written.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _PRIVATE)
        try:
            os.fchmod(descriptor, _PRIVATE)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise IndexUnusableError(f"the index cannot be made: {error.strerror}", damaged=False) from None


def _engine(path: Path, max_pages: int | None) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=_CONNECTIONS,
        max_overflow=_CONNECTIONS,
        hide_parameters=True,
        connect_args={"check_same_thread": False, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        # NORMAL: after a power cut the last batches may be gone, never half there, and are indexed again.
        for pragma in (
            f"busy_timeout={_BUSY_MILLISECONDS}",
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "temp_store=MEMORY",
            "secure_delete=ON",
            "cache_size=-16384",
            *([] if max_pages is None else [f"max_page_count={max_pages}"]),
        ):
            connection.execute(f"PRAGMA {pragma}")

    return engine


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what the driver says, or values of other types than we wrote, into one error of ours."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        code = _code_of(error)
        if code == sqlite3.SQLITE_INTERRUPT:
            raise QuestionTooDearError("the question took too long") from None
        raise IndexUnusableError(f"the index failed (code {code})", damaged=code in _DAMAGED) from None
    except (SQLAlchemyError, TypeError, ValueError) as error:
        raise IndexUnusableError(
            f"the index is not in its form ({type(error).__name__})", damaged=True
        ) from None


def _code_of(error: DBAPIError | sqlite3.Error) -> int:
    """Return SQLite's primary error code; 0 where the driver itself complains."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    code: int = getattr(cause, "sqlite_errorcode", 0)
    return code & _PRIMARY_CODE
