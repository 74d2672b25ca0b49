"""What a witness remembers, and answering with it: one durable row for each log.

Owns the SQLite file of a standalone witness and the order that the protocol asks for: the latest size is
read, judged, replaced and made durable under one lock, across threads and processes, before a cosignature
leaves. It leaves the judgement to `audit.witness` and HTTP to `api.witness_app`.

Threat: two submissions at one time, of which the smaller is stored last, would roll the log back; a
witness that answers before its state is on the disk forgets, after a crash, what it has signed; and one
that makes a new state where its old one is gone would cosign any history. `BEGIN IMMEDIATE`,
`synchronous=EXTRA`, and a file that only `create` makes.
"""

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audit.checkpoint import Checkpoint
from audit.cosignature import WitnessSignerKey
from audit.errors import SubmissionMalformedError, WitnessStateError
from audit.witness import (
    TEXT_TYPE,
    Answer,
    Fork,
    Refusal,
    RefusedError,
    RefusedNote,
    Seen,
    Submission,
    TrustList,
    check_extends,
    find_fork,
    identify,
    parse_submission,
)

BUSY_SECONDS: Final = 5.0
MAX_EVIDENCE: Final = 100
"""Forks that are kept of one log that contradicts itself."""
MAX_REFUSED: Final = 10
"""Notes that are kept of one log, of those that were not cosigned: the latest."""
APPLICATION_ID: Final = 0x6D767769
"""Names the file as a witness's: another database is not taken for one."""

_PRIVATE_FILE: Final = 0o600
_SCHEMA: Final = (
    (
        "CREATE TABLE seen (origin TEXT PRIMARY KEY NOT NULL, size INTEGER NOT NULL CHECK (size >= 0),"
        " root BLOB NOT NULL CHECK (length(root) = 32), note BLOB NOT NULL) STRICT"
    ),
    # Threat: a restored or hand-edited row. A witness never goes back, whoever asks.
    (
        "CREATE TRIGGER seen_grows BEFORE UPDATE ON seen WHEN NEW.size < OLD.size OR NEW.origin <> OLD.origin"
        " OR (NEW.size = OLD.size AND NEW.root <> OLD.root)"
        " BEGIN SELECT RAISE(ABORT, 'a witness never goes back'); END"
    ),
    (
        "CREATE TRIGGER seen_stays BEFORE DELETE ON seen"
        " BEGIN SELECT RAISE(ABORT, 'a witness never forgets'); END"
    ),
    (
        "CREATE TABLE evidence (origin TEXT NOT NULL, time INTEGER NOT NULL, seen BLOB NOT NULL,"
        " shown BLOB NOT NULL) STRICT"
    ),
    f"PRAGMA application_id = {APPLICATION_ID}",
)
# Not in the schema: a state file of an earlier version has none, and gets it.
_REFUSED: Final = (
    "CREATE TABLE IF NOT EXISTS refused (origin TEXT NOT NULL, time INTEGER NOT NULL, size INTEGER NOT NULL,"
    " root BLOB NOT NULL, seen INTEGER NOT NULL, reason TEXT NOT NULL, note BLOB NOT NULL,"
    " UNIQUE (origin, size, root)) STRICT"
)
_READ_REFUSED: Final = (
    "SELECT size, root, time, seen, reason, note FROM refused WHERE origin = ? ORDER BY rowid"
)
_REFUSE: Final = "INSERT OR IGNORE INTO refused VALUES (?, ?, ?, ?, ?, ?, ?)"
_FORGET_OLDEST: Final = (
    "DELETE FROM refused WHERE origin = ?1 AND rowid NOT IN"
    " (SELECT rowid FROM refused WHERE origin = ?1 ORDER BY rowid DESC LIMIT ?2)"
)
_FORGET_AT: Final = "DELETE FROM refused WHERE origin = ? AND size = ?"
_READ: Final = "SELECT size, root FROM seen WHERE origin = ?"
_REMEMBER: Final = (
    "INSERT INTO seen (origin, size, root, note) VALUES (?, ?, ?, ?) ON CONFLICT (origin)"
    " DO UPDATE SET size = excluded.size, root = excluded.root, note = excluded.note"
)
_EVIDENCE: Final = "SELECT seen, shown FROM evidence WHERE origin = ? ORDER BY rowid"
_KEEP: Final = (
    "INSERT INTO evidence (origin, time, seen, shown) SELECT ?1, ?2, note, ?3 FROM seen WHERE origin = ?1"
)


