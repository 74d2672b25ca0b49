"""Subkeys by HKDF-SHA256 (RFC 5869): one label a use, so that no key serves two purposes.

Owns the labels and the form of the `info` string. The strength comes from the secrets given in: they
are uniformly random, so the salt stays empty (RFC 5869, section 3.1).
"""

from enum import StrEnum
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vault.crypto.encoding import frame

KEY_BYTES: Final = 32
_DOMAIN: Final = b"memos-vault/derive/1"


class Label(StrEnum):
    """What a derived key is for."""

    AEAD = "aead"
    """XAES key and commitment key of one sealing secret."""
    SEALING = "sealing"
    """The sealing secret of one subject, or of several jointly."""
    TOKEN = "token"  # noqa: S105  # a label
    """Tokens that stand for a subject's values."""
    FINGERPRINT = "fingerprint"
    """The name of a key in logs and certificates."""
    ROOT_WRAP = "root-wrap"
    """Wrapping keys under a local root."""
    ROOT_PASSPHRASE = "root-passphrase"  # noqa: S105  # a label
    """Wrapping a local root under a passphrase's key."""
    SUBJECT_ID = "subject-id"
    """Vault ids of a tenant's subjects."""
    SEARCH_TERMS = "search-terms"
    """Keyed hashes of a tenant's search terms."""
    QUERY_DIGEST = "query-digest"
    """Keyed hashes of a tenant's queries in the audit log."""
    CREDENTIAL = "credential"
    """Seals of a tenant's credentials: which secret stands for whom."""
    SURROGATES = "surrogates"
    """Choice of stand-ins for tokens in the text that is embedded."""
    TOMBSTONE = "tombstone"
    """Keyed digests of what was removed for good."""


def derive(secret: bytes | bytearray, label: Label, context: bytes = b"", size: int = KEY_BYTES) -> bytes:
    """Return `size` bytes for one use of `secret`.

    Args:
        secret: Uniformly random, at least 32 bytes.
        label: The use.
        context: What else the key is bound to.
        size: Bytes wanted.
    """
    return hkdf(bytes(secret), b"", frame(_DOMAIN, label.encode(), context), size)


def hkdf(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    """HKDF-SHA256 as it stands in RFC 5869; use `derive`."""
    return HKDF(algorithm=SHA256(), length=size, salt=salt, info=info).derive(secret)


def fingerprint(secret: bytes | bytearray) -> str:
    """Return the name of a key, 32 hex digits from which nothing about the key can be learned."""
    return derive(secret, Label.FINGERPRINT, size=16).hex()
