"""The file of the log's signing keys.

Owns making, reading and replacing one small file safely. It leaves the keys' form to `audit.signing` and
where the file lies to the edge. The file holds the lines of `LogKeys` and is readable by its owner alone.
"""

import os
import stat
from pathlib import Path
from typing import Final

from audit.errors import KeyFileUnsafeError, KeyMalformedError
from audit.signing import LogKeys, SignerKey

_OWNER_ONLY: Final = 0o600
_MAX_SIZE: Final = 1 << 16
_NEW: Final = ".new"


def create_key_file(path: Path, keys: SignerKey | LogKeys) -> None:
    """Write a new key file with mode 0600, durably.

    Raises:
        KeyFileUnsafeError: there is something at `path` already, or it cannot be written.
    """
    try:
        _write(path, LogKeys.of(keys))
        _sync_folder(path.parent)
    except OSError as error:
        raise KeyFileUnsafeError(f"log key file: expected to create it, got {error.strerror}") from error


def replace_key_file(path: Path, keys: LogKeys) -> None:
    """Put other keys into the file, durably: whoever reads it meanwhile gets the old ones or the new.

    Raises:
        KeyFileUnsafeError: it cannot be written.
    """
    new = path.with_name(path.name + _NEW)
    try:
        new.unlink(missing_ok=True)  # left by a replacement that was cut short
        _write(new, keys)
        new.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise KeyFileUnsafeError(f"log key file: expected to replace it, got {error.strerror}") from error


def load_key_file(path: Path) -> LogKeys:
    """Return the keys in the file.

    Raises:
        KeyFileUnsafeError: the file is missing, a link, no regular file, of another owner, open to
            others, or does not hold exactly the lines of log keys.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            _check_safe(os.fstat(descriptor))
            content = file.read(_MAX_SIZE + 1)
    except OSError as error:
        raise KeyFileUnsafeError(f"log key file: expected to read it, got {error.strerror}") from error
    try:
        text = content.decode()
        if len(content) > _MAX_SIZE or not text.endswith("\n"):
            raise KeyFileUnsafeError(f"log key file: expected lines of at most {_MAX_SIZE} bytes")
        return LogKeys.parse(text[:-1])
    except (UnicodeDecodeError, KeyMalformedError):
        # The cause is dropped: it may hold pieces of the key.
        raise KeyFileUnsafeError("log key file: expected signer keys") from None


def _write(path: Path, keys: LogKeys) -> None:
    descriptor = os.open(
        path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _OWNER_ONLY
    )
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, _OWNER_ONLY)
        file.write(keys.encode() + "\n")
        file.flush()
        os.fsync(descriptor)


def _check_safe(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileUnsafeError("log key file: expected a regular file")
    if status.st_uid != os.geteuid():
        raise KeyFileUnsafeError(f"log key file: expected owner {os.geteuid()}, got {status.st_uid}")
    if status.st_mode & 0o077:
        raise KeyFileUnsafeError(f"log key file: expected mode 0600, got {stat.S_IMODE(status.st_mode):04o}")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