class WitnessStore:
    """The state file of a witness; each call opens it anew, so that any thread or process may."""

    def __init__(self, path: Path) -> None:
        """Take an existing state file.

        Raises:
            WitnessStateError: it is missing, no regular file of the owner alone, or no witness's state.
        """
        self._path = path
        try:
            status = path.lstat()
        except OSError as error:
            raise WitnessStateError(
                f"the witness's state cannot be read: {error.strerror}; a witness that lost it must get a new key"
            ) from None
        if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077 or status.st_uid != os.geteuid():
            raise WitnessStateError("expected the witness's state to be a regular file of mode 0600, its own")
        with self._open() as connection:
            ((found,),) = connection.execute("PRAGMA application_id").fetchall()
        if found != APPLICATION_ID:
            raise WitnessStateError("expected a witness's state, got another database")

    @classmethod
    def create(cls, path: Path) -> "WitnessStore":
        """Make a new state file: the witness has seen nothing.

        Raises:
            WitnessStateError: there is something at the path, or it cannot be written.
        """
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE_FILE))
            with _translated(), closing(_connect(path)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute("COMMIT")
        except OSError as error:
            raise WitnessStateError(f"the witness's state cannot be made: {error.strerror}") from None
        return cls(path)

    def seen(self, origin: str) -> Seen:
        """Return the largest tree of a log that was cosigned."""
        with self._open() as connection:
            return _seen(connection, origin)

    def logs(self) -> list[tuple[str, Seen]]:
        """Return every log that was ever cosigned."""
        with self._open() as connection:
            rows = connection.execute("SELECT origin, size, root FROM seen ORDER BY origin").fetchall()
        return [(origin, Seen(size, root)) for origin, size, root in rows]

    def evidence(self, origin: str) -> list[Fork]:
        """Return the forks of one log that are kept, each shown by its two notes."""
        with self._open() as connection:
            return _forks(connection, origin)

    def refused(self, origin: str) -> list[RefusedNote]:
        """Return the latest notes of one log that were not cosigned; they prove nothing by themselves."""
        with self._open() as connection:
            return _refused(connection, origin)

    def advance(
        self, submission: Submission, checkpoint: Checkpoint, time: int, probe: Callable[[str], None]
    ) -> None:
        """Judge an identified submission by what was seen, and remember it durably.

        Raises:
            RefusedError: it does not extend what was seen; nothing was remembered but evidence and what to compare.
            WitnessStateError: the state cannot be read or written; nothing may be cosigned.
        """
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                probe("locked")
                check_extends(submission, checkpoint, _seen(connection, checkpoint.origin))
                row = (checkpoint.origin, checkpoint.size, checkpoint.root, submission.note)
                connection.execute(_REMEMBER, row)
                _settle(connection, checkpoint, time)
                probe("written")
                connection.execute("COMMIT")
                probe("remembered")
            except RefusedError as refused:
                if refused.answer.is_evidence:
                    _keep(connection, checkpoint, submission.note, time)
                if refused.answer.refused_as is not None:
                    _keep_refused(connection, checkpoint, submission.note, time, refused.answer.refused_as)
                connection.execute("COMMIT")
                raise

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with _translated(), closing(_connect(self._path)) as connection:
            yield connection


def _connect(path: Path) -> sqlite3.Connection:
    # mode=rw: a state that was deleted while the witness ran must not come back empty.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None
    )
    connection.execute("PRAGMA synchronous=EXTRA")
    return connection


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "SQLITE_ERROR")
        raise WitnessStateError(f"the witness's state cannot be read or written: {name}") from None


def _seen(connection: sqlite3.Connection, origin: str) -> Seen:
    row = connection.execute(_READ, (origin,)).fetchone()
    return Seen() if row is None else Seen(*row)


def _forks(connection: sqlite3.Connection, origin: str) -> list[Fork]:
    # Threat: an earlier version kept honest notes that came with a wrong proof. They show nothing.
    pairs = (find_fork(seen, shown) for seen, shown in connection.execute(_EVIDENCE, (origin,)))
    return [fork for fork in pairs if fork is not None]


def _keep(connection: sqlite3.Connection, checkpoint: Checkpoint, note: bytes, time: int) -> None:
    """Keep a fork once, however often and with whatever foreign signatures its note is brought."""
    kept = _forks(connection, checkpoint.origin)
    known = {(fork.size, root) for fork in kept for root in fork.roots}
    if len(kept) < MAX_EVIDENCE and (checkpoint.size, checkpoint.root) not in known:
        connection.execute(_KEEP, (checkpoint.origin, time, note))


def _refused(connection: sqlite3.Connection, origin: str) -> list[RefusedNote]:
    connection.execute(_REFUSED)
    return [
        RefusedNote(origin, size, root, time, seen, Refusal(reason), note)
        for size, root, time, seen, reason, note in connection.execute(_READ_REFUSED, (origin,))
    ]


def _keep_refused(
    connection: sqlite3.Connection, checkpoint: Checkpoint, note: bytes, time: int, reason: Refusal
) -> None:
    """Keep a note once, the latest of its log."""
    connection.execute(_REFUSED)
    origin, seen = checkpoint.origin, _seen(connection, checkpoint.origin)
    row = (origin, time, checkpoint.size, checkpoint.root, seen.size, reason.value, note)
    connection.execute(_REFUSE, row)
    connection.execute(_FORGET_OLDEST, (origin, MAX_REFUSED))


def _settle(connection: sqlite3.Connection, cosigned: Checkpoint, time: int) -> None:
    """Compare what was refused at the size that is cosigned now: the same note, or half of a fork."""
    kept = [one for one in _refused(connection, cosigned.origin) if one.size == cosigned.size]
    for one in kept:
        if one.root != cosigned.root:
            _keep(connection, Checkpoint(one.origin, one.size, one.root), one.note, time)
    if kept:
        connection.execute(_FORGET_AT, (cosigned.origin, cosigned.size))


def no_probe(_step: str) -> None:
    """Note nothing; tests kill the process at a step."""


@dataclass(frozen=True, slots=True)
class StandaloneWitness:
    """A witness: its key, whom it trusts, and what it remembers."""

    key: WitnessSignerKey
    trusted: Callable[[], TrustList]
    """Read anew for each submission: trust may be added while the witness runs."""
    store: WitnessStore
    clock: Callable[[], int]
    """POSIX seconds."""
    probe: Callable[[str], None] = no_probe

    def answer(self, body: bytes) -> Answer:
        """Judge the body of an add-checkpoint, remember what is cosigned, and return what goes back.

        Raises:
            WitnessStateError: the state cannot be read or written; nothing was cosigned.
        """
        time = self.clock()
        try:
            submission = parse_submission(body)
            checkpoint = identify(submission, self.trusted())
            self.store.advance(submission, checkpoint, time, self.probe)
        except SubmissionMalformedError as error:
            return Answer(400, f"{error}\n")
        except RefusedError as refused:
            return refused.answer
        return Answer(200, str(self.key.cosign(checkpoint.encode(), time)), TEXT_TYPE)
