"""Looking into a store whose log is not what was seen of it: read only, without any secret key.

Owns the examination: a copy of the store's file is read, so that the evidence stays as it was found; each
log is held against every checkpoint that store and anchor have, and it is said up to which size it agrees
and from which on it does not. It leaves the full verification to `audit.verify`.

What was found cannot be an entry of a log that is damaged: it goes to the anchor, or to a file beside the
vault where there is none.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from audit.anchor import FileAnchor
from audit.checkpoint import Checkpoint, verify_checkpoint
from audit.cosignature_rows import largest_cosigned
from audit.errors import AnchorUnusableError, MalformedError, VerificationError
from audit.event import EventType
from audit.evidence import LogEvidence
from audit.merkle import HASH_SIZE, CompactRange, leaf_hash
from audit.reader import LogReader
from audit.signing import VerifierKey
from audit.trust import Trust
from audit.verify import verify_logs
from vault.errors import NotFoundError, StorageError, StoreCorruptError
from vault.storage.damaged_text import read_damaged_text
from vault.storage.directory import VaultDirectory

MAX_NAMED: Final = 100
"""Findings that are named; more are counted."""
IN_STORE: Final = "the store's checkpoint"
IN_ANCHOR: Final = "the anchor"
_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Point:
    """Somebody saw a tree of this size and root, signed by the log's key."""

    size: int
    root: bytes
    seen_by: str


@dataclass(frozen=True, slots=True)
class LogForensics:
    """What was found of one log."""

    log: str
    """Tenant id."""
    size: int
    """Entries that are stored, as their indexes count."""
    points: int
    """Checkpoints that it was held against."""
    agrees_up_to: int
    """Largest size at which it is what was seen."""
    differs_at: int | None
    """Smallest size at which it is not: something in `[agrees_up_to, differs_at)` was altered or is gone."""
    seen_by: str
    """Who saw what it is not; empty where nobody did."""
    first_bad_entry: int | None
    """Index of the first entry whose leaf hash is not its header's, or that is missing."""
    cosigned: int
    """Largest size that a row says a witness cosigned."""


@dataclass(frozen=True, slots=True)
class Forensics:
    """The outcome of an examination."""

    store_sha256: str
    logs: tuple[LogForensics, ...]
    findings: tuple[str, ...]
    """Of a full verification; the first so many."""
    more_findings: int
    anchor_damaged: int
    """Lines of the anchor that are no record."""

    @property
    def clean(self) -> bool:
        """Whether nothing disagrees."""
        return not self.findings and all(
            one.differs_at is None and one.first_bad_entry is None for one in self.logs
        )

    def document(self, time: datetime) -> bytes:
        """Return what is kept of it: ids, sizes and hashes alone."""
        told = {
            "event": EventType.LOG_FORENSICS.value,
            "time": time.isoformat(),
            "store_sha256": self.store_sha256,
            "clean": self.clean,
            "witnesses": "not asked",
            "logs": [
                {
                    "log": one.log,
                    "size": one.size,
                    "agrees_up_to": one.agrees_up_to,
                    "differs_at": one.differs_at,
                    "seen_by": one.seen_by,
                    "first_bad_entry": one.first_bad_entry,
                }
                for one in self.logs
            ],
            "findings": len(self.findings) + self.more_findings,
        }
        return json.dumps(told, sort_keys=True).encode()


def examine(
    directory: VaultDirectory, keys: Sequence[VerifierKey], anchor: FileAnchor | None = None
) -> Forensics:
    """Examine a vault's log without opening the vault, changing nothing.

    Args:
        directory: Of the vault; no other process may have it open.
        keys: The deployment's verifier keys, at best from elsewhere than the vault.
        anchor: What was seen outside the database.

    Raises:
        NotFoundError: there is no store.
        VaultInUseError: another process has the vault open.
        StoreCorruptError: the file is no database that can be read.
    """
    if not directory.rows.is_file():
        raise NotFoundError("there is no store at this place")
    held = directory.hold()
    try:
        with tempfile.TemporaryDirectory(prefix="memvault-forensics-") as folder:
            copy, digest = _copy(directory.rows, Path(folder))
            with _reading(copy) as connection:
                return _examine(connection, keys, anchor, digest)
    except (SQLAlchemyError, OSError) as error:
        raise StoreCorruptError(f"the store cannot be read: {type(error).__name__}") from None
    finally:
        held.release()


