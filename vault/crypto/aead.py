"""Sealing: XAES-256-GCM with a commitment to key and context, bound to the place of a value.

Owns the format of a sealed value and its associated data. It leaves keys to `vault.crypto.keyring`
and the cipher to `vault.crypto.xaes`. Format 1 (docs/adr/0005-sealing-format.md):

    format 1 · number of keys 1 · key versions 4 each · nonce 24 · commitment 32 · ciphertext · tag 16

The commitment is HMAC-SHA256 over nonce and associated data under a key of its own. AES-GCM alone does
not commit: a ciphertext can be made that opens under two keys to two texts, and the log could then not
say which of them was read. The commitment is compared first, in constant time.

Associated data, every string behind its length, so that no two places have the same bytes:

    domain · format · tenant · number of subjects · (subject · key version)… · record · version · tier · field

A value moved to another row, column, version, tenant, tier or key version does not open.
"""

import hmac
import struct
from typing import Final

from policies.model import AccessTier
from vault.clock import Entropy
from vault.crypto.derive import Label, derive
from vault.crypto.encoding import frame
from vault.crypto.sealed import Binding, Sealed, SealedField
from vault.crypto.xaes import KEY_BYTES, NONCE_BYTES, TAG_BYTES, Xaes256Gcm
from vault.errors import IdentifierInvalidError, InputTooLargeError, TamperedError

FORMAT: Final = 1
COMMITMENT_BYTES: Final = 32
MAX_SUBJECTS: Final = 64
MAX_PLAINTEXT_BYTES: Final = 64 * 1024 * 1024
"""One field; larger media are sealed in pieces."""
MAX_VERSION: Final = 2**32 - 1

_DOMAIN: Final = b"memos-vault/sealed"
_HEAD: Final = struct.Struct(">BB")
_VERSION: Final = struct.Struct(">I")
_BOX_BYTES: Final = NONCE_BYTES + COMMITMENT_BYTES + TAG_BYTES
_TIERS: Final = {tier: frame(tier.encode()) for tier in AccessTier}
_FIELDS: Final = {field: frame(field.encode()) for field in SealedField}


