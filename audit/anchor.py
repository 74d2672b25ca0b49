"""The anchor: an append-only file outside the database, in which every signed checkpoint also stands.

Owns the file's form and its safety. It leaves which notes are appended, and what is refused when they do
not agree with the log, to `vault.assurance`.

    memos-vault anchor 1
    checkpoint memos-vault/ward-1/clinic-a 15 bWVtb3Mt… .    one note, base64, one line, ended by a dot
    timestamp memos-vault/ward-1/system 40 MIIC… .           RFC 3161, over the text of the checkpoint of that size
    forensics - 0 eyJ… .                                      what an examination found

Threat: whoever can write the database puts an old copy back, or cuts its tail. The anchor remembers; it
is worth something where that somebody cannot write it: on another volume or host, at best with the
append-only attribute (`chattr +a`). A line is appended by one write and `fsync`; before each, the path
must still be the file that is held open and not shorter than it was, so that an anchor that is unlinked,
replaced or truncated is not written on in silence. A line that was torn by a crash or a full disk stays
there, is ended by the next and passed over by readers, and is counted.
"""

import os
import stat
import threading
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from heapq import heappush, heappushpop
from pathlib import Path
from typing import Final, NamedTuple, Protocol, Self

from audit.checkpoint import Checkpoint, parse_checkpoint, verify_checkpoint
from audit.errors import AnchorUnusableError, MalformedError, VerificationError
from audit.note import MAX_NOTE_SIZE, is_key_name, parse_note
from audit.signing import VerifierKey

HEADER: Final = b"memos-vault anchor 1\n"
MAX_LINE: Final = 2 * MAX_NOTE_SIZE
CHECKPOINT: Final = b"checkpoint"
FORENSICS: Final = b"forensics"
TIMESTAMP: Final = b"timestamp"
_KINDS: Final = frozenset({CHECKPOINT, FORENSICS, TIMESTAMP})

LARGEST_KEPT: Final = 16
"""Places of a log's checkpoints that are kept in memory: the largest."""

_PRIVATE_FILE: Final = 0o600
_PARTS: Final = 4
_END: Final = b" .\n"
"""Ends every record: a line that was torn, and ended by the next one, lacks the dot."""
_BLOCK: Final = 1 << 20
_CLOSED: Final = -1
"""In place of a descriptor, whose number may be another file's by then."""
_MAX_SIZE_DIGITS: Final = 19
_IDENTITY_DIGITS: Final = 32
_NO_LOG: Final = "-"
"""Origin of a record that is of no log: what an examination found."""


class Anchor(Protocol):
    """A memory of checkpoints that whoever writes the database cannot change."""

    def append(self, note: bytes) -> None:
        """Add a signed checkpoint, durably.

        Raises:
            AnchorUnusableError: it is not anchored.
        """

    def notes(self, origin: str) -> Iterator[bytes]:
        """Yield the checkpoints of a log, oldest first, not verified."""

    def latest(self, origin: str, keys: Iterable[VerifierKey]) -> "Anchored | None":
        """Return the largest checkpoint of a log that one of the keys signed."""

    def origins(self) -> tuple[str, ...]:
        """Return the origins of all logs that have a checkpoint."""


@dataclass(frozen=True, slots=True)
class Anchored:
    """A checkpoint as the anchor holds it, its signature verified."""

    checkpoint: Checkpoint
    note: bytes


class _Place(NamedTuple):
    """Where a line's note stands in the file; the smallest tree first."""

    size: int
    start: int
    length: int
    kind: bytes
    origin: str


