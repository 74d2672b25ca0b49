"""Ed25519 keys of the log, in the key formats of C2SP signed-note and Go's sumdb/note.

Owns key ids, encodings, signing and verifying. It leaves the file to `audit.key_file` and randomness
to the caller. A deployment has one log key; each tenant's log signs with it under its own name, the
log's origin, so that one verifier key given out of band serves every log:

    memos-vault/ward-1+8a1b2c3d+AQ…        verifier key: name + key id + base64(0x01 || public key)
    PRIVATE+KEY+memos-vault/ward-1+8a1b2c3d+AQ…   signer key, with the 32-byte seed in its place
"""

from base64 import b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from audit.errors import KeyMalformedError, VerificationError
from audit.note import KEY_ID_SIZE, is_key_name, parse_base64

ORIGIN_PREFIX: Final = "memos-vault"
SEED_SIZE: Final = 32

_ED25519: Final = b"\x01"
_PRIVATE: Final = "PRIVATE+KEY+"


def compute_key_id(name: str, public: bytes) -> bytes:
    """Return SHA-256(name || 0x0A || 0x01 || public key)[:4]."""
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:KEY_ID_SIZE]


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key under a name. Verifies notes, and gives the verifier of each log under it."""

    name: str
    public: bytes
    """32 bytes."""
    key_id: bytes = field(init=False)

    def __post_init__(self) -> None:
        _check_key(self.name, self.public)
        object.__setattr__(self, "key_id", compute_key_id(self.name, self.public))

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Return the key of `name+id+base64`.

        Raises:
            KeyMalformedError: not of that form, of another algorithm, or the id is not the key's.
        """
        name, key_id, public = _split_key(text)
        key = cls(name, public)
        _check_key_id(key.key_id, key_id)
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{b64encode(_ED25519 + self.public).decode()}"

    def for_log(self, tenant: str) -> "VerifierKey":
        """Return the same key under the origin of a tenant's log."""
        return VerifierKey(f"{self.name}/{tenant}", self.public)

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check a signature.

        Raises:
            VerificationError: it is not one of `message` by this key.
        """
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            raise VerificationError(
                "note signature", expected=f"a valid one by {self.name}", got="an invalid one"
            ) from None


@dataclass(frozen=True, slots=True)
class SignerKey:
    """A private key under a name: a deployment's log key, or the signer of one log under it."""

    name: str
    seed: bytes = field(repr=False)
    """32 bytes."""
    verifier: VerifierKey = field(init=False)
    _private: Ed25519PrivateKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_key(self.name, self.seed)
        private = Ed25519PrivateKey.from_private_bytes(self.seed)
        object.__setattr__(self, "_private", private)
        object.__setattr__(self, "verifier", VerifierKey(self.name, private.public_key().public_bytes_raw()))

    @classmethod
    def for_deployment(cls, deployment: str, seed: bytes) -> "SignerKey":
        """Return the log key of a deployment, named `memos-vault/<deployment>`.

        Raises:
            KeyMalformedError: the name cannot stand in a key or the seed is not of 32 bytes.
        """
        return cls(f"{ORIGIN_PREFIX}/{deployment}", seed)

    @classmethod
    def parse(cls, text: str) -> "SignerKey":
        """Return the key of `PRIVATE+KEY+name+id+base64`.

        Raises:
            KeyMalformedError: not of that form, of another algorithm, or the id is not the key's.
        """
        if not text.startswith(_PRIVATE):
            raise KeyMalformedError("expected a signer key that starts with PRIVATE+KEY+")
        name, key_id, seed = _split_key(text.removeprefix(_PRIVATE))
        key = cls(name, seed)
        _check_key_id(key.key_id, key_id)
        return key

    def encode(self) -> str:
        """Return the secret text whose `parse` is this key."""
        return f"{_PRIVATE}{self.name}+{self.key_id.hex()}+{b64encode(_ED25519 + self.seed).decode()}"

    @property
    def key_id(self) -> bytes:
        """4 bytes, the verifier's."""
        return self.verifier.key_id

    def for_log(self, tenant: str) -> "SignerKey":
        """Return the same key under the origin of a tenant's log."""
        return SignerKey(f"{self.name}/{tenant}", self.seed)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of `message`."""
        return self._private.sign(message)


def _check_key(name: str, key: bytes) -> None:
    if not is_key_name(name):
        raise KeyMalformedError("expected a key name without white space and plus signs")
    if len(key) != SEED_SIZE:
        raise KeyMalformedError(f"expected a key of {SEED_SIZE} bytes, got {len(key)}")


def _check_key_id(expected: bytes, got: str) -> None:
    if expected.hex() != got:
        raise KeyMalformedError(f"expected key id {expected.hex()}, got another")


def _split_key(text: str) -> tuple[str, str, bytes]:
    name, first, rest = text.partition("+")
    key_id, second, encoded = rest.partition("+")
    value = parse_base64(encoded)
    if not first or not second or not value or value[:1] != _ED25519:
        raise KeyMalformedError("expected an Ed25519 key of name, id and base64, joined by plus signs")
    return name, key_id, value[1:]
