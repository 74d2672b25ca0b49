"""Write what a command was told to keep in a file: a new one, for its owner's eyes."""

import os
from pathlib import Path


def write_new(path: Path, content: bytes) -> None:
    """Make a file of mode 0600; one that is there stays as it is, and so does what a link leads to.

    Raises:
        StorageError: it is there, or cannot be made.
    """
    from vault.errors import StorageError  # noqa: PLC0415  # loads the vault; `--help` does not

    try:
        with os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb"
        ) as file:
            file.write(content)
    except OSError as error:
        raise StorageError(f"the file cannot be made: {error.strerror}") from None
