"""Ed25519 keys of the log: signing and verifying, and the roll-over from one key to the next.

It leaves the keys' text to `audit.key_text`, the file to `audit.key_file` and randomness to the caller. A deployment has one log key; each tenant's log signs with it under its own name, the
log's origin, so that one verifier key given out of band serves every log:

    memos-vault/ward-1+8a1b2c3d+AQ…        verifier key: name + key id + base64(0x01 || public key)
    PRIVATE+KEY+memos-vault/ward-1+8a1b2c3d+AQ…   signer key, with the 32-byte seed in its place

A key is rolled over with an overlap, in which each checkpoint carries the signatures of both keys. That
the old key hands over to the new one is a note that both sign (`Handover`); it stands in every log.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from audit.errors import KeyMalformedError, VerificationError
from audit.key_text import KEY_SIZE, PRIVATE_PREFIX, KeyForm, check_key
from audit.note import parse_note, sign_note, verify_note

ORIGIN_PREFIX: Final = "memos-vault"
SEED_SIZE: Final = KEY_SIZE
MAX_RETIRED: Final = 64
"""Keys of the past that are kept to check old checkpoints with."""

_FORM: Final = KeyForm(b"\x01", "an Ed25519 key")
_MOST_SIGNERS: Final = 2
HANDOVER_TITLE: Final = "memos-vault log key handover v1"
_HANDOVER_KEYS: Final = 2


def compute_key_id(name: str, public: bytes) -> bytes:
    """Return SHA-256(name || 0x0A || 0x01 || public key)[:4]."""
    return _FORM.key_id(name, public)


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key under a name. Verifies notes, and gives the verifier of each log under it."""

    name: str
    public: bytes
    """32 bytes."""
    key_id: bytes = field(init=False)

    def __post_init__(self) -> None:
        check_key(self.name, self.public)
        object.__setattr__(self, "key_id", compute_key_id(self.name, self.public))

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Return the key of `name+id+base64`.

        Raises:
            KeyMalformedError: not of that form, of another algorithm, or the id is not the key's.
        """
        return cls(*_FORM.parse_public(text))

    def __str__(self) -> str:
        return _FORM.public_text(self.name, self.public)

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
        check_key(self.name, self.seed)
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
        return cls(*_FORM.parse_private(text))

    def encode(self) -> str:
        """Return the secret text whose `parse` is this key."""
        return _FORM.private_text(self.name, self.seed)

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


@dataclass(frozen=True, slots=True)
class LogKeys:
    """What a deployment signs its logs with, and the keys that signed them before.

    Example of its lines, as the key file holds them:

        PRIVATE+KEY+memos-vault/ward-1+8a1b2c3d+AQ…     the key in force
        PRIVATE+KEY+memos-vault/ward-1+52c2d3b0+AQ…     the next one, while both sign
        memos-vault/ward-1+0e41aa77+AQ…                 one of the past, its public half
    """

    current: SignerKey
    following: SignerKey | None = None
    """The key that takes over; None but during a roll-over."""
    retired: tuple[VerifierKey, ...] = ()
    """Latest first."""

    def __post_init__(self) -> None:
        keys = self.verifiers
        if len({key.name for key in keys}) != 1 or len({key.public for key in keys}) != len(keys):
            raise KeyMalformedError("expected log keys of one name, each once")
        if len(self.retired) > MAX_RETIRED:
            raise KeyMalformedError(f"expected at most {MAX_RETIRED} keys of the past")

    @classmethod
    def of(cls, keys: "SignerKey | LogKeys") -> "LogKeys":
        """Return the keys of a deployment that may have but one."""
        return keys if isinstance(keys, LogKeys) else cls(keys)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the keys of `encode`'s lines.

        Raises:
            KeyMalformedError: not of that form.
        """
        lines = text.split("\n")
        signers = [SignerKey.parse(line) for line in lines if line.startswith(PRIVATE_PREFIX)]
        retired = tuple(VerifierKey.parse(line) for line in lines[len(signers) :])
        if not 1 <= len(signers) <= _MOST_SIGNERS:
            raise KeyMalformedError("expected one signer key, or two while one takes over")
        return cls(signers[0], signers[1] if len(signers) > 1 else None, retired)

    def encode(self) -> str:
        """Return the secret text whose `parse` is this: a line for each key, without a last newline."""
        return "\n".join([*(key.encode() for key in self.signers), *map(str, self.retired)])

    @property
    def name(self) -> str:
        """Name of all of them: the deployment's."""
        return self.current.name

    @property
    def signers(self) -> tuple[SignerKey, ...]:
        """The keys that sign now."""
        return (self.current,) if self.following is None else (self.current, self.following)

    @property
    def verifiers(self) -> tuple[VerifierKey, ...]:
        """Public halves of all keys that sign or ever signed, the one in force first."""
        return (*(key.verifier for key in self.signers), *self.retired)

    def begun(self, following: SignerKey) -> "LogKeys":
        """Return the keys of a roll-over to `following`.

        Raises:
            KeyMalformedError: one is under way, or that key is of another name or was used before.
        """
        if self.following is not None:
            raise KeyMalformedError("expected no roll-over under way")
        return replace(self, following=following)

    def finished(self) -> "LogKeys":
        """Return the keys after the roll-over: the next one is in force, the old one only checks.

        Raises:
            KeyMalformedError: none is under way.
        """
        if self.following is None:
            raise KeyMalformedError("expected a roll-over under way")
        return LogKeys(self.following, None, (self.current.verifier, *self.retired))


