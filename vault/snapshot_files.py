"""Snapshots as files: a folder each, written whole or not at all, and checked without a vault.

    snp_01kt…/vault.db              the copy: sealed rows and the logs
    snp_01kt…/vault.db.leaves       the hash of each of its chunks, so that a finding names the chunk
    snp_01kt…/keys.list             names, versions, states and fingerprints of the keys; never a key
    snp_01kt…/manifest.json
    snp_01kt…/manifest.note         signature of the manifest, by the log's key

Owns writing and reading these files. It leaves the manifest's form to `vault.snapshot_manifest`, checking a snapshot
to `vault.snapshot_check`, and what goes into one to `vault.snapshots`.

A folder is written under another name, which begins with a dot, and renamed when all of it is on the disk. Whoever
writes one holds a lock on it: what lies there under a dot and without a lock was left by a process that was killed,
and goes with the next snapshot.
"""

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final

from audit.merkle import HASH_SIZE, CompactRange, leaf_hash
from audit.signing import VerifierKey
from vault.errors import (
    NotFoundError,
    StorageError,
    StorageFullError,
    TamperedError,
    VaultError,
)
from vault.ids import IdKind, check_vault_id
from vault.snapshot_manifest import CHUNK_BYTES, MAX_MANIFEST_BYTES, Manifest, verify_manifest

_PRIVATE_FILE: Final = 0o600
_PRIVATE_DIRECTORY: Final = 0o700
_UNFINISHED: Final = ".unfinished-"
SIGNATURE: Final = "snapshot signature"
MANIFEST: Final = "snapshot manifest"
FOLDER: Final = "snapshot folder"
_KEY_LINE_BYTES: Final = 512
"""More than a line of the list of keys ever takes."""
_NO_FILE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EINVAL})
"""Where nothing is in a file's place, or a link, a socket, a pipe, a device, a directory."""


@dataclass(frozen=True, slots=True)
class SnapshotFolder:
    """Paths of one snapshot."""

    path: Path

    @property
    def rows(self) -> Path:
        """The copy."""
        return self.path / "vault.db"

    @property
    def leaves(self) -> Path:
        """Hashes of its chunks, joined."""
        return self.path / "vault.db.leaves"

    @property
    def keys(self) -> Path:
        """Names and fingerprints of keys."""
        return self.path / "keys.list"

    @property
    def manifest(self) -> Path:
        """The manifest."""
        return self.path / "manifest.json"

    @property
    def note(self) -> Path:
        """Its signature."""
        return self.path / "manifest.note"

    def read_manifest(self, keys: Sequence[VerifierKey]) -> Manifest:
        """Return the manifest, if one of these keys signed it.

        Raises:
            NotFoundError: there is no snapshot.
            SnapshotForeignError: another vault's key signed it.
            StoreVersionError: it is of a newer format.
            TamperedError: it is not signed, or not what was signed; or the folder has another name than the signed id.
            StorageError: it cannot be read.
        """
        if not self.path.is_dir():
            raise NotFoundError("there is no snapshot in this directory")
        text = _read(self.manifest, MANIFEST)
        manifest = verify_manifest(_read(self.note, SIGNATURE), text, keys)
        # Threat: an old snapshot under a newer one's name is taken for it by whoever looks at names.
        if self.path.resolve().name != manifest.snapshot_id:
            raise TamperedError(f"{FOLDER}: expected the name {manifest.snapshot_id}, got another")
        return manifest

    def copy_rows(self, target: Path, manifest: Manifest) -> None:
        """Copy the rows to a new file, and see of the very bytes that were written that they are the signed ones.

        Raises:
            TamperedError: they are others; the file is removed.
            StorageError: or one of its kinds: it could not be written; nothing is left of it.
        """
        tree = CompactRange()
        with written(target) as file, _opened(self.rows) as source:
            for chunk in _chunks(source, manifest.file_bytes + 1):
                file.write(chunk)
                tree = tree.extended([leaf_hash(chunk)])
            if tree.root().hex() != manifest.file_root:
                raise TamperedError("the snapshot's copy is not the one that was signed: verify it")


@contextmanager
def new_folder(parent: Path, snapshot_id: str) -> Iterator[SnapshotFolder]:
    """Lend an unfinished folder; it gets its name when the block ends well, and is removed otherwise.

    Raises:
        StorageError: or one of its kinds: nothing is left of it.
    """
    with _unfinished(parent, snapshot_id) as unfinished:
        yield SnapshotFolder(unfinished)
        sync_folder(unfinished)
        unfinished.rename(parent / snapshot_id)
        sync_folder(parent)


@contextmanager
def scratch_folder(parent: Path, name: str) -> Iterator[Path]:
    """Lend a folder for its owner alone that is removed when the block ends, however it ends.

    Raises:
        StorageError: or one of its kinds.
    """
    with _unfinished(parent, f"{IdKind.SNAPSHOT}_{name}") as scratch:
        yield scratch


