"""Reading and writing HaluMem's JSONL, within bounds.

Owns limits on lines and users, and says which line is wrong; never what stands in it.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from pydantic import ValidationError

from compliance.halumem.errors import DatasetInvalidError
from compliance.halumem.schema import User

MAX_LINE: Final = 64 * 1024 * 1024
"""Bytes of one user; those of HaluMem-Long are some 10 MB."""
MAX_USERS: Final = 1_000
_BLOCK: Final = 1 << 20


def read_users(path: Path, *, max_line: int = MAX_LINE, max_users: int = MAX_USERS) -> Iterator[User]:
    """Yield the users of a file, one at a time.

    Raises:
        DatasetInvalidError: it cannot be read, is empty, too large, not JSON, not of the schema, or names a user twice.
    """
    seen: set[str] = set()
    try:
        with _opened(path) as file:
            number = 0
            while line := file.readline(max_line + 1):
                number += 1
                if len(line) > max_line:
                    raise DatasetInvalidError(f"expected at most {max_line} bytes", number)
                if not line.strip():
                    continue
                user = parse_user(line, number)
                if user.uuid in seen:
                    raise DatasetInvalidError("expected each user once", number)
                if len(seen) == max_users:
                    raise DatasetInvalidError(f"expected at most {max_users} users", number)
                seen.add(user.uuid)
                yield user
    except OSError as error:
        raise DatasetInvalidError(f"expected a readable file, got {type(error).__name__}") from error
    if not seen:
        raise DatasetInvalidError("expected at least one user, got none")


def _opened(path: Path) -> BinaryIO:
    # Threat: a device or a pipe gives bytes for ever, or none and never ends.
    if path.exists() and not path.is_file():
        raise DatasetInvalidError("expected a regular file, got something else")
    return path.open("rb")


def parse_user(line: bytes, number: int) -> User:
    """Return the user of one line.

    Raises:
        DatasetInvalidError: it is not JSON, or not of the schema.
    """
    try:
        return User.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the line"
        # Threat: a message of pydantic's may quote what it got; its type does not, and loc names our own fields.
        # `from None` keeps the quoted input out of tracebacks.
        raise DatasetInvalidError(f"expected {first['type']} to hold at {place}", number) from None


def encode_user(user: User) -> bytes:
    """Return a user's line, newline included."""
    return user.model_dump_json(exclude_none=True).encode() + b"\n"


def write_users(path: Path, users: Iterable[User]) -> str:
    """Write a file anew and return its SHA-256.

    Raises:
        FileExistsError: there is a file already.
    """
    digest = hashlib.sha256()
    with path.open("xb") as file:
        for user in users:
            line = encode_user(user)
            digest.update(line)
            file.write(line)
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        DatasetInvalidError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with _opened(path) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise DatasetInvalidError(f"expected a readable file, got {type(error).__name__}") from error
    return digest.hexdigest()
