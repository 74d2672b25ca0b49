"""The two types that make an unsealed write impossible: `Binding` and `Sealed`.

Storage columns for content accept only `Sealed`; only `vault.crypto.aead` makes one from plaintext,
and only storage makes one from bytes that it read. This module owns the values, not the cipher.
"""

from dataclasses import dataclass
from enum import StrEnum

from policies.model import AccessTier


class SealedField(StrEnum):
    """The purpose of a sealed field: part of its associated data."""

    TEXT = "text"
    """Masked text of a memory."""
    ATTRIBUTES = "attributes"
    """Speaker, title, tags, metadata, times, spans, keyphrases: JSON."""
    ORIGINALS = "originals"
    """Values that tokens stand for: JSON; opened only under reveal."""
    TERMS = "terms"
    """Keyed hashes of search terms."""
    EMBEDDING = "embedding"
    """The dense vector, little-endian float16."""
    EPISODE = "episode"
    """Attributes of an episode: title, source, times: JSON."""
    SUBJECT_NAME = "subject-name"
    """The caller's own name of a subject."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a sealed value belongs; it opens nowhere else (ARCHITECTURE section 4)."""

    tenant: str
    record: str
    """Id of the memory, episode or subject."""
    version: int
    subjects: tuple[str, ...]
    """Vault ids of the subjects, sorted; several mean a joint key."""
    access_tier: AccessTier
    field: SealedField


@dataclass(frozen=True, slots=True)
class Sealed:
    """Ciphertext with header, nonce and commitment, as stored."""

    data: bytes

    def __repr__(self) -> str:
        return f"Sealed({len(self.data)} bytes)"
