"""Checking a snapshot with public keys alone, wherever it lies: no vault, no key of it, nothing written.

Owns what is compared and the names of findings. It leaves the signature to `vault.snapshot_manifest`. That the logs
in a copy verify entry by entry, and its rows against them, is for the restore drill, which opens it.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final, NamedTuple

from audit.checkpoint import verify_checkpoint
from audit.errors import AuditError
from audit.merkle import HASH_SIZE, CompactRange, root_hash
from audit.signing import VerifierKey
from vault.errors import StorageError, TamperedError
from vault.snapshot_files import SnapshotFolder, digest_of_keys, hash_chunks, read_leaves, translated_files
from vault.snapshot_manifest import LogHead, Manifest

MAX_FOUND: Final = 100
"""Findings that are kept."""
FILE: Final = "file of a snapshot"
SIZE: Final = "size of the copy"
CHUNK: Final = "chunk of the copy"
CHUNK_LIST: Final = "list of chunks"
KEY_LIST: Final = "list of keys"
HEAD: Final = "log as the manifest has it"
CHECKPOINT: Final = "checkpoint of a log"


class SnapshotFinding(NamedTuple):
    """Something of a snapshot that is not as it must be."""

    check: str
    place: str
    """A file, the number of a chunk, or a log."""
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.check}, {self.place}: expected {self.expected}, got {self.got}"


@dataclass(frozen=True, slots=True)
class SnapshotReport:
    """What a check of a snapshot came to."""

    manifest: Manifest | None
    """None where there is none that could be believed."""
    findings: tuple[SnapshotFinding, ...]
    more: int = 0
    """Findings beyond those kept."""

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def verify_snapshot(folder: SnapshotFolder, keys: Sequence[VerifierKey]) -> SnapshotReport:
    """Check all of a snapshot.

    Args:
        folder: Where it lies.
        keys: Of the vault's log, got from elsewhere than the snapshot.

    Raises:
        NotFoundError: there is no snapshot.
        SnapshotForeignError: another vault's key signed it.
        StoreVersionError: it is of a newer format.
        StorageError: a file cannot be read.
    """
    try:
        manifest = folder.read_manifest(keys)
    except TamperedError as error:
        check, _, what = str(error).partition(": ")
        return SnapshotReport(None, (SnapshotFinding(check, folder.manifest.name, "a signed one", what),))
    found = [*_check_copy(folder, manifest), *_check_keys(folder, manifest)]
    if not found:
        found += _check_logs(folder, manifest, keys)
    return SnapshotReport(manifest, tuple(found[:MAX_FOUND]), max(0, len(found) - MAX_FOUND))


def _check_copy(folder: SnapshotFolder, manifest: Manifest) -> Iterator[SnapshotFinding]:
    """Check the copy chunk by chunk; the list of chunks is believed only if the manifest's root is its own."""
    try:
        with translated_files():
            got = hash_chunks(folder.rows, manifest.file_bytes + 1)
            size = folder.rows.stat().st_size
    except StorageError:
        yield SnapshotFinding(FILE, folder.rows.name, "a file that can be read", "none")
        return
    if size != manifest.file_bytes:
        yield SnapshotFinding(SIZE, folder.rows.name, f"{manifest.file_bytes} bytes", f"{size}")
    try:
        listed = read_leaves(folder.leaves, manifest.file_bytes)
    except StorageError:
        listed = b""
    expected = [listed[at : at + HASH_SIZE] for at in range(0, len(listed), HASH_SIZE)]
    if len(listed) % HASH_SIZE or root_hash(expected).hex() != manifest.file_root:
        yield SnapshotFinding(CHUNK_LIST, folder.leaves.name, "the signed root", "another")
        if root_hash(got).hex() != manifest.file_root:
            yield SnapshotFinding(CHUNK, "one or more", "the signed root", "another")
        return
    for number, leaf in enumerate(expected):
        found = got[number].hex() if number < len(got) else "none"
        if found != leaf.hex():
            yield SnapshotFinding(CHUNK, str(number), leaf.hex(), found)
    if len(got) > len(expected):
        yield SnapshotFinding(CHUNK, str(len(expected)), "none", "bytes behind the end")


def _check_keys(folder: SnapshotFolder, manifest: Manifest) -> Iterator[SnapshotFinding]:
    try:
        found = digest_of_keys(folder.keys, sum(manifest.keys.values()))
    except StorageError:
        found = "none"
    if found != manifest.keys_digest:
        yield SnapshotFinding(KEY_LIST, folder.keys.name, manifest.keys_digest, found)


def _check_logs(
    folder: SnapshotFolder, manifest: Manifest, keys: Sequence[VerifierKey]
) -> Iterator[SnapshotFinding]:
    """Hold heads and checkpoints that the manifest names against those in the copy."""
    uri = f"{folder.rows.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            heads = {
                str(tenant): (int(size), bytes(nodes))
                for tenant, size, nodes in connection.execute("SELECT tenant_id, size, nodes FROM audit_head")
            }
    except (sqlite3.Error, TypeError, ValueError):
        yield SnapshotFinding(HEAD, folder.rows.name, "a database with logs", "none")
        return
    for log in manifest.logs:
        try:
            found = CompactRange.decode(*heads.get(log.tenant, (0, b"")))
            _check_head(log, found)
            _check_checkpoint(log, keys)
        except (AuditError, TamperedError) as error:
            yield SnapshotFinding(HEAD, log.tenant, f"size {log.size}, and its checkpoint", str(error))
    for tenant in sorted(heads.keys() - {log.tenant for log in manifest.logs}):
        yield SnapshotFinding(HEAD, tenant, "no log that the manifest does not name", "one")


def _check_head(log: LogHead, found: CompactRange) -> None:
    if (found.size, found.root().hex()) != (log.size, log.root):
        raise TamperedError(f"size {found.size}, root {found.root().hex()}")


def _check_checkpoint(log: LogHead, keys: Sequence[VerifierKey]) -> None:
    if not log.checkpoint:
        return
    first, *others = (key.for_log(log.tenant) for key in keys)
    checkpoint = verify_checkpoint(log.checkpoint.encode(), first, *others)
    if checkpoint.size > log.size or (checkpoint.size == log.size and checkpoint.root.hex() != log.root):
        raise TamperedError(f"{CHECKPOINT} of size {checkpoint.size}")
