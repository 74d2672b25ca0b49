"""The vault's directory: which file is what, who may open it, and by one process at a time."""

import fcntl
import os
import sqlite3
import stat
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vault.errors import (
    ConflictError,
    KeyFileUnsafeError,
    NotFoundError,
    StorageError,
    StoreCorruptError,
    VaultInUseError,
)
from vault.storage.faults import translated

_PRIVATE_DIRECTORY: Final = 0o700
_PRIVATE_FILE: Final = 0o600
_HEADER_BYTES: Final = 100
_MAGIC: Final = b"SQLite format 3\x00"


@dataclass(frozen=True, slots=True)
class VaultDirectory:
    """Paths of an embedded vault."""

    path: Path

    @property
    def rows(self) -> Path:
        """Sealed rows and the audit log."""
        return self.path / "vault.db"

    @property
    def keys(self) -> Path:
        """Wrapped subject keys: apart, so that they can have their own backup horizon."""
        return self.path / "keys.db"

    @property
    def root_key(self) -> Path:
        """The local root key, or the parameters of its passphrase."""
        return self.path / "root.key"

    @property
    def root_transit(self) -> Path:
        """Names the transit key that is the root, where it lies on a server instead of here."""
        return self.path / "root.transit"

    @property
    def log_key(self) -> Path:
        """The log's signing key."""
        return self.path / "log.key"

    @property
    def lock(self) -> Path:
        """Held by the process that has the vault open."""
        return self.path / "lock"

    @property
    def unfinished(self) -> Path:
        """Stands there while the vault is being made: what lies beside it was never a vault."""
        return self.path / "unfinished"

    @property
    def restoring(self) -> Path:
        """Stands there while the rows of a lost disk are put back from a snapshot: nobody is served before it is done."""
        return self.path / "restoring"

    @property
    def restoring_rows(self) -> Path:
        """The copy of a snapshot that a restore works with."""
        return self.path / "restoring.db"

    def clear_restoring(self) -> None:
        """Remove the copy that a restore worked with; the caller holds the directory."""
        for leftover in self.path.glob(f"{self.restoring_rows.name}*"):
            leftover.unlink(missing_ok=True)

    def create(self) -> None:
        """Make the directory, for its owner alone; clear away what a making that was cut short left.

        Raises:
            ConflictError: a vault is there already, or something that is no empty directory.
            VaultInUseError: another process is making it.
            StorageError: it cannot be made.
        """
        resumed = self.unfinished.is_file()
        if self.path.exists() and not resumed and (not self.path.is_dir() or any(self.path.iterdir())):
            raise ConflictError("expected a new or empty directory for the vault")
        try:
            self.path.mkdir(mode=_PRIVATE_DIRECTORY, parents=True, exist_ok=True)
            self.path.chmod(_PRIVATE_DIRECTORY)
            if resumed:
                self._clear()
            self.unfinished.touch(mode=_PRIVATE_FILE)
            self._sync()
        except OSError as error:
            raise StorageError(f"the vault's directory cannot be made: {error.strerror}") from None

    def finish(self) -> None:
        """Declare the vault made, durably.

        Raises:
            StorageError: the directory cannot be written.
        """
        try:
            self.unfinished.unlink()
            self._sync()
        except OSError as error:
            raise StorageError(f"the vault's directory cannot be written: {error.strerror}") from None

    def _clear(self) -> None:
        """Remove the files of an unfinished vault: nothing was ever acknowledged in it."""
        held = self.hold()
        try:
            for file in (self.root_key, self.root_transit, self.log_key, self.rows, self.keys):
                for leftover in self.path.glob(f"{file.name}*"):
                    leftover.unlink()
        finally:
            held.release()

    def _sync(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def expect(self) -> None:
        """See that a vault is here.

        Raises:
            NotFoundError: there is none.
        """
        made = self.path.is_dir() and not self.unfinished.exists()
        if not made or not any(file.exists() for file in (self.rows, self.keys, self.log_key)):
            raise NotFoundError("there is no vault in this directory: make one with `memvault init`")

    def check(self, *, restoring: bool = False) -> None:
        """See that the vault is whole and closed to others; the caller holds it.

        Args:
            restoring: Whether it is looked at to bring a restore to its end.

        Raises:
            KeyFileUnsafeError: others may read the directory.
            StoreCorruptError: a file is missing or cut, or a restore was cut short.
        """
        if self.restoring.exists() and not restoring:
            raise StoreCorruptError(
                "a restore was cut short, and what was erased since could be there still:"
                " run `memvault snapshot restore` again"
            )
        self.clear_restoring()
        if stat.S_IMODE(self.path.stat().st_mode) & 0o077:
            raise KeyFileUnsafeError("the vault's directory is open to others: chmod 700 it")
        for file in (self.rows, self.keys):
            _check_database(file)

    def hold(self) -> "DirectoryLock":
        """Take the directory for this process.

        Raises:
            VaultInUseError: another process has it.
        """
        return DirectoryLock(self.lock)


class DirectoryLock:
    """An advisory lock that the kernel drops when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        # Threat: a link in the place of the lock would have another file of this user cut and written.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._descriptor = os.open(path, flags, _PRIVATE_FILE)
        except OSError as error:
            raise StorageError(f"the vault's lock cannot be opened: {error.strerror}") from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise VaultInUseError(
                f"process {holder or 'unknown'} has this vault open: stop it, or call its HTTP API"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _check_database(file: Path) -> None:
    """See that a database file is as long as its header says.

    Threat: a copy that was cut, or a disk that lost its tail: SQLite would notice only when it reads
    there. With a write-ahead log beside it the header may run ahead of the file, so the check waits
    until that log is folded in.
    """
    if not file.is_file():
        raise StoreCorruptError(f"{file.name} is missing; restore it from a snapshot")
    with file.open("rb") as opened:
        head = opened.read(_HEADER_BYTES)
    if len(head) < _HEADER_BYTES or not head.startswith(_MAGIC):
        raise StoreCorruptError(f"{file.name} is cut or is no database; restore it from a snapshot")
    journal = file.with_name(file.name + "-wal")
    if journal.exists() and journal.stat().st_size:
        _fold(file)
        with file.open("rb") as opened:
            head = opened.read(_HEADER_BYTES)
    page = int.from_bytes(head[16:18]) or 1
    page_size = 65536 if page == 1 else page
    expected = page_size * int.from_bytes(head[28:32])
    if file.stat().st_size < expected:
        raise StoreCorruptError(f"{file.name} is cut: expected {expected} bytes, got {file.stat().st_size}")


def _fold(file: Path) -> None:
    with translated(), closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
