r"""Cosignatures as in C2SP tlog-cosignature, the Ed25519 kind (`cosignature/v1`, key type 0x04).

Owns a witness's keys, the message that it signs and the signature line that comes of it. It leaves the
keys' text to `audit.key_text`, notes to `audit.note`, checkpoints to `audit.checkpoint`, and what a
witness may sign to `audit.witness`.

    witness.example/w1+8a1b2c3d+BA…                     verifier key: type 0x04, 32-byte public key
    PRIVATE+KEY+witness.example/w1+8a1b2c3d+BA…         signer key, with the 32-byte seed in its place
    — witness.example/w1 base64(key id || u64 time || 64-byte Ed25519 signature)

What is signed is `cosignature/v1\ntime <time>\n` and the whole text of the note. It does not hold the
witness's name: one key under two names is one witness, and `verify_cosignatures` counts it once.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from audit.errors import NoteMalformedError, VerificationError
from audit.key_text import KeyForm, check_key
from audit.note import MAX_SIGNATURES, Note, Signature, parse_note

TIME_SIZE: Final = 8
SIGNATURE_SIZE: Final = 64
MAX_TIME: Final = 2**63 - 1
MAX_LINES_SIZE: Final = 64 * 1024
"""Bytes of a witness's answer that are looked at."""

_FORM: Final = KeyForm(b"\x04", "a cosignature key")


def cosigned_message(text: str, time: int) -> bytes:
    """Return what a witness signs for a note's text at a time, in POSIX seconds."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def compute_witness_key_id(name: str, public: bytes) -> bytes:
    """Return SHA-256(name || 0x0A || 0x04 || public key)[:4]."""
    return _FORM.key_id(name, public)


def cosignature_time(signature: Signature) -> int:
    """Return when a cosignature says that it was made, in POSIX seconds; nothing is verified.

    Raises:
        NoteMalformedError: it is not of the form of a cosignature.
    """
    if len(signature.value) != TIME_SIZE + SIGNATURE_SIZE:
        raise NoteMalformedError(
            f"expected a cosignature of {TIME_SIZE + SIGNATURE_SIZE} bytes, got {len(signature.value)}"
        )
    time = int.from_bytes(signature.value[:TIME_SIZE])
    if time > MAX_TIME:
        raise NoteMalformedError("expected a cosignature's time of at most 63 bits")
    return time


@dataclass(frozen=True, slots=True)
class WitnessVerifierKey:
    """A witness's public key under its name; a `Verifier` of notes."""

    name: str
    public: bytes
    """32 bytes."""
    key_id: bytes = field(init=False)

    def __post_init__(self) -> None:
        check_key(self.name, self.public)
        object.__setattr__(self, "key_id", compute_witness_key_id(self.name, self.public))

    @classmethod
    def parse(cls, text: str) -> "WitnessVerifierKey":
        """Return the key of `name+id+base64`.

        Raises:
            KeyMalformedError: not of that form, of another algorithm, or the id is not the key's.
        """
        return cls(*_FORM.parse_public(text))

    def __str__(self) -> str:
        return _FORM.public_text(self.name, self.public)

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check a cosignature of a note's text: its time and, behind it, the signature.

        Raises:
            VerificationError: it is not one of `message` by this key.
        """
        try:
            time = cosignature_time(Signature(self.name, self.key_id, signature))
            signed = cosigned_message(message.decode(), time)
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature[TIME_SIZE:], signed)
        except (InvalidSignature, NoteMalformedError, UnicodeDecodeError):
            raise VerificationError(
                "cosignature", expected=f"a valid one by {self.name}", got="an invalid one"
            ) from None


@dataclass(frozen=True, slots=True)
class WitnessSignerKey:
    """A witness's private key under its name."""

    name: str
    seed: bytes = field(repr=False)
    """32 bytes."""
    verifier: WitnessVerifierKey = field(init=False)
    _private: Ed25519PrivateKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_key(self.name, self.seed)
        private = Ed25519PrivateKey.from_private_bytes(self.seed)
        public = private.public_key().public_bytes_raw()
        object.__setattr__(self, "_private", private)
        object.__setattr__(self, "verifier", WitnessVerifierKey(self.name, public))

    @classmethod
    def parse(cls, text: str) -> "WitnessSignerKey":
        """Return the key of `PRIVATE+KEY+name+id+base64`.

        Raises:
            KeyMalformedError: not of that form, of another algorithm, or the id is not the key's.
        """
        return cls(*_FORM.parse_private(text))

    def encode(self) -> str:
        """Return the secret text whose `parse` is this key."""
        return _FORM.private_text(self.name, self.seed)

    def cosign(self, text: str, time: int) -> Signature:
        """Return the cosignature of a note's text at a time, in POSIX seconds.

        Raises:
            ValueError: the time is beyond 63 bits.
        """
        if not 0 <= time <= MAX_TIME:
            raise ValueError(f"expected a time from 0 to {MAX_TIME}, got {time}")
        value = time.to_bytes(TIME_SIZE) + self._private.sign(cosigned_message(text, time))
        return Signature(self.name, self.verifier.key_id, value)


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A cosignature that was verified."""

    witness: WitnessVerifierKey
    time: int
    """POSIX seconds, as the witness says."""
    signature: Signature


def parse_cosignatures(lines: bytes) -> tuple[Signature, ...]:
    """Return the signature lines of a witness's answer; nothing is verified.

    Raises:
        NoteMalformedError: too large, or not one to a hundred signature lines.
    """
    if len(lines) > MAX_LINES_SIZE:
        raise NoteMalformedError(f"expected at most {MAX_LINES_SIZE} bytes of cosignatures, got {len(lines)}")
    note = parse_note(b"\n\n" + lines)
    if note.text != "\n":
        raise NoteMalformedError("expected nothing but signature lines")
    return note.signatures


def verify_cosignatures(
    note: Note, witnesses: Iterable[WitnessVerifierKey], *, not_after: int | None = None
) -> tuple[Cosignature, ...]:
    """Return the verified cosignatures of a note, one a witness; those of unknown keys are left out.

    Args:
        note: The note with its signature lines.
        witnesses: The keys that count.
        not_after: Latest time that a cosignature may bear, in POSIX seconds.

    Raises:
        VerificationError: a cosignature by a known key is wrong, or comes from the future.
    """
    known = {(witness.name, witness.key_id): witness for witness in witnesses}
    found: dict[bytes, Cosignature] = {}
    for signature in note.signatures[:MAX_SIGNATURES]:
        witness = known.get((signature.name, signature.key_id))
        if witness is None or witness.public in found:
            continue
        witness.verify(note.text.encode(), signature.value)
        time = cosignature_time(signature)
        if not_after is not None and time > not_after:
            raise VerificationError("cosignature's time", expected=f"at most {not_after}", got=str(time))
        found[witness.public] = Cosignature(witness, time, signature)
    return tuple(found.values())