@dataclass(frozen=True, slots=True)
class Handover:
    """The statement that one log key takes over from another."""

    old: VerifierKey
    new: VerifierKey

    @property
    def text(self) -> str:
        """What both keys sign; no checkpoint, whose second line is a number."""
        return f"{HANDOVER_TITLE}\n{self.old}\n{self.new}\n"


def sign_handover(old: SignerKey, new: SignerKey) -> bytes:
    """Return the note of a handover, signed by both keys."""
    return sign_note(Handover(old.verifier, new.verifier).text, [old, new])


def verify_handover(note: bytes, trusted: Iterable[VerifierKey]) -> Handover:
    """Return the handover in a note that its old key, a trusted one, and its new key signed.

    Raises:
        NoteMalformedError: the bytes are no note.
        KeyMalformedError: its text names no two keys of one deployment.
        VerificationError: the old key is not trusted, or one of both did not sign.
    """
    known = tuple(trusted)
    verify_note(note, known)
    handover = read_handover(note)
    if handover.old not in known:
        raise VerificationError("handover", expected="one by a trusted key", got="one by another")
    return handover


def read_handover(note: bytes) -> Handover:
    """Return the handover in a note that both of its keys signed; whether to trust either is another question.

    Raises:
        NoteMalformedError: the bytes are no note.
        KeyMalformedError: its text names no two keys of one deployment.
        VerificationError: one of both did not sign.
    """
    title, *keys = parse_note(note).text.split("\n")
    if title != HANDOVER_TITLE or len(keys) != _HANDOVER_KEYS + 1 or keys.pop():
        raise KeyMalformedError("expected a handover of old and new log key")
    old, new = map(VerifierKey.parse, keys)
    if old.name != new.name or old.public == new.public:
        raise KeyMalformedError("expected two keys of one deployment")
    for key in (old, new):
        verify_note(note, [key])
    return Handover(old, new)


def follow_handovers(trusted: Iterable[VerifierKey], notes: Iterable[bytes]) -> tuple[VerifierKey, ...]:
    """Return the trusted keys and those that took over from them, by handovers in their order.

    Raises:
        MalformedError: a note is none of a handover.
        VerificationError: a handover is by a key that is not trusted.
    """
    keys = list(trusted)
    for note in notes:
        handover = verify_handover(note, keys)
        if handover.new not in keys:
            keys.append(handover.new)
    return tuple(keys)
