"""Rows of memories and episodes as values, and the digests by which the log knows them again.

Owns the mapping between a row and its value, strict where it reads. It leaves finding rows to
`vault.storage.read_unit` and `vault.storage.found`, adding them to `vault.storage.write_unit`, and the
tables to `vault.storage.schema`. Nothing is sealed or opened here: content comes and goes as `Sealed`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from struct import Struct
from typing import Final

from sqlalchemy import Row

from policies.model import AccessTier, Purpose
from vault.clock import from_microseconds
from vault.crypto.sealed import Sealed
from vault.errors import TamperedError
from vault.model import MemoryTier, Retention, TrustState
from vault.storage.damaged_text import MARK

_FIXED: Final = (
    "memory_id",
    "version",
    "episode_id",
    "position",
    "owner",
    "access_tier",
    "subjects",
    "recorded",
    "purpose",
    "retention",
    "retention_rule",
    "term_start",
    "detector",
    "text",
    "attributes",
    "originals",
    "terms",
)
_HEAD: Final = Struct(">cQ").pack
"""Kind and length of a part of a digest."""
_EPISODE_FIXED: Final = ("episode_id", "owner", "access_tier", "subjects", "kind", "recorded", "attributes")


@dataclass(frozen=True, slots=True)
class StoredMemory:
    """One version of a memory as it lies in the store: content sealed."""

    memory_id: str
    version: int
    episode_id: str
    position: int
    owner: str
    access_tier: AccessTier
    memory_tier: MemoryTier
    trust: TrustState
    subjects: tuple[str, ...]
    recorded: int
    """Microseconds since 1970 UTC."""
    purpose: Purpose
    """Why it was written."""
    retention: Retention
    leaf_index: int
    detector: str
    text: Sealed
    attributes: Sealed
    originals: Sealed | None
    terms: Sealed

    def digest(self) -> str:
        """Return the hex digest of all that never changes in the row, by which the log knows it again."""
        return row_digest(self.row(""))

    def row(self, tenant: str) -> dict[str, object]:
        """Return the row to insert; its leaf index is filled in by the commit."""
        return {
            "tenant_id": tenant,
            "memory_id": self.memory_id,
            "version": self.version,
            "is_current": 1,
            "episode_id": self.episode_id,
            "position": self.position,
            "owner": self.owner,
            "access_tier": self.access_tier.value,
            "memory_tier": self.memory_tier.value,
            "trust": self.trust.value,
            "subjects": join_subjects(self.subjects),
            "recorded": self.recorded,
            "purpose": self.purpose.value,
            "retention": self.retention.class_id,
            "retention_rule": self.retention.rule,
            "term_start": self.retention.start,
            "leaf_index": -1,
            "resealed": None,
            "detector": self.detector,
            "text": self.text,
            "attributes": self.attributes,
            "originals": self.originals,
            "terms": self.terms,
        }


@dataclass(frozen=True, slots=True)
class StoredEpisode:
    """An episode as it lies in the store."""

    episode_id: str
    owner: str
    access_tier: AccessTier
    subjects: tuple[str, ...]
    kind: str
    recorded: int
    attributes: Sealed

    def row(self, tenant: str) -> dict[str, object]:
        """Return the row to insert; its leaf index is filled in by the commit."""
        return {
            "tenant_id": tenant,
            "episode_id": self.episode_id,
            "owner": self.owner,
            "access_tier": self.access_tier.value,
            "subjects": join_subjects(self.subjects),
            "kind": self.kind,
            "recorded": self.recorded,
            "leaf_index": -1,
            "resealed": None,
            "attributes": self.attributes,
        }


def row_digest(row: Mapping[str, object]) -> str:
    """Return the hex digest of a row's fixed columns: all but tenant, leaf index, trust, tier and currency.

    Each part stands behind its kind and length, so that no two rows have the same bytes. Takes whatever
    the database gives: a row that somebody wrote by hand has a digest, too, only another one.
    """
    return _digest(row, _FIXED)


def episode_digest(row: Mapping[str, object]) -> str:
    """Return the hex digest of an episode's row: all but tenant and leaf index, as `row_digest` does it."""
    return _digest(row, _EPISODE_FIXED)


def _digest(row: Mapping[str, object], names: Sequence[str]) -> str:
    parts: list[bytes] = []
    for name in names:
        value = row[name]
        if type(value) is Sealed:
            data = value.data
            parts += (_HEAD(b"s", len(data)), data)
        else:
            data = str(value).encode()
            parts += (_HEAD(b"c", len(data)), data)
    return sha256(b"".join(parts)).hexdigest()


def join_subjects(subjects: Sequence[str]) -> str:
    """Write subject ids as one column; ids contain no space."""
    return " ".join(subjects)


def split_subjects(column: str) -> tuple[str, ...]:
    """Invert `join_subjects`.

    Raises:
        TypeError: the column holds no text: SQLite keeps whatever type was put there.
    """
    if not isinstance(column, str):
        raise TypeError("expected subjects as text")
    return tuple(column.split())


def stored_memory(row: Row[tuple[object, ...]]) -> StoredMemory:
    """Make the value from a row of the memory table.

    Raises:
        TamperedError: a column holds what the vault never writes there.
    """
    try:
        from_microseconds(row.recorded)
        _expect_whole_numbers(row.version, row.position, row.leaf_index, row.term_start)
        _expect_text(row.memory_id, row.episode_id, row.owner, row.subjects, row.retention, row.detector)
        if row.retention_rule is not None:
            _expect_text(row.retention_rule)
        return StoredMemory(
            memory_id=row.memory_id,
            version=row.version,
            episode_id=row.episode_id,
            position=row.position,
            owner=row.owner,
            access_tier=AccessTier(row.access_tier),
            memory_tier=MemoryTier(row.memory_tier),
            trust=TrustState(row.trust),
            subjects=split_subjects(row.subjects),
            recorded=row.recorded,
            purpose=Purpose(row.purpose),
            retention=Retention(row.retention, row.retention_rule, row.term_start),
            leaf_index=row.leaf_index,
            detector=row.detector,
            text=row.text,
            attributes=row.attributes,
            originals=row.originals,
            terms=row.terms,
        )
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise TamperedError("a row of the memory table is not of the form of one") from None


def _expect_whole_numbers(*values: object) -> None:
    """SQLite keeps whatever type was put into a column of numbers."""
    for value in values:
        if type(value) is not int or value < 0:
            raise TypeError("expected whole numbers")


def _expect_text(*values: object) -> None:
    for value in values:
        if not isinstance(value, str) or MARK in value:
            raise TypeError("expected text")


def stored_episode(row: Row[tuple[object, ...]]) -> StoredEpisode:
    """Make the value from a row of the episode table.

    Raises:
        TamperedError: a column holds what the vault never writes there.
    """
    try:
        _expect_whole_numbers(row.recorded)
        _expect_text(row.episode_id, row.owner, row.subjects, row.kind)
        return StoredEpisode(
            episode_id=row.episode_id,
            owner=row.owner,
            access_tier=AccessTier(row.access_tier),
            subjects=split_subjects(row.subjects),
            kind=row.kind,
            recorded=row.recorded,
            attributes=row.attributes,
        )
    except (ValueError, TypeError, AttributeError):
        raise TamperedError("a row of the episode table is not of the form of one") from None
