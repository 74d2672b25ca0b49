"""What the database driver says, in the vault's own errors: ids and reasons, never a statement's values."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError

from audit.errors import LogDamagedError
from vault.errors import (
    ConflictError,
    OverloadedError,
    StorageError,
    StorageFullError,
    StoreCorruptError,
    TamperedError,
)

_BY_CODE: dict[int, tuple[type[Exception], str]] = {
    sqlite3.SQLITE_FULL: (StorageFullError, "no space is left for the store; nothing was acknowledged"),
    sqlite3.SQLITE_CORRUPT: (StoreCorruptError, "the store is damaged; restore it from a snapshot"),
    sqlite3.SQLITE_NOTADB: (StoreCorruptError, "the store is not a database, or its head is damaged"),
    sqlite3.SQLITE_BUSY: (OverloadedError, "the store is locked by another transaction"),
    sqlite3.SQLITE_LOCKED: (OverloadedError, "the store is locked by another transaction"),
    sqlite3.SQLITE_READONLY: (StorageError, "the store cannot be written: check permissions"),
    sqlite3.SQLITE_CANTOPEN: (StorageError, "the store cannot be opened: check path and permissions"),
    sqlite3.SQLITE_IOERR: (StorageError, "the store's disk failed to read or write"),
}
_PRIMARY_CODE = 0xFF


@contextmanager
def translated() -> Iterator[None]:
    """Turn a driver's error into one of the vault's, without its statement and parameters.

    Raises:
        ConflictError: a row with this key exists, or a constraint forbids the change.
        TamperedError: the stored log contradicts itself.
        StorageError: or one of its kinds.
    """
    try:
        yield
    except (IntegrityError, sqlite3.IntegrityError):
        raise ConflictError("a row with this id exists already") from None
    except LogDamagedError as error:
        raise TamperedError(f"the stored log contradicts itself: {error.check}") from None
    except DBAPIError as error:
        raise _translate(error.orig) from None
    except sqlite3.Error as error:
        raise _translate(error) from None


def _translate(error: BaseException | None) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE
    kind, message = _BY_CODE.get(code, (StorageError, f"the store refused the operation (code {code})"))
    return kind(message)
