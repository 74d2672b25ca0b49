"""Ed25519 keys as text, in the key formats of C2SP signed-note and Go's sumdb/note.

Owns key ids and both texts, read strictly; the byte before a key says what it signs, and nothing else
differs. What is signed, and how, is left to `audit.signing` (logs, 0x01) and `audit.cosignature`
(witnesses, 0x04).

    example.com/foo+530d903a+AekyeR…                 verifier key: name + key id + base64(type || public key)
    PRIVATE+KEY+example.com/foo+530d903a+AQAB…       signer key, with the 32-byte seed in its place
"""

from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.errors import KeyMalformedError
from audit.note import KEY_ID_SIZE, is_key_name, parse_base64

KEY_SIZE: Final = 32
"""Bytes of a public key and of a seed."""
PRIVATE_PREFIX: Final = "PRIVATE+KEY+"


def check_key(name: str, key: bytes) -> None:
    """See that a name can stand in a key's text, and that a key or seed is of its size.

    Raises:
        KeyMalformedError: one of both is not so.
    """
    if not is_key_name(name):
        raise KeyMalformedError("expected a key name without white space and plus signs")
    if len(key) != KEY_SIZE:
        raise KeyMalformedError(f"expected a key of {KEY_SIZE} bytes, got {len(key)}")


@dataclass(frozen=True, slots=True)
class KeyForm:
    """One kind of key: the type byte of its algorithm, and what an error calls it."""

    type: bytes
    called: str

    def key_id(self, name: str, public: bytes) -> bytes:
        """Return SHA-256(name || 0x0A || type || public key)[:4]."""
        return sha256(name.encode() + b"\n" + self.type + public).digest()[:KEY_ID_SIZE]

    def public_text(self, name: str, public: bytes) -> str:
        """Return the text whose `parse_public` is this."""
        return self._text(name, public, public)

    def private_text(self, name: str, seed: bytes) -> str:
        """Return the secret text whose `parse_private` is this."""
        return PRIVATE_PREFIX + self._text(name, _public(seed), seed)

    def parse_public(self, text: str) -> tuple[str, bytes]:
        """Return name and public key of `name+id+base64`.

        Raises:
            KeyMalformedError: not of that form, of another algorithm, or the id is not the key's.
        """
        name, key_id, public = self._split(text)
        self._check_id(key_id, name, public)
        return name, public

    def parse_private(self, text: str) -> tuple[str, bytes]:
        """Return name and seed of `PRIVATE+KEY+name+id+base64`.

        Raises:
            KeyMalformedError: not of that form, of another algorithm, or the id is not the key's.
        """
        if not text.startswith(PRIVATE_PREFIX):
            raise KeyMalformedError(f"expected a signer key that starts with {PRIVATE_PREFIX}")
        name, key_id, seed = self._split(text.removeprefix(PRIVATE_PREFIX))
        self._check_id(key_id, name, _public(seed))
        return name, seed

    def _text(self, name: str, public: bytes, key: bytes) -> str:
        return f"{name}+{self.key_id(name, public).hex()}+{b64encode(self.type + key).decode()}"

    def _split(self, text: str) -> tuple[str, str, bytes]:
        name, first, rest = text.partition("+")
        key_id, second, encoded = rest.partition("+")
        value = parse_base64(encoded)
        if not first or not second or not value or value[:1] != self.type:
            raise KeyMalformedError(f"expected {self.called} of name, id and base64, joined by plus signs")
        check_key(name, value[1:])
        return name, key_id, value[1:]

    def _check_id(self, got: str, name: str, public: bytes) -> None:
        expected = self.key_id(name, public).hex()
        if got != expected:
            raise KeyMalformedError(f"expected key id {expected}, got another")


def _public(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
