"""The keyring: from the root key to the key that seals a row.

Owns who reaches which key. It leaves creating, leasing, counting and wiping to `vault.crypto.leased_keys`,
and whether a key may be destroyed to the erasure. The laws (ARCHITECTURE, sections 4 and 10):

- No key is created by a read: only `establish`, `provide`, `sealing_key` and `rotate` create, and a
  key is on the disk before it is used.
- Missing, wrong and destroyed are three different errors.
- A memory about several subjects is sealed under a key made from all their keys: destroying any one
  of them shreds it.
- The tenant wall: keys are reached through `Keyring.tenant(…)` alone, where nothing takes a tenant.

Keys are unwrapped once a lease and wiped when it ends; `vault.crypto.unwrapped` says what CPython
cannot wipe.

Example:
    with Keyring(root, store, clock, entropy, monotonic) as keyring:
        keys = keyring.establish("clinic")
        anna = keys.subject_id("Anna")
        sealed = keys.sealing_key([anna]).seal(binding, b"…")
        keys.open(binding, sealed)
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from types import TracebackType
from typing import Final, NamedTuple, Self

from policies.errors import RequestInvalidError
from policies.model import check_id
from vault.clock import Clock, Entropy
from vault.crypto.aead import key_versions
from vault.crypto.derive import Label
from vault.crypto.key_limits import KeyLimits
from vault.crypto.key_record import KeyKind, KeyName, KeyRecord, KeyStore
from vault.crypto.leased_keys import LeasedKeys
from vault.crypto.root import RootKey
from vault.crypto.sealed import Binding, Sealed
from vault.crypto.sealing_key import SealingKey, SealingName
from vault.crypto.subject_name import check_subject_id, subject_id
from vault.errors import IdentifierInvalidError

__all__ = ["DestroyedKey", "KeyLimits", "Keyring", "TenantKeys"]

_KNOWN_IDS: Final = 4_096
_TENANT_KINDS: Final = (KeyKind.SUBJECT_IDS, KeyKind.SEARCH)


class DestroyedKey(NamedTuple):
    """A version of a key that is no more: what a certificate names."""

    fingerprint: str
    version: int


class Keyring:
    """All keys of a vault. One to a process; shared by threads; closed at the end.

    Args:
        root: Wraps every key.
        store: Keeps them wrapped.
        clock: For when a key was created.
        entropy: For keys and nonces.
        monotonic: For leases: seconds from a clock that never goes back.
        limits: Bounds.
    """

    def __init__(  # noqa: PLR0917  # wired once, each of its own type
        self,
        root: RootKey,
        store: KeyStore,
        clock: Clock,
        entropy: Entropy,
        monotonic: Callable[[], float],
        limits: KeyLimits | None = None,
    ) -> None:
        self.root = root
        """Wraps the keys now."""
        self.limits: Final = limits or KeyLimits()
        self._tenants: dict[str, TenantKeys] = {}
        self._keys = LeasedKeys(root, store, clock, entropy, monotonic=monotonic, limits=self.limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def establish(self, tenant: str) -> "TenantKeys":
        """Create a tenant's own keys, if it has none yet, and return its keys.

        Raises:
            IdentifierInvalidError: the tenant id is malformed.
        """
        keys = self.tenant(tenant)
        self._keys.establish(tenant, _TENANT_KINDS)
        return keys

    def tenant(self, tenant: str) -> "TenantKeys":
        """Return one tenant's keys: nothing in it reaches another's. Creates nothing.

        Raises:
            IdentifierInvalidError: the tenant id is malformed.
        """
        known = self._tenants.get(tenant)
        if known is not None:
            return known
        try:
            return self._tenants.setdefault(tenant, TenantKeys(self._keys, check_id("tenant", tenant)))
        except RequestInvalidError as error:
            raise IdentifierInvalidError(str(error)) from None

    def move_to(self, root: RootKey) -> None:
        """Use another root from here on: the keys in the store are under it by now (`vault.root_move`)."""
        self._keys.move_to(root)
        self.root = root

    def sweep(self) -> None:
        """Wipe the keys whose lease has run out, also those that nobody asks for any more."""
        self._keys.sweep()

    def fold(self, seconds: float) -> bool:
        """Leave no byte of what was destroyed beside the store; say whether that was done within the time."""
        return self._keys.fold(seconds)

    def close(self) -> None:
        """Wipe all keys; sealing keys that are still held somewhere stop working."""
        self._keys.close()


class TenantKeys:
    """The keys of one tenant; made by `Keyring.tenant` alone. May be shared by threads."""

    def __init__(self, keys: LeasedKeys, tenant: str) -> None:
        self._keys = keys
        self.tenant: Final = tenant
        self._ids: dict[bytes, str] = {}

    def subject_id(self, name: str) -> str:
        """Return the vault id of a subject; the same for ever, and different at another tenant.

        Raises:
            IdentifierInvalidError: the name is not acceptable.
            KeyMissingError: the tenant was never established.
        """
        key = self._keys.subkey(self.tenant, KeyKind.SUBJECT_IDS, "", Label.SUBJECT_ID)
        # Known ones are kept under a keyed hash: no name stands in memory for having been asked for.
        known = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16, key=key).digest()
        found = self._ids.get(known)
        if found is None:
            if len(self._ids) >= _KNOWN_IDS:
                self._ids.clear()
            found = self._ids[known] = subject_id(key, name)
        return found

    def provide(self, subjects: Iterable[str]) -> None:
        """Create the keys of those subjects that have none, all in one durable transaction.

        Raises:
            IdentifierInvalidError: an id is malformed.
            KeyDestroyedError: a subject's key was destroyed; it gets no new one.
        """
        wanted = sorted({check_subject_id(subject) for subject in subjects})
        self._keys.provide(self.tenant, wanted)

    def sealing_key(self, subjects: Iterable[str], *, create: bool = True) -> SealingKey:
        """Return the key that seals what is about these subjects, creating the keys that are missing.

        Args:
            subjects: Vault ids.
            create: False where rows about them exist already: then a key that is missing was lost.

        Raises:
            IdentifierInvalidError: no subject, too many, or a malformed id.
            KeyMissingError: a subject has no key, and none may be created.
            KeyDestroyedError: a subject's key was destroyed.
            KeyWrongError: the key is under another root.
        """
        return self._keys.writing_key(self.tenant, tuple(sorted(set(subjects))), create=create)

    def opening_key(self, subjects: tuple[str, ...], versions: tuple[int, ...]) -> SealingKey:
        """Return the key under which something was sealed; creates nothing.

        Raises:
            KeyMissingError: a key never existed here.
            KeyDestroyedError: a key was destroyed.
            KeyWrongError: a key is under another root.
            TamperedError: a key is not what its record says.
        """
        return self._keys.opening_key(SealingName(self.tenant, subjects, versions))

    def open(self, binding: Binding, sealed: Sealed) -> bytes:
        """Open a value where it stands, under the key versions that its head names.

        Raises:
            TamperedError: it is not what was sealed for this place.
            KeyMissingError: a key never existed here.
            KeyDestroyedError: a key was destroyed: crypto-shredded.
            KeyWrongError: a key is under another root.
        """
        return self.opening_key(binding.subjects, key_versions(sealed)).open(binding, sealed)

    def lease(self, places: Iterable[tuple[tuple[str, ...], tuple[int, ...]]]) -> None:
        """Have the keys of many values unwrapped at one go: with a root on a server, each by itself is a call.

        Args:
            places: Subjects and key versions of each value; what does not fit together is left to its opening.

        Raises:
            RootUnusableError: or one of its kinds: none can be unwrapped now.
        """
        self._keys.lease(
            KeyName(self.tenant, KeyKind.SUBJECT, subject, version)
            for subjects, versions in places
            for subject, version in zip(subjects, versions, strict=False)
        )

    def token_key(self, subject: str) -> bytes:
        """Return the key of a subject's tokens: the same over rotations. Creates nothing.

        Raises:
            KeyMissingError: the subject has no key yet.
            KeyDestroyedError: its key was destroyed.
        """
        return self._keys.subkey(self.tenant, KeyKind.SUBJECT, subject, Label.TOKEN)

    def search_key(self) -> bytes:
        """Return the key of the hashes of search terms.

        Raises:
            KeyMissingError: the tenant was never established.
        """
        return self._keys.subkey(self.tenant, KeyKind.SEARCH, "", Label.SEARCH_TERMS)

    def query_key(self) -> bytes:
        """Return the key of the hashes of queries that stand in the log.

        Raises:
            KeyMissingError: the tenant was never established.
        """
        return self._keys.subkey(self.tenant, KeyKind.SEARCH, "", Label.QUERY_DIGEST)

    def surrogate_key(self) -> bytes:
        """Return the key that chooses stand-ins for tokens in text to embed: one for memories and queries.

        Raises:
            KeyMissingError: the tenant was never established.
        """
        return self._keys.subkey(self.tenant, KeyKind.SEARCH, "", Label.SURROGATES)

    def credential_key(self) -> bytes:
        """Return the key of the seals of this tenant's credentials.

        Raises:
            KeyMissingError: the tenant was never established.
        """
        return self._keys.subkey(self.tenant, KeyKind.SUBJECT_IDS, "", Label.CREDENTIAL)

    def tombstone_key(self) -> bytes:
        """Return the key of the digests of what was removed for good: of the one key that never changes.

        Raises:
            KeyMissingError: the tenant was never established.
        """
        return self._keys.subkey(self.tenant, KeyKind.SUBJECT_IDS, "", Label.TOMBSTONE)

    def has_key(self, subject: str) -> bool:
        """Say whether a subject has, or had, a key here: cheap while its key is leased. Creates nothing.

        False for a subject of whom rows exist means that its key was lost: to write about it would make a
        new key, under which the old rows can never be told from damage. Raise `KeyMissingError` instead.
        """
        return self._keys.has_key(self.tenant, subject)

    def records_of(self, subject: str) -> tuple[KeyRecord, ...]:
        """Return what is known of all versions of a subject's key, oldest first. Opens nothing."""
        return self._keys.records_of(self.tenant, subject)

    def records(self) -> Iterator[KeyRecord]:
        """Go through what is known of this tenant's keys: states, counts, wrapped keys. Opens nothing."""
        return self._keys.records(self.tenant)

    def destroy(self, subject: str, *, bury: bool = False) -> tuple[DestroyedKey, ...]:
        """Destroy a subject's key in all its versions, durably and for good: crypto-shredding.

        Copies in this process are wiped at once. Another process notices when its lease ends. Done twice, it says
        the same twice. Whether anything may be destroyed, holds say, and the caller has asked them.

        Args:
            subject: Vault id.
            bury: Whether a subject that never had a key is to get a tombstone, so that it never gets one.

        Raises:
            IdentifierInvalidError: the id is malformed.
        """
        gone = self._keys.destroy(self.tenant, check_subject_id(subject), bury=bury)
        return tuple(
            DestroyedKey(record.fingerprint, record.name.version) for record in gone if record.fingerprint
        )

    def destroy_retired(self, names: Iterable[KeyName]) -> tuple[KeyRecord, ...]:
        """Destroy retired versions under which nothing lies any more, and return those that it destroyed.

        A version that this process retired less than a lease ago stays: what it sealed may be on its way.

        Raises:
            IdentifierInvalidError: one is another tenant's.
        """
        chosen = list(names)
        if any(name.tenant != self.tenant for name in chosen):
            raise IdentifierInvalidError("expected keys of this tenant")
        return tuple(self._keys.destroy_retired(chosen))

    def rotate(self, subject: str) -> int:
        """Create the next version of a subject's key and return its number; the one before is retired.

        Raises:
            KeyMissingError: the subject has no key.
            KeyDestroyedError: its key was destroyed.
        """
        return self._keys.rotate(self.tenant, subject)
