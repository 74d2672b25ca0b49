"""Evidence: what the verifier is given, wherever it was read from.

Owns the values that storage and bundles produce and `audit.verify` consumes. Nothing in them is
trusted: each is what somebody who may own the database, or made the bundle, says.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

SYSTEM_LOG: Final = "system"
"""Reserved tenant id: the log of the deployment itself, which records every tenant's checkpoints."""

HashReader = Callable[[int, int, int], bytes | None]
"""`(level, index, width)` to the joined hashes of that tile, as the source holds them; None: not held."""


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
    erased_by: int | None = None
    """Leaf index of the entry that erased salt and payload; None where they stand."""
    withheld: bool = False
    """Salt and payload were left out of this evidence: neither shown nor erased."""


@dataclass(frozen=True, slots=True)
class EntryBeside:
    """An entry that is shown beside a range, with its path to the root of the whole tree."""

    entry: StoredEntry
    path: tuple[bytes, ...]
    """Hashes from the leaf's sibling up."""


@dataclass(frozen=True, slots=True)
class StoredCosignature:
    """A signature line that a witness gave for the checkpoint of one size."""

    size: int
    witness: str
    """Name of the witness's key."""
    line: str
    """As in a note: dash, key name, base64; with or without its newline."""


@dataclass(frozen=True, slots=True)
class LogEvidence:
    """One tenant's log: the notes of its checkpoints, and its entries in order of index."""

    tenant: str
    checkpoints: Sequence[bytes]
    """Smallest tree first, gone through more than once. A note may carry cosignatures among its lines."""
    entries: Iterable[StoredEntry]
    head: tuple[int, bytes] | None = None
    """Size and encoded compact range that the source holds for the tree; None where it holds none."""
    cosignatures: tuple[StoredCosignature, ...] = ()
    """Those that the source keeps beside the notes."""
    tiles: HashReader | None = None
    """Tiles as the source holds them, of 256 hashes each once full; None where it keeps no tiles."""
    subtrees: HashReader | None = None
    """The same hashes where the source keeps them one by one, level 1 and above; None where it does not."""
    start: int = 0
    """Index of the first entry: above 0 where only a range is shown, and tiles speak for the rest."""
    size: int | None = None
    """Size of the tree that the range was taken from; None where all entries are shown."""
    beside: Iterable[EntryBeside] = ()
    """With a range: entries behind it that erased payloads in it, by index."""
