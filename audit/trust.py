"""Whom a verifier trusts: the log's keys and the witnesses' keys, got from elsewhere than the evidence.

Owns finding the key that a note must be signed by, and counting cosignatures. It leaves the form of
keys to `audit.signing` and `audit.cosignature`. Several log keys stand for a key that was rolled over:
a note counts if one of them signed it, and fails if one of them signed it wrongly.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from audit.checkpoint import Checkpoint, parse_checkpoint
from audit.cosignature import WitnessVerifierKey, verify_cosignatures
from audit.errors import KeyMalformedError, VerificationError
from audit.event import is_id
from audit.note import Note, parse_note, verify_note
from audit.signing import VerifierKey


@dataclass(frozen=True, slots=True)
class OpenedCheckpoint:
    """A checkpoint of a log that somebody has keys of."""

    checkpoint: Checkpoint
    tenant: str
    """Whose log it is of."""
    note: Note


@dataclass(frozen=True, slots=True)
class Trust:
    """Keys that were got from elsewhere than what they check."""

    keys: tuple[VerifierKey, ...]
    """Of a deployment, which serve all its logs, or of one log, named by its origin."""
    witnesses: tuple[WitnessVerifierKey, ...] = ()
    required: int = 0
    """Cosignatures by these witnesses without which a checkpoint is not enough."""
    may_lag: int = 0
    """Entries at the end of a log that no checkpoint with so many cosignatures needs to cover."""

    def __post_init__(self) -> None:
        if not self.keys:
            raise KeyMalformedError("expected at least one key of the log")
        witnesses = set(self.witnesses)
        # Counted by name all over: one key under two names would count twice, two under one name once.
        for kind, told in (
            ("key", {one.public for one in witnesses}),
            ("name", {one.name for one in witnesses}),
        ):
            if len(told) < len(witnesses):
                raise KeyMalformedError(f"expected each witness once, got one {kind} twice")
        if not 0 <= self.required <= len(witnesses):
            raise KeyMalformedError(f"expected the keys of at least {self.required} witnesses")
        if self.may_lag < 0 or (self.may_lag and not self.required):
            raise KeyMalformedError("expected witnesses that may lag only where cosignatures are required")

    def tenant_of(self, origin: str) -> str | None:
        """Return whose log has this origin under these keys; None where it is none of theirs."""
        for key in self.keys:
            parent, _, tenant = origin.rpartition("/")
            if key.name in (origin, parent):
                return tenant if is_id(tenant) else None
        return None

    def open_note(self, note: bytes, tenant: str | None = None) -> OpenedCheckpoint:
        """Return the checkpoint in a note that a trusted key of its log signed; see `cosigners` for the rest.

        Args:
            note: The note, with cosignatures among its lines or without.
            tenant: Whose log it must be of; None takes any log of these keys.

        Raises:
            MalformedError: it is no note, or no checkpoint.
            VerificationError: it is of another log, or a signature is missing or wrong.
        """
        opened = self.read_note(note, tenant)
        verify_note(note, self.keys_of(opened.checkpoint.origin, opened.tenant))
        return opened

    def read_note(self, note: bytes, tenant: str | None = None) -> OpenedCheckpoint:
        """Return the checkpoint in a note of a log of these keys, whoever signed it.

        Raises:
            MalformedError: it is no note, or no checkpoint.
            VerificationError: it is of another log.
        """
        parsed = parse_note(note)
        checkpoint = parse_checkpoint(parsed.text)
        found = self.tenant_of(checkpoint.origin)
        if found is None or (tenant is not None and found != tenant):
            expected = f"{self.keys[0].name}/{tenant or '<tenant>'}"
            raise VerificationError("checkpoint origin", expected=expected, got="another origin")
        return OpenedCheckpoint(checkpoint, found, parsed)

    def cosigners(self, opened: OpenedCheckpoint) -> tuple[str, ...]:
        """Return the names of the trusted witnesses that cosigned a checkpoint, each once.

        Raises:
            VerificationError: a cosignature by one of them is wrong.
        """
        return tuple(one.witness.name for one in verify_cosignatures(opened.note, self.witnesses))

    def require_witnesses(self, witnesses: Iterable[str]) -> None:
        """Check that enough witnesses cosigned.

        Raises:
            VerificationError: fewer than are required.
        """
        count = len(set(witnesses))
        if count < self.required:
            expected = f"{self.required} by trusted witnesses"
            raise VerificationError("cosignatures", expected=expected, got=str(count))

    def keys_of(self, origin: str, tenant: str) -> list[VerifierKey]:
        """Return the keys that were given for a log, under its origin."""
        named = [key if key.name == origin else key.for_log(tenant) for key in self.keys]
        return [key for key in named if key.name == origin]
