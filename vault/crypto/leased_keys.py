"""Keys fetched once a lease: created, unwrapped, joined and counted.

Owns the cache of keys in the clear and every way in which one comes to be. It leaves storing them to
`vault.crypto.key_store` and wrapping to the root key; who may ask for which is `vault.crypto.keyring`'s
part, the only caller.

Work that waits (store, root) is done outside the lock. What reads a key in the clear is done inside
it, so that no key is wiped while it is being read.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar
from weakref import WeakSet

from vault.clock import Clock, Entropy
from vault.crypto.aead import MAX_SUBJECTS, key_part
from vault.crypto.derive import KEY_BYTES, Label, derive, fingerprint
from vault.crypto.key_limits import KeyLimits
from vault.crypto.key_record import KeyKind, KeyName, KeyRecord, KeyState, KeyStore
from vault.crypto.root import InContext, RootKey
from vault.crypto.sealing_key import SealingKey, SealingName
from vault.crypto.subject_name import check_subject_id
from vault.crypto.unwrapped import Leases, SealCounter, UnwrappedKey
from vault.errors import (
    IdentifierInvalidError,
    KeyDestroyedError,
    KeyExhaustedError,
    KeyMissingError,
    KeyWrongError,
    StorageError,
    TamperedError,
    VaultError,
)

_Result = TypeVar("_Result")
_SECRET_BYTES: Final = {
    KeyKind.SUBJECT: 2 * KEY_BYTES,  # see UnwrappedKey
    KeyKind.SUBJECT_IDS: KEY_BYTES,
    KeyKind.SEARCH: KEY_BYTES,
}
_FIRST: Final = 1


class LeasedKeys:
    """The keys behind a keyring; see `Keyring` for the arguments."""

    def __init__(
        self,
        root: RootKey,
        store: KeyStore,
        clock: Clock,
        entropy: Entropy,
        *,
        monotonic: Callable[[], float],
        limits: KeyLimits,
    ) -> None:
        self._root = root
        self._root_is_right = False
        """Whether it opened a key of this store: then it is the one that they were wrapped under."""
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._limits = limits
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._leases = Leases(limits.leased_keys, limits.lease_seconds, monotonic, self._release)
        self._sealing: dict[SealingName, SealingKey] = {}
        self._writing: dict[tuple[str, tuple[str, ...]], SealingKey] = {}
        self._newest: dict[tuple[str, KeyKind, str], KeyName] = {}
        self._made: WeakSet[SealingKey] = WeakSet()
        self._rotations = 0
        self._retired: dict[KeyName, float] = {}
        """When this process retired a version: until a lease later, what it sealed may be on its way."""
        self._destroyed: set[KeyName] = set()
        """What this process destroyed, which another thread may be about to lease."""
        self._closed = False

    def move_to(self, root: RootKey) -> None:
        """Use another root from here on."""
        self._root = root

    def sweep(self) -> None:
        """Wipe the keys whose lease has run out."""
        with self._lock:
            self._leases.sweep()

    def close(self) -> None:
        """Wipe all keys; sealing keys that are still held somewhere stop working."""
        with self._lock:
            self._closed = True
            for key in self._made:
                key.close()
            self._leases.clear()

    def establish(self, tenant: str, kinds: Sequence[KeyKind]) -> None:
        """Create a tenant's own keys of those kinds where it has none."""
        missing = [kind for kind in kinds if self._store.newest(tenant, kind, "") is None]
        self._create([KeyName(tenant, kind, "", _FIRST) for kind in missing])

    def provide(self, tenant: str, subjects: Sequence[str], *, create: bool = True) -> list[KeyRecord]:
        """Return the newest key of each subject, creating those that are missing in one transaction."""
        newest = {subject: self._store.newest(tenant, KeyKind.SUBJECT, subject) for subject in subjects}
        missing = [subject for subject, record in newest.items() if record is None]
        if missing and not create:
            raise KeyMissingError(f"there is no subject key {missing[0]} here")
        created = self._create([KeyName(tenant, KeyKind.SUBJECT, subject, _FIRST) for subject in missing])
        newest.update(zip(missing, created, strict=True))
        return [_usable(record) for record in newest.values() if record is not None]

    def writing_key(self, tenant: str, subjects: tuple[str, ...], *, create: bool = True) -> SealingKey:
        """Return the key that seals for these subjects now, creating what is missing if that is wanted."""
        with self._lock:
            self._check_open()
            found = self._writing.get((tenant, subjects))
            rotations = self._rotations
        if found is not None:
            return found
        records = self.provide(tenant, _checked(subjects), create=create)
        known = {record.name: record for record in records}
        name = SealingName(tenant, subjects, tuple(key.version for key in known))

        def join(keys: list[UnwrappedKey]) -> SealingKey:
            key = self._join(name, keys)
            if rotations == self._rotations:  # else a newer version may exist by now
                self._writing[tenant, subjects] = key
            return key

        return self._with_keys(list(known), known, join)

    def opening_key(self, name: SealingName) -> SealingKey:
        """Return the key of these very versions; creates nothing."""
        with self._lock:
            self._check_open()
            found = self._sealing.get(name)
        if found is not None:
            return found
        if len(_checked(name.subjects)) != len(name.versions):
            raise TamperedError("a sealed value was sealed for another number of subjects")
        return self._with_keys(name.parts(), {}, lambda unwrapped: self._join(name, unwrapped))

    def lease(self, names: Iterable[KeyName]) -> None:
        """Unwrap keys that are about to be asked for, together; one that cannot be had is left to who asks."""
        with self._lock:
            self._check_open()
            missing = [name for name in dict.fromkeys(names) if self._leases.get(name) is None]
        found = [self._store.find(name) for name in missing[: self._limits.leased_keys]]
        living = [one for one in found if one is not None and one.state is not KeyState.DESTROYED]
        if not living:
            return
        opened = [key for key in self._opened(living) if isinstance(key, UnwrappedKey)]
        with self._lock:
            self._check_open()
            self._lease(opened)
            for key in opened:
                if self._leases.get(key.name) is not key:
                    key.wipe()

    def subkey(self, tenant: str, kind: KeyKind, subject: str, label: Label) -> bytes:
        """Return a subkey that stays the same over rotations; creates nothing."""
        newest = (tenant, kind, subject)
        with self._lock:
            self._check_open()
            held = self._leases.get(self._newest[newest]) if newest in self._newest else None
            if held is not None:
                return held.subkey(label)
        record = self._store.newest(*newest)
        if record is None:
            raise KeyMissingError(f"there is no {kind} key {subject or 'of the tenant'} here")

        def take(keys: list[UnwrappedKey]) -> bytes:
            self._newest[newest] = record.name
            return keys[0].subkey(label)

        return self._with_keys([record.name], {record.name: record}, take)

    def has_key(self, tenant: str, subject: str) -> bool:
        """Say whether a subject has a key, or the tombstone of one; asks the store unless it is leased."""
        newest = (tenant, KeyKind.SUBJECT, subject)
        with self._lock:
            self._check_open()
            if newest in self._newest or (tenant, (subject,)) in self._writing:
                return True
        return self._store.newest(*newest) is not None

    def records_of(self, tenant: str, subject: str) -> tuple[KeyRecord, ...]:
        """Return the records of all versions of a subject's key, oldest first; nothing is unwrapped."""
        newest = self._store.newest(tenant, KeyKind.SUBJECT, subject)
        if newest is None:
            return ()
        names = (newest.name._replace(version=version) for version in range(_FIRST, newest.name.version))
        return (*(found for name in names if (found := self._store.find(name)) is not None), newest)

    def records(self, tenant: str) -> Iterator[KeyRecord]:
        """Go through the records of a tenant's keys; nothing is unwrapped."""
        return self._store.records(tenant)

    def rotate(self, tenant: str, subject: str) -> int:
        """Create the next version of a subject's key, retire the one before, return the new version."""
        record = self._store.newest(tenant, KeyKind.SUBJECT, subject)
        if record is None:
            raise KeyMissingError(f"there is no subject key {subject} here")
        name = record.name._replace(version=record.name.version + 1)
        lasting = self._with_keys([record.name], {record.name: record}, lambda keys: keys[0].lasting_part())
        (successor,) = self._wrapped({name: self._entropy(KEY_BYTES) + lasting})
        standing = self._store.succeed(successor)
        with self._lock:
            self._rotations += 1
            self._retired[record.name] = self._monotonic()
            for about in [about for about in self._writing if about[0] == tenant and subject in about[1]]:
                del self._writing[about]
            self._newest.pop((tenant, KeyKind.SUBJECT, subject), None)
        return standing.name.version

    def destroy(self, tenant: str, subject: str, *, bury: bool) -> list[KeyRecord]:
        """Destroy a subject's key in all its versions, durably; leased copies are wiped, held ones work no more."""
        gone = self._store.destroy(tenant, subject, self._clock() if bury else None)
        self._wipe([record.name for record in gone])
        return gone

    def destroy_retired(self, names: Iterable[KeyName]) -> list[KeyRecord]:
        """Destroy retired versions; not one that may have sealed what another thread has still to store."""
        with self._lock:
            until = self._monotonic() - self._limits.lease_seconds
            old = [name for name in names if self._retired.get(name, until) <= until]
        gone = self._store.destroy_retired(old)
        self._wipe([record.name for record in gone])
        return gone

    def fold(self, seconds: float) -> bool:
        """Leave no byte of what was destroyed beside the store."""
        return self._store.fold(seconds)

    def _wipe(self, names: Sequence[KeyName]) -> None:
        gone = frozenset(names)
        with self._lock:
            self._destroyed |= gone
            for name in gone:
                if self._leases.get(name) is not None:
                    self._leases.end(name)
            for key in list(self._made):
                held = gone.intersection(key.name.parts())
                if held:
                    key.close(KeyDestroyedError(f"the {min(held)} was destroyed"))
                    self._sealing.pop(key.name, None)

    def _create(self, names: Sequence[KeyName]) -> list[KeyRecord]:
        """Store new keys durably; where another was faster, its keys stand."""
        if not names:
            return []
        with self._lock:
            self._check_open()
        secrets = {name: self._entropy(_SECRET_BYTES[name.kind]) for name in names}
        made = self._wrapped(secrets)
        standing = self._store.add(made)
        with self._lock:
            self._check_open()
            # Leased as they were made: to have them unwrapped again would ask a root on a server twice.
            own = [mine.name for mine, stands in zip(made, standing, strict=True) if mine == stands]
            self._lease([self._unwrapped(name, secrets[name]) for name in own])
        return standing

    def _wrapped(self, secrets: Mapping[KeyName, bytes]) -> list[KeyRecord]:
        wrapped = self._root.wrap_many([InContext(name.context, secret) for name, secret in secrets.items()])
        created = self._clock()
        return [
            KeyRecord(
                name=name,
                wrapped=box,
                fingerprint=fingerprint(secret),
                state=KeyState.ACTIVE,
                seal_reserved=0,
                created=created,
            )
            for (name, secret), box in zip(secrets.items(), wrapped, strict=True)
        ]

    def _join(self, name: SealingName, keys: list[UnwrappedKey]) -> SealingKey:
        found = self._sealing.get(name)
        if found is not None:
            return found
        secret = derive(b"".join(key.sealing_part() for key in keys), Label.SEALING, key_part(*name))
        counters = [key.counter for key in keys]

        def count() -> None:
            for counter in counters:
                counter.take()

        for key in keys:
            key.joined_in.add(name)
        while len(self._sealing) >= self._limits.leased_keys:
            self._forget(next(iter(self._sealing)))
        made = self._sealing[name] = SealingKey(name, secret, self._entropy, count)
        self._made.add(made)
        return made

    def _with_keys(
        self,
        names: Sequence[KeyName],
        known: Mapping[KeyName, KeyRecord],
        use: Callable[[list[UnwrappedKey]], _Result],
    ) -> _Result:
        """Call `use` with keys in the clear, under the lock, so that none is wiped meanwhile."""
        loaded: dict[KeyName, UnwrappedKey] = {}
        try:
            while True:
                with self._lock:
                    self._check_open()
                    self._expect_living(names)
                    held = {name: self._leases.get(name) or loaded.get(name) for name in names}
                    missing = [name for name, key in held.items() if key is None]
                    if not missing:
                        result = use([key for key in held.values() if key is not None])
                        self._lease(loaded.values())
                        return result
                loaded.update(self._load([known.get(name) or self._found(name) for name in missing]))
        finally:
            with self._lock:
                for key in loaded.values():
                    if self._leases.get(key.name) is not key:
                        key.wipe()

    def _lease(self, loaded: Iterable[UnwrappedKey]) -> None:
        """Lease what was loaded just now; another thread may have been faster with the same key.

        Never a key that was leased before: it may have been wiped to make room for one of these.
        """
        for key in loaded:
            if key.name in self._destroyed:
                key.wipe()
            elif self._leases.get(key.name) is None:
                self._leases.put(key)

    def _expect_living(self, names: Iterable[KeyName]) -> None:
        """See that none was destroyed since its record was read."""
        for name in self._destroyed.intersection(names):
            raise KeyDestroyedError(f"the {name} was destroyed")

    def _found(self, name: KeyName) -> KeyRecord:
        record = self._store.find(name)
        if record is None:
            raise KeyMissingError(f"there is no {name} here")
        return record

    def _load(self, records: Sequence[KeyRecord]) -> dict[KeyName, UnwrappedKey]:
        """Unwrap keys, all at one go; the first that does not open is the error of all."""
        opened = self._opened(records)
        loaded = {key.name: key for key in opened if isinstance(key, UnwrappedKey)}
        for fault in opened:
            if isinstance(fault, VaultError):
                for key in loaded.values():
                    key.wipe()
                raise fault
        return loaded

    def _opened(self, records: Sequence[KeyRecord]) -> list[UnwrappedKey | VaultError]:
        boxes = [InContext(_usable(record).name.context, record.wrapped) for record in records]
        return [
            self._matched(record, secret)
            for record, secret in zip(records, self._root.unwrap_many(boxes), strict=True)
        ]

    def _matched(self, record: KeyRecord, secret: bytes | VaultError) -> UnwrappedKey | VaultError:
        name = record.name
        if isinstance(secret, KeyWrongError) and self._is_altered(record):
            return TamperedError(f"the {name} stands under no root of this vault")
        if isinstance(secret, VaultError):
            return secret
        self._root_is_right = True
        if fingerprint(secret) != record.fingerprint or len(secret) != _SECRET_BYTES[name.kind]:
            return TamperedError(f"the {name} is not the one that its record names")
        return self._unwrapped(name, secret)

    def _is_altered(self, record: KeyRecord) -> bool:
        """Say whether a key that seems to be another root's is a damaged one of this root's, which opened others.

        Threat: one flipped bit in the root's name on one subject's key would shut the whole vault (law 12). A record
        that was wrapped anew since it was read is not damaged, and a box under the right name is the root's matter.
        """
        return (
            self._root_is_right
            and record.name.kind is KeyKind.SUBJECT
            and not record.wrapped.startswith(bytes.fromhex(self._root.fingerprint))
            and self._found(record.name).wrapped == record.wrapped
        )

    def _unwrapped(self, name: KeyName, secret: bytes) -> UnwrappedKey:
        return UnwrappedKey(name, secret, SealCounter(lambda: self._reserve(name)))

    def _reserve(self, name: KeyName) -> int:
        granted = self._store.reserve(name, self._limits.seal_block, self._limits.seals)
        if granted == 0:
            _usable(self._found(name))
            raise KeyExhaustedError(f"the {name} has made its {self._limits.seals} seals: rotate it")
        return granted

    def _release(self, key: UnwrappedKey) -> None:
        key.wipe()
        self._newest.pop(key.name[:3], None)
        for name in key.joined_in:
            self._forget(name)

    def _forget(self, name: SealingName) -> None:
        self._sealing.pop(name, None)
        self._writing.pop((name.tenant, name.subjects), None)

    def _check_open(self) -> None:
        if self._closed:
            raise StorageError("the vault is closed")
        self._leases.sweep()


def _checked(subjects: tuple[str, ...]) -> tuple[str, ...]:
    if not 1 <= len(subjects) <= MAX_SUBJECTS or tuple(sorted(set(subjects))) != subjects:
        raise IdentifierInvalidError(f"expected 1 to {MAX_SUBJECTS} subjects, sorted, each once")
    for subject in subjects:
        check_subject_id(subject)
    return subjects


def _usable(record: KeyRecord) -> KeyRecord:
    if record.state is KeyState.DESTROYED:
        raise KeyDestroyedError(f"the {record.name} was destroyed")
    return record
