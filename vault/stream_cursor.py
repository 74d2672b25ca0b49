"""Where a stream stopped, in a file that survives a crash.

Owns the file's form and how it is written: beside the old one, forced to the disk, then renamed over it,
and the rename forced to the disk. So after a kill -9 the file is the old cursor or the new one, and it is
never ahead of what a receiver has taken: items are sent again rather than lost (at least once).

    {"asked":"9c…","cursor":"memvault-stream/2","key":"07…","leaf_hash":"5f…","next":1234,
     "origin":"memos-vault/ward-1/clinic-a"}

(in one line). The leaf hash is that of the last item delivered: a log that was rolled back or replaced meanwhile
is noticed when a stream goes on. `asked` is a digest of the stream's format and query under `key`, which is random
and each file's own, so that nobody reads a query off two files. Threat: a cursor taken for another query stands
behind entries that this query's receiver never had, and they would be missed without a word.
"""

import hmac
import json
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from vault.errors import InputInvalidError, StorageError
from vault.log_stream import Anchored, StreamRequest

FORMAT: Final = "memvault-stream/2"
MAX_SIZE: Final = 4_096
_KEY_SIZE: Final = 16
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_KEY: Final = re.compile(r"[0-9a-f]{32}")


class CursorFile:
    """A cursor in a file; a file that is not there is a stream from the beginning.

    Args:
        path: The file.
        asked: What the stream is asked for; its format and query are what the cursor belongs to.
    """

    def __init__(self, path: Path, asked: StreamRequest) -> None:
        self._path = path
        self._asked = f"{asked.format.value}\n{asked.query.strip()}".encode()
        self._key = secrets.token_bytes(_KEY_SIZE)

    def read(self) -> Anchored | None:
        """Return where the stream stopped; None where it never began.

        Raises:
            InputInvalidError: the file is no cursor, or that of a stream in another format or of another query.
            StorageError: it cannot be read.
        """
        try:
            with self._path.open("rb") as file:
                text = file.read(MAX_SIZE + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"the cursor cannot be read: {error.strerror}") from None
        reached, kept = _parse(text)
        if not hmac.compare_digest(kept.digest, _digest(kept.key, self._asked)):
            raise InputInvalidError(
                "expected a cursor of this format and query, got one of another: take a file for each"
            )
        self._key = kept.key
        return reached

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
                file.write(_encode(reached, _Binding(self._key, _digest(self._key, self._asked))))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
            _sync_folder(self._path.parent)
        except OSError as error:
            raise StorageError(f"the cursor cannot be written: {error.strerror}") from None


class _Binding(NamedTuple):
    """What a cursor belongs to."""

    key: bytes
    digest: bytes


def _digest(key: bytes, asked: bytes) -> bytes:
    return hmac.digest(key, asked, "sha256")


def _encode(reached: Anchored, binding: _Binding) -> bytes:
    shape = {
        "asked": binding.digest.hex(),
        "cursor": FORMAT,
        "key": binding.key.hex(),
        "leaf_hash": reached.leaf_hash.hex(),
        "next": reached.start,
        "origin": reached.origin,
    }
    return json.dumps(shape, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _parse(text: bytes) -> tuple[Anchored, _Binding]:
    try:
        value = json.loads(text) if len(text) <= MAX_SIZE else None
    except (ValueError, RecursionError):
        value = None
    match value:
        case {
            "asked": str(asked),
            "cursor": str(form),
            "key": str(key),
            "leaf_hash": str(leaf),
            "next": int(start),
            "origin": str(origin),
        } if form == FORMAT and _KEY.fullmatch(key) and all(map(_HASH.fullmatch, (asked, leaf))):
            reached = Anchored(origin, start, bytes.fromhex(leaf))
            binding = _Binding(bytes.fromhex(key), bytes.fromhex(asked))
            if start > 0 and start is not True and _encode(reached, binding) == text:
                return reached, binding
    raise InputInvalidError(f"expected a cursor that a stream has written, of the form {FORMAT}")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
