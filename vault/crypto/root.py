"""The root of the keys: what wraps every other key, wherever it lives.

Owns the protocol alone. `local_root` keeps the root in a file; a transit server keeps it elsewhere,
behind the same four members.
"""

from enum import StrEnum
from typing import Protocol


class RootKind(StrEnum):
    """Where a root lives."""

    FILE = "file"
    PASSPHRASE = "passphrase"  # noqa: S105  # a kind


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

    def wrap(self, context: bytes, key: bytes) -> bytes:
        """Protect a key."""
        ...

    def unwrap(self, context: bytes, wrapped: bytes) -> bytes:
        """Give the key back.

        Raises:
            KeyWrongError: it was wrapped under another root.
            TamperedError: it, or its context, is not what was wrapped.
        """
        ...