@contextmanager
def _unfinished(parent: Path, name: str) -> Iterator[Path]:
    """Lend a locked folder under a dot; what is still there under this name when the block ends is removed."""
    with translated_files():
        parent.mkdir(mode=_PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        _clear(parent)
        unfinished = parent / f"{_UNFINISHED}{name}"
        unfinished.mkdir(mode=_PRIVATE_DIRECTORY)
        unfinished.chmod(_PRIVATE_DIRECTORY)
        lock = os.open(unfinished, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield unfinished
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
            os.close(lock)


def snapshots_in(parent: Path) -> list[SnapshotFolder]:
    """Return the snapshots of a directory by name, which is by time; others' files are passed over."""
    if not parent.is_dir():
        raise NotFoundError("there is no such directory of snapshots")
    found = []
    for path in sorted(parent.iterdir()):
        with suppress(Exception):
            check_vault_id(IdKind.SNAPSHOT, path.name)
            found.append(SnapshotFolder(path))
    return found


@dataclass(frozen=True, slots=True)
class Disbelieved:
    """A folder with the name of a snapshot that nothing relies on: never counted, never removed."""

    folder: SnapshotFolder
    reason: str


def sorted_out(
    parent: Path, keys: Sequence[VerifierKey]
) -> tuple[list[tuple[SnapshotFolder, Manifest]], list[Disbelieved]]:
    """Return a vault's own snapshots in a directory, oldest first by what the log held when they were made; and the rest.

    Threat: a clock that was set back, or was ahead for a night: by time, the newest would be pruned and the oldest
    tried. So would one that somebody gave another name than the signed one.
    """
    own, rest = [], []
    for folder in snapshots_in(parent):
        try:
            own.append((folder, folder.read_manifest(keys)))
        except VaultError as error:
            rest.append(Disbelieved(folder, str(error)))
    return sorted(own, key=lambda one: (sum(log.size for log in one[1].logs), one[1].time)), rest


def remove_folder(folder: SnapshotFolder) -> None:
    """Remove a snapshot: it has no name any more before the first of its files goes.

    Raises:
        StorageError: it cannot be removed.
    """
    with translated_files():
        nameless = folder.path.with_name(f"{_UNFINISHED}{folder.path.name}")
        folder.path.rename(nameless)
        sync_folder(folder.path.parent)
        shutil.rmtree(nameless)
        sync_folder(folder.path.parent)


def write_private(path: Path, content: bytes) -> None:
    """Write a new file for its owner alone, to the disk."""
    with written(path) as file:
        file.write(content)


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """Lend a new file for its owner alone; it is on the disk when the block ends, or gone where that failed."""
    with translated_files():
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, _PRIVATE_FILE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, _PRIVATE_FILE)
                yield file
                file.flush()
                os.fsync(descriptor)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def sync_file(path: Path) -> None:
    """Have a file on the disk."""
    _sync(path, os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """Have a directory's names on the disk."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def hash_chunks(path: Path, limit: int | None = None) -> list[bytes]:
    """Return the leaf hash of each chunk of a file, or of so many of its first bytes."""
    with _opened(path) as file:
        return [leaf_hash(chunk) for chunk in _chunks(file, limit)]


def read_leaves(path: Path, file_bytes: int) -> bytes:
    """Return the hashes of the chunks of a file of that size, joined; of a longer list, one byte more than they take.

    Raises:
        StorageError: it is no file, or cannot be read.
    """
    with translated_files(), _opened(path) as file:
        return file.read(-(-file_bytes // CHUNK_BYTES) * HASH_SIZE + 1)


def digest_of_keys(path: Path, count: int) -> str:
    """Return the SHA-256 of a list of so many keys, in hex; of a file that is longer than one ever is, of its beginning.

    Raises:
        StorageError: it is no file, or cannot be read.
    """
    digest = sha256()
    with translated_files(), _opened(path) as file:
        for chunk in _chunks(file, count * _KEY_LINE_BYTES + 1):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def translated_files() -> Iterator[None]:
    """Turn the system's errors into the store's.

    Raises:
        StorageFullError: no space is left.
        StorageError: whatever else.
    """
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise StorageFullError("no space is left for the snapshot; nothing is left of it") from None
        raise StorageError(f"a file of the snapshot failed: {error.strerror}") from None


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _clear(parent: Path) -> None:
    """Remove what killed processes left unfinished."""
    for path in parent.glob(f"{_UNFINISHED}{IdKind.SNAPSHOT}_*"):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # no directory of ours, or gone meanwhile
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)


def _opened(path: Path) -> BinaryIO:
    # Threat: a link, a pipe or a device in the place of a file.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return os.fdopen(descriptor, "rb")


def _chunks(file: BinaryIO, limit: int | None = None) -> Iterator[bytes]:
    """Read to the end, or no further than a limit: a sparse file, or one that grows, ends nowhere."""
    left = limit
    while chunk := file.read(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left)):
        yield chunk
        left = None if left is None else left - len(chunk)


def _read(path: Path, check: str) -> bytes:
    with translated_files():
        try:
            with _opened(path) as file:
                return file.read(MAX_MANIFEST_BYTES + 1)
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
    raise TamperedError(f"{check}: expected {path.name}, got no such file")
