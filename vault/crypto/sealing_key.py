"""What the rest of the vault seals and opens with: one key for one set of subjects, and one row under it.

Owns `SealingKey` (made by the keyring alone) and `Sealer`, which seals all fields of one row. It
leaves the format to `vault.crypto.aead` and the life of keys to `vault.crypto.keyring`.

Example:
    key = keys.sealing_key([subject])
    sealer = key.bind("mem_…", 1, AccessTier.PRIVATE)
    text = sealer.seal(SealedField.TEXT, b"…")
"""

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple, Protocol

from policies.model import AccessTier
from vault.clock import Entropy
from vault.crypto.aead import AeadKey, field_part, key_part, open_bound, row_part, seal_bound
from vault.crypto.key_record import KeyKind, KeyName
from vault.crypto.sealed import Binding, Sealed, SealedField
from vault.errors import IdentifierInvalidError, StorageError, TamperedError, VaultError


class Keeper(Protocol):
    """Keeps what a key opened, until the key goes."""

    def adopt(self, owner: object, tenant: str) -> None:
        """Keep content for a key of a tenant from now on."""
        ...

    def opened(self, owner: object, place: bytes, sealed: bytes, open_: Callable[[], bytes]) -> bytes:
        """Return content that is kept, or open it and keep it."""
        ...

    def forget(self, owner: object) -> None:
        """Wipe what is kept for a key."""
        ...


class SealingName(NamedTuple):
    """Which key: several subjects mean a joint key."""

    tenant: str
    subjects: tuple[str, ...]
    """Vault ids, sorted, each once."""
    versions: tuple[int, ...]
    """Key version of each subject."""

    def parts(self) -> list[KeyName]:
        """Return the names of the keys that it is made from."""
        return [
            KeyName(self.tenant, KeyKind.SUBJECT, subject, version)
            for subject, version in zip(self.subjects, self.versions, strict=False)
        ]


class SealingKey:
    """A key ready to use; may be shared by threads, and held for a unit of work, not longer.

    Args:
        name: Which key.
        secret: 32 bytes.
        entropy: Source of nonces.
        count: Called before each seal; raises where the key may seal no more.
    """

    def __init__(self, name: SealingName, secret: bytes, entropy: Entropy, count: Callable[[], None]) -> None:
        self.name: Final = name
        self._aead: AeadKey | None = AeadKey(secret, name.versions)
        self._fault: VaultError = StorageError("the vault is closed")
        self._bound = key_part(*name)
        self._entropy = entropy
        self._count = count
        self._keeper: Keeper | None = None

    def __repr__(self) -> str:
        return f"SealingKey({self.name})"

    @property
    def subjects(self) -> tuple[str, ...]:
        """Vault ids of the subjects, sorted."""
        return self.name.subjects

    @property
    def versions(self) -> tuple[int, ...]:
        """Key version of each subject."""
        return self.name.versions

    def bind(
        self, record: str, version: int, access_tier: AccessTier, nonces: Entropy | None = None
    ) -> "Sealer":
        """Return a sealer for the fields of one row.

        Args:
            record: Id of the row.
            version: Of the row.
            access_tier: Of the row.
            nonces: Where its nonces come from; None is this key's own source.

        Raises:
            IdentifierInvalidError: the version is out of range.
        """
        return Sealer(self, self._bound + row_part(record, version, access_tier), nonces or self._entropy)

    def seal(self, binding: Binding, plaintext: bytes) -> Sealed:
        """Seal one value for one place.

        Raises:
            IdentifierInvalidError: the place is another tenant's or other subjects'.
            InputTooLargeError: the value is beyond the limit of one field.
            KeyExhaustedError: the key's limit is reached.
        """
        if not self._fits(binding):
            raise IdentifierInvalidError("expected a binding to the tenant and subjects of this key")
        return self.bind(binding.record, binding.version, binding.access_tier).seal(binding.field, plaintext)

    def open(self, binding: Binding, sealed: Sealed) -> bytes:
        """Open one value where it stands.

        Raises:
            TamperedError: it is not what was sealed for this place.
        """
        if not self._fits(binding):
            raise TamperedError(
                f"{binding.field} of {binding.record} belongs to another tenant or other subjects"
            )
        return self.bind(binding.record, binding.version, binding.access_tier).open(binding.field, sealed)

    def close(self, fault: VaultError | None = None) -> None:
        """Let go of the cipher; whoever still holds this key can use it no more, and is told `fault`."""
        self._fault = fault or self._fault
        self._aead = None
        if self._keeper is not None:
            self._keeper.forget(self)

    def seal_bound(self, bound: bytes, plaintext: bytes, nonces: Entropy) -> Sealed:
        """Seal under associated data that `Sealer` put together."""
        aead = self._ready()
        self._count()
        return seal_bound(aead, bound, plaintext, nonces)

    def open_bound(self, bound: bytes, sealed: Sealed) -> bytes:
        """Open under associated data that `Sealer` put together."""
        return open_bound(self._ready(), bound, sealed)

    def open_kept(self, bound: bytes, sealed: Sealed, keeper: Keeper) -> bytes:
        """Open as `open_bound`, or take what a keeper has of it; it goes with this key."""
        self._ready()
        if self._keeper is not keeper:
            self._keeper = keeper
            keeper.adopt(self, self.name.tenant)
            if self._aead is None:  # closed meanwhile, by another thread that saw no keeper
                keeper.forget(self)
        return keeper.opened(self, bound, sealed.data, partial(self.open_bound, bound, sealed))

    def _fits(self, binding: Binding) -> bool:
        return binding.tenant == self.name.tenant and binding.subjects == self.name.subjects

    def _ready(self) -> AeadKey:
        aead = self._aead
        if aead is None:
            raise self._fault
        return aead


class Sealer:
    """Seals and opens the fields of one row: the row's part of the binding is put together once."""

    __slots__ = ("_bound", "_key", "_nonces")

    def __init__(self, key: SealingKey, bound: bytes, nonces: Entropy) -> None:
        self._key = key
        self._bound = bound
        self._nonces = nonces

    def seal(self, field: SealedField, plaintext: bytes) -> Sealed:
        """Seal one field.

        Raises:
            InputTooLargeError: the value is beyond the limit of one field.
            KeyExhaustedError: the key's limit is reached.
        """
        return self._key.seal_bound(self._bound + field_part(field), plaintext, self._nonces)

    def open(self, field: SealedField, sealed: Sealed) -> bytes:
        """Open one field.

        Raises:
            TamperedError: it is not what was sealed for this place.
        """
        return self._key.open_bound(self._bound + field_part(field), sealed)

    def open_kept(self, field: SealedField, sealed: Sealed, keeper: Keeper) -> bytes:
        """Open one field, or take what a keeper has of it.

        Raises:
            TamperedError: it is not what was sealed for this place.
        """
        return self._key.open_kept(self._bound + field_part(field), sealed, keeper)
