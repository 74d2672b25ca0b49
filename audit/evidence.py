"""Evidence: what the verifier is given, wherever it was read from.

Owns the two values that storage and bundles produce and `audit.verify` consumes. Nothing in them is
trusted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

SYSTEM_LOG: Final = "system"
"""Reserved tenant id: the log of the deployment itself, which records every tenant's checkpoints."""


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One entry as stored."""

    index: int
    header: str
    salt: bytes | None
    payload: str | None
    """Canonical JSON; None, like the salt, where it was erased."""
    leaf_hash: bytes | None = None
    """As repeated beside the entry, like the next two; None where the source does not keep it."""
    event: str | None = None
    time_us: int | None = None
    """Microseconds since 1970."""


@dataclass(frozen=True, slots=True)
class LogEvidence:
    """One tenant's log: the notes of its checkpoints, and its entries in order of index."""

    tenant: str
    checkpoints: tuple[bytes, ...]
    entries: Iterable[StoredEntry]
    head: tuple[int, bytes] | None = None
    """Size and encoded compact range that the source holds for the tree; None where it holds none."""