def keep(found: Forensics, time: datetime, directory: VaultDirectory, anchor: FileAnchor | None) -> str:
    """Write down that an examination was made and what it found; return where.

    Raises:
        StorageError: neither the anchor nor the file beside the vault can be written.
    """
    document = found.document(time)
    if anchor is not None:
        try:
            anchor.append_finding(document)
        except AnchorUnusableError:
            pass  # then beside the vault
        else:
            return IN_ANCHOR
    beside = directory.path.with_name(directory.path.name + ".forensics")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(beside, flags, 0o600), "ab") as file:
            file.write(document + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StorageError(f"the finding cannot be written: {error.strerror}") from None
    return str(beside)


def _copy(rows: Path, folder: Path) -> tuple[Path, str]:
    """Copy the store with its write-ahead log; return the copy and the SHA-256 of the original's bytes."""
    digest = hashlib.sha256()
    for suffix in ("", "-wal"):
        original = rows.with_name(rows.name + suffix)
        if not original.is_file():
            continue
        with original.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        shutil.copyfile(original, folder / original.name)
    return folder / rows.name, digest.hexdigest()


@contextmanager
def _reading(path: Path) -> Iterator[Connection]:
    engine = create_engine(f"sqlite:///{path}", hide_parameters=True)
    event.listen(engine, "connect", lambda connection, _record: read_damaged_text(connection))
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA query_only=ON")
            yield connection
    finally:
        engine.dispose()


def _examine(
    connection: Connection, keys: Sequence[VerifierKey], anchor: FileAnchor | None, digest: str
) -> Forensics:
    trust = Trust(tuple(keys))
    anchored: dict[str, list[bytes]] = {}
    for origin in () if anchor is None else anchor.origins():
        tenant = trust.tenant_of(origin)
        if anchor is not None and tenant is not None:
            anchored[tenant] = list(anchor.notes(origin))
    logs: list[LogForensics] = []
    reader = LogReader()
    stored: set[str] = set()
    for evidence in reader.evidence(connection):
        stored.add(evidence.tenant)
        points = _points(evidence.tenant, keys, evidence.checkpoints, anchored.get(evidence.tenant, ()))
        cosigned = largest_cosigned(connection, evidence.tenant)
        logs.append(_examine_log(evidence, points, cosigned))
    for tenant in sorted(set(anchored) - stored):
        points = _points(tenant, keys, (), anchored[tenant])
        logs.append(_examine_log(LogEvidence(tenant, (), ()), points, 0))
    seen = [note for tenant in anchored for note in anchored[tenant] if _opened(note, tenant, keys)]
    report = verify_logs(reader.evidence(connection), trust, remembered=seen, unsigned_allowed=True)
    return Forensics(
        digest,
        tuple(logs),
        tuple(map(str, report.findings[:MAX_NAMED])),
        report.more_findings + len(report.findings[MAX_NAMED:]),
        0 if anchor is None else anchor.damaged,
    )


def _points(
    tenant: str, keys: Sequence[VerifierKey], stored: Iterable[bytes], anchored: Iterable[bytes]
) -> list[Point]:
    """Return what was seen of a log under its own key, the smallest size first; what does not verify is no point."""
    found: dict[tuple[int, bytes], Point] = {}
    for seen_by, notes in ((IN_ANCHOR, anchored), (IN_STORE, stored)):
        for note in notes:
            checkpoint = _opened(note, tenant, keys)
            if checkpoint is not None:
                point = Point(checkpoint.size, checkpoint.root, seen_by)
                found.setdefault((point.size, point.root), point)
    return sorted(found.values(), key=lambda point: point.size)


def _opened(note: bytes, tenant: str, keys: Sequence[VerifierKey]) -> Checkpoint | None:
    for key in keys:
        try:
            return verify_checkpoint(note, key.for_log(tenant))
        except (MalformedError, VerificationError):
            continue
    return None


def _examine_log(evidence: LogEvidence, points: Sequence[Point], cosigned: int) -> LogForensics:
    """Go through a log's entries once and hold its tree against each point."""
    tree, left = CompactRange(), list(points)
    agrees, first_bad = 0, None
    differs: Point | None = None

    def hold() -> None:
        nonlocal agrees, differs
        while left and left[0].size == tree.size:
            point = left.pop(0)
            if tree.root() == point.root:
                agrees = point.size if differs is None else agrees
            elif differs is None:
                differs = point

    hold()
    for entry in evidence.entries:
        kept = entry.leaf_hash if entry.leaf_hash is not None and len(entry.leaf_hash) == HASH_SIZE else b""
        if first_bad is None and (entry.index != tree.size or kept != leaf_hash(entry.header.encode())):
            first_bad = tree.size
        tree = tree.extended([kept or bytes(HASH_SIZE)])
        hold()
    if differs is None and left:
        differs = left[0]
        first_bad = tree.size if first_bad is None else first_bad
    return LogForensics(
        log=evidence.tenant,
        size=tree.size,
        points=len(points),
        agrees_up_to=agrees,
        differs_at=None if differs is None else differs.size,
        seen_by="" if differs is None else differs.seen_by,
        first_bad_entry=first_bad,
        cosigned=cosigned,
    )
