"""The root of the keys: what wraps every other key, wherever it lives.

Owns the protocol alone. `local_root` keeps the root in a file; `transit_root` leaves it on a server, which
never gives it away, behind the same members.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from vault.errors import VaultError


class RootKind(StrEnum):
    """Where a root lives."""

    FILE = "file"
    PASSPHRASE = "passphrase"  # noqa: S105  # a kind
    TRANSIT = "transit"


class InContext(NamedTuple):
    """A key, clear or wrapped, with the context that it is bound to."""

    context: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class RootHealth:
    """Whether a root can be used now."""

    fault: VaultError | None = None
    """Why not; None where it can."""
    notes: tuple[str, ...] = ()
    """What will be a fault if nobody looks after it."""


class RootKey(Protocol):
    """Wraps keys, each bound to a context of bytes; may be shared by threads."""

    @property
    def kind(self) -> RootKind:
        """Where it lives."""
        ...

    @property
    def fingerprint(self) -> str:
        """Its name in logs: 32 hex digits."""
        ...

    def wrap_many(self, keys: Sequence[InContext]) -> list[bytes]:
        """Protect keys; all of them or none.

        Raises:
            RootUnusableError: or one of its kinds: the root is on a server, and cannot be used now.
        """
        ...

    def unwrap_many(self, wrapped: Sequence[InContext]) -> list[bytes | VaultError]:
        """Give keys back, each or the error that `unwrap` would raise: one bad key fails no other.

        Raises:
            RootUnusableError: or one of its kinds: none of them can be had now.
        """
        ...

    def unwrap(self, context: bytes, wrapped: bytes) -> bytes:
        """Give one key back.

        Raises:
            KeyWrongError: it was wrapped under another root.
            TamperedError: it, or its context, is not what was wrapped.
            RootUnusableError: or one of its kinds: the root is on a server, and cannot be used now.
        """
        ...

    def health(self) -> RootHealth:
        """Say whether it can be used now."""
        ...
