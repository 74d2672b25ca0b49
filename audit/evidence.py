"""Evidence: what the verifier is given, wherever it was read from.

Owns the two values that storage and bundles produce and `audit.verify` consumes.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One entry as stored; nothing about it is trusted."""

    index: int
    header: str
    salt: bytes | None
    payload: str | None
    """Canonical JSON; None, like the salt, where it was erased."""
    leaf_hash: bytes | None = None
    """As stored beside the entry; None where the source does not keep it."""


@dataclass(frozen=True, slots=True)
class LogEvidence:
    """One tenant's log: entries in order of index, and the notes of its checkpoints."""

    tenant: str
    entries: Iterable[StoredEntry]
    checkpoints: Iterable[bytes]
    size: int | None = None
    """What the source claims the size to be, e.g. the head's; None where it claims nothing."""
    root: bytes | None = None
    """What the source claims the root at that size to be."""