class FileAnchor:
    """The anchor in a file that exists already.

    It is never made here: an anchor that is gone must be missed.

    Raises:
        AnchorUnusableError: it is missing, no regular file, writable by others, or no anchor.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._places: dict[str, list[_Place]] = {}
        self._damaged = 0
        try:
            flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            self._descriptor = os.open(path, flags)
        except OSError as error:
            raise AnchorUnusableError(f"the anchor cannot be opened: {error.strerror}") from None
        try:
            self._size = self._check_kind().st_size
            self._read()
        except BaseException:
            os.close(self._descriptor)
            raise

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a new anchor and open it.

        Raises:
            AnchorUnusableError: there is something at the path, or it cannot be written.
        """
        try:
            descriptor = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _PRIVATE_FILE
            )
            try:
                os.write(descriptor, HEADER)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise AnchorUnusableError(f"the anchor cannot be made: {error.strerror}") from None
        return cls(path)

    @property
    def damaged(self) -> int:
        """Lines that are no record: torn by a crash or a full disk, or garbled by somebody."""
        return self._damaged

    @property
    def identity(self) -> str:
        """A digest of which file it is, without its path; another where its volume was mounted anew."""
        held = self._check_kind()
        return sha256(f"{held.st_dev}:{held.st_ino}".encode()).hexdigest()[:_IDENTITY_DIGITS]

    @property
    def length(self) -> int:
        """How many bytes it has, as last looked at."""
        return self._size

    def append(self, note: bytes) -> None:
        """Add a signed checkpoint, durably.

        Raises:
            AnchorUnusableError: it is not anchored: the file is another, shorter, or cannot be written.
            MalformedError: the note is no checkpoint.
        """
        checkpoint = parse_checkpoint(parse_note(note).text)
        if not is_key_name(checkpoint.origin):
            raise AnchorUnusableError("expected an origin without white space")
        with self._lock:
            self._keep(self._record(CHECKPOINT, checkpoint.origin, checkpoint.size, note))

    def append_time_stamp(self, checkpoint: Checkpoint, response: bytes) -> None:
        """Add an authority's time stamp of a checkpoint.

        Raises:
            AnchorUnusableError: it was not written.
        """
        with self._lock:
            self._record(TIMESTAMP, checkpoint.origin, checkpoint.size, response)

    def time_stamps(self, origin: str) -> Iterator[tuple[int, bytes]]:
        """Yield the time stamps of a log's checkpoints, oldest first, not verified: sizes and responses."""
        for place in self._records():
            response = None if place is None or place.origin != origin else self._content_at(place)
            if place is not None and response is not None and place.kind == TIMESTAMP:
                yield place.size, response

    def append_finding(self, document: bytes) -> None:
        """Add what an examination of a damaged log found.

        Raises:
            AnchorUnusableError: it was not written.
        """
        with self._lock:
            self._record(FORENSICS, _NO_LOG, 0, document)

    def check(self) -> None:
        """See that the path is still the file that is held, and no shorter than it was.

        Raises:
            AnchorUnusableError: it is not.
        """
        with self._lock:
            self._check_same()

    def notes(self, origin: str) -> Iterator[bytes]:
        """Yield the checkpoints of a log, oldest first, not verified."""
        for place in self._records():
            note = None if place is None or place.origin != origin else self._content_at(place)
            if place is not None and note is not None and place.kind == CHECKPOINT:
                yield note

    def latest(self, origin: str, keys: Iterable[VerifierKey]) -> Anchored | None:
        """Return the largest checkpoint of a log that one of the keys signed; others are passed over."""
        trusted = tuple(keys)
        kept = self._places.get(origin, [])
        for place in sorted(kept, reverse=True):
            found = self._open(place, trusted)
            if found is not None:
                return found
        # Threat: somebody who may only append hides the real ones behind many forged larger ones.
        return self._search(origin, trusted) if len(kept) >= LARGEST_KEPT else None

    def _search(self, origin: str, keys: tuple[VerifierKey, ...]) -> Anchored | None:
        best: Anchored | None = None
        for place in self._records():
            if (
                place is not None
                and (place.kind, place.origin) == (CHECKPOINT, origin)
                and place.size > (best.checkpoint.size if best else -1)
            ):
                best = self._open(place, keys) or best
        return best

    def _open(self, place: _Place, keys: tuple[VerifierKey, ...]) -> Anchored | None:
        note = self._content_at(place)
        checkpoint = None if note is None else _verified(note, keys)
        return None if note is None or checkpoint is None else Anchored(checkpoint, note)

    def origins(self) -> tuple[str, ...]:
        """Return the origins of all logs that have a checkpoint, sorted."""
        return tuple(sorted(self._places))

    def close(self) -> None:
        """Let go of the file; whoever appends later is refused."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, _CLOSED
            os.close(descriptor)

    def _record(self, kind: bytes, origin: str, size: int, content: bytes) -> _Place:
        """Append a record durably and return where it stands."""
        head, encoded = b" ".join((kind, origin.encode(), str(size).encode(), b"")), b64encode(content)
        start = self._write(head + encoded + _END) + len(head)
        return _Place(size, start, len(encoded), kind, origin)

    def _write(self, line: bytes) -> int:
        """Append a line durably and return where it starts."""
        self._check_same()
        try:
            # A line torn earlier is ended first: it is passed over, and this one is whole.
            torn = self._size > 0 and os.pread(self._descriptor, 1, self._size - 1) != b"\n"
            if torn:
                self._put(b"\n")
            start = self._size
            self._put(line)
            os.fsync(self._descriptor)
        except OSError as error:
            self._damaged += 1
            raise AnchorUnusableError(f"the anchor cannot be written: {error.strerror}") from None
        self._check_same()  # replaced while it was written: then what was written is nowhere
        return start

    def _put(self, content: bytes) -> None:
        left = content
        while left:
            written = os.write(self._descriptor, left)
            self._size += written
            left = left[written:]

    def _check_kind(self) -> os.stat_result:
        if self._descriptor == _CLOSED:
            raise AnchorUnusableError("the anchor is closed")
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o022:
            raise AnchorUnusableError("expected the anchor to be a regular file that others cannot write")
        return status

    def _check_same(self) -> None:
        held = self._check_kind()
        try:
            named = self._path.lstat()
        except OSError as error:
            raise AnchorUnusableError(f"the anchor is gone from its path: {error.strerror}") from None
        if (named.st_dev, named.st_ino) != (held.st_dev, held.st_ino):
            raise AnchorUnusableError("the anchor was replaced: another file stands at its path")
        if held.st_size < self._size:
            raise AnchorUnusableError(
                f"the anchor was cut: expected at least {self._size} bytes, got {held.st_size}"
            )
        self._size = held.st_size

    def _read(self) -> None:
        for place in self._records():
            if place is None:
                self._damaged += 1
            elif place.kind == CHECKPOINT:
                self._keep(place)

    def _keep(self, place: _Place) -> None:
        kept = self._places.setdefault(place.origin, [])
        (heappush if len(kept) < LARGEST_KEPT else heappushpop)(kept, place)

    def _records(self) -> Iterator[_Place | None]:
        """Yield the place of every record, None for a line that is none; one pass, a line at a time."""
        with os.fdopen(os.dup(self._descriptor), "rb", buffering=_BLOCK) as file:
            file.seek(0)
            if file.readline(len(HEADER)) != HEADER:
                raise AnchorUnusableError("expected an anchor, got another file")
            at = len(HEADER)
            while line := file.readline(MAX_LINE):
                yield _place(line, at)
                at += len(line)

    def _content_at(self, place: _Place) -> bytes | None:
        try:
            return b64decode(os.pread(self._descriptor, place.length, place.start), validate=True)
        except (Base64Error, OSError):
            return None


def _place(line: bytes, at: int) -> _Place | None:
    """Return where a line's record stands, None where it is none."""
    parts = line.removesuffix(_END).split(b" ")
    if len(parts) != _PARTS or parts[0] not in _KINDS or not line.endswith(_END):
        return None
    kind, origin, size, note = parts
    if not size.isdigit() or len(size) > _MAX_SIZE_DIGITS:
        return None
    try:
        name = origin.decode()
    except UnicodeDecodeError:
        return None
    return _Place(int(size), at + len(line) - len(_END) - len(note), len(note), kind, name)


def _verified(note: bytes, keys: Iterable[VerifierKey]) -> Checkpoint | None:
    """Return the checkpoint in a note that one of the keys signed, None where none did."""
    for key in keys:
        try:
            return verify_checkpoint(note, key)
        except (MalformedError, VerificationError):
            continue
    return None
