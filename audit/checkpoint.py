"""Checkpoints as in C2SP tlog-checkpoint: origin, tree size, root hash, optional extension lines.

Owns the text and its signing and opening as a note. It leaves consistency between checkpoints to
`audit.merkle` and their storage to `audit.log`.

    memos-vault/ward-1/clinic-a
    15
    rKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=
"""

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from audit.errors import CheckpointMalformedError, VerificationError
from audit.merkle import HASH_SIZE, MAX_TREE_SIZE
from audit.note import Signer, Verifier, parse_base64, sign_note, verify_note

_FIXED_LINES: Final = 3
_MAX_SIZE_DIGITS: Final = 19


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself at one size."""

    origin: str
    size: int
    root: bytes
    """32 bytes."""
    extensions: tuple[str, ...] = ()

    def encode(self) -> str:
        """Return the text whose `parse_checkpoint` is this."""
        lines = (self.origin, str(self.size), b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint and the note that carries its signatures."""

    checkpoint: Checkpoint
    note: bytes


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint in a note's text.

    Raises:
        CheckpointMalformedError: fewer than three lines, an empty line, a size that is not a
            canonical decimal of at most 63 bits, or a root that is not base64 of 32 bytes.
    """
    lines = text.split("\n")
    if len(lines) <= _FIXED_LINES or lines.pop() or not all(lines):
        raise CheckpointMalformedError(
            "expected origin, size, root and no empty line, each ended by a newline"
        )
    origin, size, root, *extensions = lines
    value = parse_base64(root)
    if value is None or len(value) != HASH_SIZE:
        raise CheckpointMalformedError(f"expected a root of {HASH_SIZE} bytes in base64")
    return Checkpoint(origin, _parse_size(size), value, tuple(extensions))


def _parse_size(text: str) -> int:
    canonical = text.isascii() and text.isdigit() and len(text) <= _MAX_SIZE_DIGITS
    if not canonical or str(int(text)) != text or int(text) > MAX_TREE_SIZE:
        raise CheckpointMalformedError("expected a tree size in decimal without leading zeros")
    return int(text)


def sign_checkpoint(checkpoint: Checkpoint, signers: Iterable[Signer]) -> SignedCheckpoint:
    """Return the checkpoint signed by each signer.

    Raises:
        CheckpointMalformedError: its text would read back as another checkpoint.
    """
    text = checkpoint.encode()
    if parse_checkpoint(text) != checkpoint:
        raise CheckpointMalformedError("expected a checkpoint whose lines hold no newline")
    return SignedCheckpoint(checkpoint, sign_note(text, signers))


def verify_checkpoint(note: bytes, verifier: Verifier, *others: Verifier) -> Checkpoint:
    """Return the checkpoint in a note that the log's own key signed, or another key of its name.

    Raises:
        NoteMalformedError: the bytes are not a note.
        CheckpointMalformedError: the note is not a checkpoint.
        VerificationError: the key did not sign it, or it is of another log than the key's.
    """
    checkpoint = parse_checkpoint(verify_note(note, [verifier, *others]).text)
    if checkpoint.origin != verifier.name:
        raise VerificationError("checkpoint origin", expected=verifier.name, got=checkpoint.origin)
    return checkpoint
