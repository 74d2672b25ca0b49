"""Signed notes as in C2SP signed-note: text, an empty line, signature lines.

Owns the form of a note and checking it against keys. It leaves keys to `audit.signing` and what the
text means to `audit.checkpoint`.

    This is an example message.

    — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=

Each signature line is an em dash, the key's name, and base64 of the 4-byte key id and the signature.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from audit.errors import NoteMalformedError, VerificationError

MAX_NOTE_SIZE: Final = 1_000_000
MAX_SIGNATURES: Final = 100
KEY_ID_SIZE: Final = 4
MAX_KEY_NAME_LENGTH: Final = 255

_SIGNATURE_PREFIX: Final = "\u2014 "


class Signer(Protocol):
    """Signs notes under a name."""

    @property
    def name(self) -> str:
        """Name of the key, as signature lines show it."""

    @property
    def key_id(self) -> bytes:
        """4 bytes."""

    def sign(self, message: bytes) -> bytes:
        """Return the signature of `message`."""


class Verifier(Protocol):
    """Checks signatures made under a name."""

    @property
    def name(self) -> str:
        """Name of the key, as signature lines show it."""

    @property
    def key_id(self) -> bytes:
        """4 bytes."""

    def verify(self, message: bytes, signature: bytes) -> None:
        """Raise VerificationError unless `signature` is one of `message`."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line."""

    name: str
    key_id: bytes
    value: bytes

    def __str__(self) -> str:
        return f"{_SIGNATURE_PREFIX}{self.name} {b64encode(self.key_id + self.value).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """Text and signature lines, not verified."""

    text: str
    """Ends with a newline."""
    signatures: tuple[Signature, ...]

    def encode(self) -> bytes:
        """Return the bytes whose `parse_note` is this."""
        return (self.text + "\n" + "".join(map(str, self.signatures))).encode()


def is_key_name(name: str) -> bool:
    """Tell whether `name` may name a key: not empty, without white space, controls and plus signs."""
    return 1 <= len(name) <= MAX_KEY_NAME_LENGTH and name.isprintable() and not ("+" in name or " " in name)


def parse_base64(text: str) -> bytes | None:
    """Return the bytes whose one canonical standard base64 is `text`, None where there are none."""
    try:
        value = b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
    return value if b64encode(value).decode() == text else None


def parse_note(note: bytes) -> Note:
    """Return text and signature lines of a well-formed note; nothing is verified yet.

    Raises:
        NoteMalformedError: too large, not UTF-8, with control characters, without signatures or
            with more than 100, or a signature line that is not of the one form.
    """
    if len(note) > MAX_NOTE_SIZE:
        raise NoteMalformedError(f"expected a note of at most {MAX_NOTE_SIZE} bytes, got {len(note)}")
    try:
        whole = note.decode()
    except UnicodeDecodeError as error:
        raise NoteMalformedError("expected a note in UTF-8") from error
    if any(character < " " and character != "\n" for character in whole):
        raise NoteMalformedError("expected a note without control characters")
    text, separator, lines = whole.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise NoteMalformedError("expected a note of text, an empty line and signature lines")
    signatures = lines[:-1].split("\n")
    if len(signatures) > MAX_SIGNATURES:
        raise NoteMalformedError(f"expected at most {MAX_SIGNATURES} signatures, got {len(signatures)}")
    return Note(text + "\n", tuple(map(_parse_signature, signatures)))


def _parse_signature(line: str) -> Signature:
    name, separator, encoded = line.removeprefix(_SIGNATURE_PREFIX).partition(" ")
    value = parse_base64(encoded)
    if not line.startswith(_SIGNATURE_PREFIX) or not separator or not is_key_name(name):
        raise NoteMalformedError("expected a signature line of dash, key name and base64")
    if value is None or len(value) <= KEY_ID_SIZE:
        raise NoteMalformedError("expected a signature of key id and signature in base64")
    return Signature(name, value[:KEY_ID_SIZE], value[KEY_ID_SIZE:])


def sign_note(text: str, signers: Iterable[Signer]) -> bytes:
    """Return the note of `text` with one signature line for each signer.

    Raises:
        NoteMalformedError: the text does not end with a newline or is otherwise no note's text.
    """
    message = text.encode()
    signatures = tuple(Signature(signer.name, signer.key_id, signer.sign(message)) for signer in signers)
    note = Note(text, signatures)
    encoded = note.encode()
    if parse_note(encoded) != note:
        raise NoteMalformedError("expected a text that ends with a newline")
    return encoded


def verify_note(note: bytes, verifiers: Iterable[Verifier]) -> Note:
    """Return the note with the signatures that were checked; signatures of unknown keys are left out.

    Raises:
        NoteMalformedError: the bytes are not a note.
        VerificationError: a signature of a known key is wrong, or no known key signed.
    """
    parsed = parse_note(note)
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    message = parsed.text.encode()
    verified: dict[tuple[str, bytes], Signature] = {}
    for signature in parsed.signatures:
        key = (signature.name, signature.key_id)
        if key in known and key not in verified:
            known[key].verify(message, signature.value)
            verified[key] = signature
    if not verified:
        names = ", ".join(sorted({name for name, _ in known})) or "a known key"
        raise VerificationError("note signature", expected=f"one by {names}", got="none")
    return Note(parsed.text, tuple(verified.values()))