class CommittingAead:
    """One 32-byte secret, made ready to seal: XAES key and commitment key derived from it.

    CPython cannot wipe what stands in the cipher's and the HMAC's state; it goes with the object.
    """

    def __init__(self, secret: bytes) -> None:
        keys = derive(secret, Label.AEAD, size=2 * KEY_BYTES)
        self._cipher = Xaes256Gcm(keys[:KEY_BYTES])
        self._committer = hmac.new(keys[KEY_BYTES:], digestmod="sha256")

    def encrypt(self, nonce: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
        """Return nonce, commitment, ciphertext and tag."""
        sealed = self._cipher.encrypt(nonce, plaintext, associated_data)
        return nonce + self._commitment(nonce, associated_data) + sealed

    def decrypt(self, box: bytes, associated_data: bytes) -> bytes:
        """Invert `encrypt`.

        Raises:
            TamperedError: another key, other associated data, or a changed or cut box.
        """
        if len(box) < _BOX_BYTES:
            raise TamperedError(
                f"a sealed value is cut: expected at least {_BOX_BYTES} bytes, got {len(box)}"
            )
        nonce, committed = box[:NONCE_BYTES], box[NONCE_BYTES : NONCE_BYTES + COMMITMENT_BYTES]
        if not hmac.compare_digest(committed, self._commitment(nonce, associated_data)):
            raise TamperedError("a sealed value does not belong to this key and place")
        return self._cipher.decrypt(nonce, box[NONCE_BYTES + COMMITMENT_BYTES :], associated_data)

    def _commitment(self, nonce: bytes, associated_data: bytes) -> bytes:
        committer = self._committer.copy()
        committer.update(nonce)  # of fixed size, so the two need no frame
        committer.update(associated_data)
        return committer.digest()


class AeadKey:
    """A sealing secret with the versions of the subject keys that it came from."""

    def __init__(self, secret: bytes, versions: tuple[int, ...]) -> None:
        self.versions: Final = versions
        self.header: Final = header(versions)
        self.aead: Final = CommittingAead(secret)


def header(versions: tuple[int, ...]) -> bytes:
    """Return the clear head of a sealed value: format and key versions.

    Raises:
        IdentifierInvalidError: no key, too many, or a version out of range.
    """
    if not 1 <= len(versions) <= MAX_SUBJECTS:
        raise IdentifierInvalidError(f"expected 1 to {MAX_SUBJECTS} subjects, got {len(versions)}")
    return _HEAD.pack(FORMAT, len(versions)) + b"".join(map(_packed, versions))


def key_versions(sealed: Sealed) -> tuple[int, ...]:
    """Read from its head which key versions a value was sealed under; not yet authenticated.

    Raises:
        TamperedError: the head is not of this format.
    """
    data = sealed.data
    if len(data) < _HEAD.size:
        raise TamperedError("a sealed value is cut before its head ends")
    form, count = _HEAD.unpack_from(data)
    if form != FORMAT or not 1 <= count <= MAX_SUBJECTS or len(data) < _HEAD.size + count * _VERSION.size:
        raise TamperedError("a sealed value has no head of this format")
    return struct.unpack_from(f">{count}I", data, _HEAD.size)


def key_part(tenant: str, subjects: tuple[str, ...], versions: tuple[int, ...]) -> bytes:
    """Return the associated data's first part, the same for all values under one key.

    Raises:
        IdentifierInvalidError: not one key version for each subject.
    """
    if len(subjects) != len(versions):
        raise IdentifierInvalidError(
            f"expected a key version for each of {len(subjects)} subjects, got {len(versions)}"
        )
    pairs = b"".join(
        frame(subject.encode()) + _packed(version)
        for subject, version in zip(subjects, versions, strict=True)
    )
    return frame(_DOMAIN, bytes([FORMAT]), tenant.encode()) + _packed(len(subjects)) + pairs


def row_part(record: str, version: int, access_tier: AccessTier) -> bytes:
    """Return the associated data's middle part, the same for all fields of one row.

    Raises:
        IdentifierInvalidError: the version is out of range.
    """
    return frame(record.encode()) + _packed(version) + _TIERS[access_tier]


def field_part(field: SealedField) -> bytes:
    """Return the associated data's last part."""
    return _FIELDS[field]


def associated_data(binding: Binding, versions: tuple[int, ...]) -> bytes:
    """Return the whole associated data of a value."""
    return (
        key_part(binding.tenant, binding.subjects, versions)
        + row_part(binding.record, binding.version, binding.access_tier)
        + field_part(binding.field)
    )


def seal(key: AeadKey, binding: Binding, plaintext: bytes, nonce_source: Entropy) -> Sealed:
    """Seal a value for one place.

    Raises:
        InputTooLargeError: beyond `MAX_PLAINTEXT_BYTES`.
        IdentifierInvalidError: the binding does not fit the key, or a version is out of range.
    """
    return seal_bound(key, associated_data(binding, key.versions), plaintext, nonce_source)


def seal_bound(key: AeadKey, bound: bytes, plaintext: bytes, nonce_source: Entropy) -> Sealed:
    """Seal under associated data that was already put together, once a row.

    Raises:
        InputTooLargeError: beyond `MAX_PLAINTEXT_BYTES`.
    """
    if len(plaintext) > MAX_PLAINTEXT_BYTES:
        raise InputTooLargeError(
            f"expected at most {MAX_PLAINTEXT_BYTES} bytes to seal, got {len(plaintext)}"
        )
    return Sealed(key.header + key.aead.encrypt(nonce_source(NONCE_BYTES), plaintext, bound))


def open_(key: AeadKey, binding: Binding, sealed: Sealed) -> bytes:
    """Open a value where it stands.

    Raises:
        TamperedError: it is not what was sealed for this place under this key.
    """
    if len(binding.subjects) != len(key.versions):
        raise TamperedError("a sealed value was sealed for another number of subjects")
    return open_bound(key, associated_data(binding, key.versions), sealed)


def open_bound(key: AeadKey, bound: bytes, sealed: Sealed) -> bytes:
    """Open under associated data that was already put together.

    Raises:
        TamperedError: it is not what was sealed under them.
    """
    head = key.header
    if not sealed.data.startswith(head):
        raise TamperedError("a sealed value was sealed under another format or key version")
    return key.aead.decrypt(sealed.data[len(head) :], bound)


def _packed(number: int) -> bytes:
    if not 0 <= number <= MAX_VERSION:
        raise IdentifierInvalidError(f"expected a version of 0 to {MAX_VERSION}, got {number}")
    return _VERSION.pack(number)
