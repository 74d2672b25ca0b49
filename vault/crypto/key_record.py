"""What is known of a wrapped key, and the store that keeps it.

Owns the values `KeyName` and `KeyRecord` and the protocol `KeyStore`. It leaves SQL to
`vault.crypto.key_store` and the keys themselves to `vault.crypto.keyring`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from vault.crypto.encoding import frame


class KeyKind(StrEnum):
    """What a key stored under the root is for."""

    SUBJECT = "subject"
    """Seals the memories about one subject, and makes its tokens."""
    SUBJECT_IDS = "subject-ids"
    """Turns the names of a tenant's subjects into vault ids, and seals its credentials; never rotated, or every
    id would change."""
    SEARCH = "search"
    """Hashes a tenant's search terms and queries."""


class KeyState(StrEnum):
    """The life of a key."""

    ACTIVE = "active"
    """Seals and opens."""
    RETIRED = "retired"
    """Opens what it sealed. A newer version seals; whoever leased this one may seal until the lease ends."""
    DESTROYED = "destroyed"
    """Gone: the row stays as a tombstone, without the key."""


class KeyName(NamedTuple):
    """Which key."""

    tenant: str
    kind: KeyKind
    subject: str
    """Vault id of the subject; empty for a tenant's own keys."""
    version: int
    """From 1."""

    @property
    def context(self) -> bytes:
        """What its wrapping is bound to: a wrapped key moved to another row does not unwrap."""
        parts = ("memos-vault/wrapped-key", self.tenant, self.kind, self.subject, str(self.version))
        return frame(*(part.encode() for part in parts))

    def __str__(self) -> str:
        return f"{self.kind} key {self.subject or 'of the tenant'} v{self.version}"


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One row of the key store."""

    name: KeyName
    wrapped: bytes
    """The key under the root; empty once destroyed."""
    fingerprint: str
    state: KeyState
    seal_reserved: int
    """How many seals may have been made with it: an upper bound, raised in blocks before they are used."""
    created: datetime


class KeyStore(Protocol):
    """Keeps key records; every change is on the disk when the method returns. May be shared by threads."""

    def find(self, name: KeyName) -> KeyRecord | None:
        """Return one version of a key."""
        ...

    def newest(self, tenant: str, kind: KeyKind, subject: str) -> KeyRecord | None:
        """Return the highest version, compared as a number, whatever its state."""
        ...

    def add(self, records: Sequence[KeyRecord]) -> list[KeyRecord]:
        """Store new keys in one transaction and return what now stands under their names.

        A name that is taken keeps the key it has: of two that create the same key, both get one.
        """
        ...

    def succeed(self, successor: KeyRecord) -> KeyRecord:
        """Store the next version and retire the one before it, in one transaction; return what stands.

        Raises:
            KeyDestroyedError: the version before it was destroyed.
        """
        ...

    def destroy(self, tenant: str, subject: str, bury: datetime | None = None) -> list[KeyRecord]:
        """Destroy all versions of a subject's key in one transaction; return all that stand destroyed now.

        Where there is none and `bury` is given, a tombstone of that time sees to it that there never is one.
        """
        ...

    def destroy_retired(self, names: Sequence[KeyName]) -> list[KeyRecord]:
        """Destroy versions that are retired, in one transaction; return those that it destroyed."""
        ...

    def fold(self, seconds: float) -> bool:
        """Leave no byte of what was destroyed beside the store; say whether that was done within the time."""
        ...

    def reserve(self, name: KeyName, block: int, limit: int) -> int:
        """Raise a living key's count by up to `block`, not beyond `limit`; return by how much."""
        ...

    def records(self, tenant: str | None = None) -> Iterator[KeyRecord]:
        """Go through all keys, or a tenant's, in order of their names."""
        ...
