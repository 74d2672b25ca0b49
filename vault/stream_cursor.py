"""Where a stream stopped, in a file that survives a crash.

Owns the file's form and how it is written: beside the old one, forced to the disk, then renamed over it,
and the rename forced to the disk. So after a kill -9 the file is the old cursor or the new one, and it is
never ahead of what a receiver has taken: items are sent again rather than lost (at least once).

    {"cursor":"memvault-stream/1","leaf_hash":"5f…","next":1234,"origin":"memos-vault/ward-1/clinic-a"}

The leaf hash is that of the last item delivered: a log that was rolled back or replaced meanwhile is
noticed when a stream goes on.
"""

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from vault.errors import InputInvalidError, StorageError
from vault.log_stream import Anchored

FORMAT: Final = "memvault-stream/1"
MAX_SIZE: Final = 4_096
_HASH: Final = re.compile(r"(?:[0-9a-f]{64})?")


class CursorFile:
    """A cursor in a file; a file that is not there is a stream from the beginning."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Anchored | None:
        """Return where the stream stopped; None where it never began.

        Raises:
            InputInvalidError: the file is no cursor.
            StorageError: it cannot be read.
        """
        try:
            with self._path.open("rb") as file:
                text = file.read(MAX_SIZE + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"the cursor cannot be read: {error.strerror}") from None
        return _parse(text)

    def write(self, reached: Anchored) -> None:
        """Keep where the stream is, durably.

        Raises:
            StorageError: it cannot be written; the old one stands.
        """
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        try:
            with suppress(FileNotFoundError):
                beside.unlink()  # of a process of this number that was killed
            descriptor = os.open(
                beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
            with os.fdopen(descriptor, "wb") as file:
                file.write(_encode(reached))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
            _sync_folder(self._path.parent)
        except OSError as error:
            raise StorageError(f"the cursor cannot be written: {error.strerror}") from None


def _encode(reached: Anchored) -> bytes:
    shape = {
        "cursor": FORMAT,
        "leaf_hash": reached.leaf_hash.hex(),
        "next": reached.start,
        "origin": reached.origin,
    }
    return json.dumps(shape, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _parse(text: bytes) -> Anchored:
    try:
        value = json.loads(text) if len(text) <= MAX_SIZE else None
    except (ValueError, RecursionError):
        value = None
    match value:
        case {"cursor": str(form), "leaf_hash": str(digest), "next": int(start), "origin": str(origin)}:
            reached = _anchored(form, digest, start, origin)
            if reached is not None and _encode(reached) == text:
                return reached
    raise InputInvalidError("the file is not a cursor that a stream has written")


def _anchored(form: str, digest: str, start: int, origin: str) -> Anchored | None:
    if (
        form != FORMAT
        or isinstance(start, bool)
        or start < 0
        or not _HASH.fullmatch(digest)
        or (digest == "") != (start == 0)
    ):
        return None
    return Anchored(origin, start, bytes.fromhex(digest))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
