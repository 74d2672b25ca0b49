"""The file of the log's signing key.

Owns making and reading one small file safely. It leaves the key's form to `audit.signing` and where
the file lies to the edge. The file holds the signer key's one line and is readable by its owner alone.
"""

import os
import stat
from pathlib import Path
from typing import Final

from audit.errors import KeyFileUnsafeError, KeyMalformedError
from audit.signing import SignerKey

_OWNER_ONLY: Final = 0o600
_MAX_SIZE: Final = 1024


def create_key_file(path: Path, key: SignerKey) -> None:
    """Write a new key file with mode 0600, durably.

    Raises:
        KeyFileUnsafeError: there is something at `path` already, or it cannot be written.
    """
    try:
        descriptor = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _OWNER_ONLY
        )
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, _OWNER_ONLY)
            file.write(key.encode() + "\n")
            file.flush()
            os.fsync(descriptor)
        _sync_folder(path.parent)
    except OSError as error:
        raise KeyFileUnsafeError(f"log key file: expected to create it, got {error.strerror}") from error


def load_key_file(path: Path) -> SignerKey:
    """Return the key in the file.

    Raises:
        KeyFileUnsafeError: the file is missing, a link, no regular file, of another owner, open to
            others, or does not hold exactly one signer key.
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
            raise KeyFileUnsafeError(f"log key file: expected one line of at most {_MAX_SIZE} bytes")
        return SignerKey.parse(text[:-1])
    except (UnicodeDecodeError, KeyMalformedError):
        # The cause is dropped: it may hold pieces of the key.
        raise KeyFileUnsafeError("log key file: expected a signer key") from None


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
