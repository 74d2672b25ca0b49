"""The life of keys, as an administrator commands it: rotate, rewrap, seal anew, move to another root, destroy.

Owns who may, what the log says before and after, and the order of steps. It leaves the steps themselves to
`vault.crypto.keyring`, `vault.crypto.rewrapping`, `vault.reencryption` and `vault.root_move`.

Every one of them can be cut off anywhere and begun again. Keys lie outside the database of the log: so each is an
effect, with an intent before and an outcome after, and an entry of its own that counts what was done.

- *rotate*: a subject gets a new version; the older ones open what they sealed.
- *rewrap*: every key is wrapped anew under the newest version of the transit key, or under a fresh local root.
- *re-encrypt*: rows under older versions are sealed anew; then the older versions may be destroyed.
- *migrate*: every key is wrapped under another root.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import Final

from audit.canonical import JsonValue
from audit.event import EventType
from audit.evidence import SYSTEM_LOG
from policies.model import Principal, Purpose, SystemResource
from vault.administration import Administration
from vault.crypto.key_record import KeyKind, KeyName, KeyState
from vault.crypto.rewrapping import Rewrapped, below, oldest, rewrap_keys
from vault.crypto.root import RootKey
from vault.crypto.subject_name import check_subject_id
from vault.crypto.transit_file import replace_root_file
from vault.crypto.transit_root import TransitRoot
from vault.errors import ConflictError, InputInvalidError, KeyWrongError, NotFoundError, TamperedError
from vault.grant import Grant
from vault.intents import Effect, Effects
from vault.parts import Parts
from vault.reencryption import MAX_NAMED, Reencrypted, Reencryption
from vault.root_move import NextRoot, RootMove
from vault.storage.directory import VaultDirectory

STRETCH: Final = 500
"""Keys that one entry names."""
FOLD_SECONDS: Final = 2.0
"""How long is waited until what was overwritten is gone from the disk, too."""
_TRIES: Final = 5
_VAULT: Final = SystemResource.VAULT.value


@dataclass(frozen=True, slots=True)
class Rotated:
    """How far a rotation is."""

    done: int
    of: int
    unreadable: tuple[str, ...] = ()
    """Subjects whose key does not open: they keep the version that they had."""


@dataclass(frozen=True, slots=True)
class RootChanged:
    """How far a rewrapping or a move is."""

    done: int
    """Keys that are under the newer root, or the newer version of it, and were not."""
    of: int
    """Keys that live."""
    faults: tuple[str, ...] = ()
    """Keys that could not be wrapped anew; they stand as they were."""
    remaining: int | None = None
    """Keys that are left under the older one; None until all were gone through."""
    root: RootKey | None = None
    """What the keys are under; None until then."""


@dataclass(frozen=True, slots=True)
class Moved:
    """How far a re-encryption is."""

    rows: Reencrypted
    destroyed: tuple[str, ...] = ()
    """Fingerprints of the older versions that were destroyed behind it."""
    kept: int = 0
    """Older versions under which nothing lies, and that stay for now."""


class KeyLife(Administration):
    """Changes the keys of one vault.

    Args:
        parts: Of the vault.
        directory: Where its root's file lies; the caller holds it.
        resources: Where the connections of another root end; with the vault at the earliest.
    """

    def __init__(self, parts: Parts, directory: VaultDirectory, resources: ExitStack) -> None:
        super().__init__(parts)
        self._directory = directory
        self._resources = resources

    def rotate(
        self, principal: Principal, purpose: Purpose, subjects: Sequence[str] | None = None
    ) -> Iterator[Rotated]:
        """Give subjects of the principal's tenant a newer version of their keys; tell how far it is.

        Args:
            principal: Who asks.
            purpose: Why.
            subjects: Vault ids; None is every subject that has a key.

        Raises:
            DeniedError: not allowed; the denial is logged.
            IdentifierInvalidError: an id is malformed.
            NotFoundError: a subject has no key here; nothing was rotated.
            KeyDestroyedError: a subject's key was destroyed.
            TamperedError, KeyWrongError: the key of a named subject does not open; among all, it is told of and left.
            RootUnusableError: or one of its kinds: what was told of is done, the rest is as it was.
        """
        grant = self._authorise(principal, purpose)
        keys, unreadable = self._parts.keyring.tenant(grant.tenant), list[str]()
        chosen = self._living(grant.tenant) if subjects is None else list(map(check_subject_id, subjects))
        if not all(keys.has_key(subject) for subject in chosen):
            raise NotFoundError("there is no such subject here")
        with Effects(self._parts).intended(grant, "key.rotate", _VAULT, {"keys": len(chosen)}) as effect:
            for start in range(0, len(chosen), STRETCH):
                some = chosen[start : start + STRETCH]
                versions: dict[str, int] = {}
                for subject in some:
                    try:
                        versions[subject] = keys.rotate(subject)
                    except (TamperedError, KeyWrongError):
                        if subjects is not None:
                            raise
                        unreadable.append(subject)  # law 12: one damaged key keeps no other back
                self._parts.probe("rotated")
                named: dict[str, JsonValue] = {
                    "subjects": list(versions),
                    "versions": list(versions.values()),
                }
                draft = self._parts.journal.allowed(grant, named, resource=_VAULT)
                self._parts.journal.write([replace(draft, event=EventType.KEY_ROTATE, action="rotate")])
                yield Rotated(start + len(some) - len(unreadable), len(chosen), tuple(unreadable))
            effect.told["keys"] = len(chosen) - len(unreadable)
            effect.told["unreadable"] = len(unreadable)

    def rewrap(
        self,
        principal: Principal,
        purpose: Purpose,
        *,
        new_version: bool = False,
        passphrase: str | None = None,
    ) -> Iterator[RootChanged]:
        """Wrap every key anew; tell how far it is.

        Under a transit root: under the newest version of the transit key, without opening a key. Under a local root:
        under a fresh one of the same kind, in the old one's place.

        Args:
            principal: Who asks.
            purpose: Why.
            new_version: Have the server make a new version of the transit key first; needs a permission of its own.
            passphrase: Protects the fresh local root, where the present one is protected.

        Raises:
            DeniedError: not allowed; the denial is logged.
            InputInvalidError: a passphrase, or a new version, for a root that has none; or none where it has.
            RootUnusableError: or one of its kinds: what was told of is done, the rest is as it was.
        """
        grant = self._authorise(principal, purpose)
        root = self._parts.keyring.root
        if not isinstance(root, TransitRoot):
            if new_version:
                raise InputInvalidError("expected a transit root, to make a new version of")
            yield from self._move(grant, EventType.KEY_REWRAP, NextRoot(root.kind, passphrase))
            return
        if passphrase is not None:
            raise InputInvalidError("expected no passphrase: the root is a transit key")
        with Effects(self._parts).intended(grant, "key.rewrap", _VAULT, {}) as effect:
            yield from self._rewrap(root, grant, effect, new_version=new_version)

    def migrate(self, principal: Principal, purpose: Purpose, wanted: NextRoot) -> Iterator[RootChanged]:
        """Move every key under another root, and the vault with them; tell how far it is.

        Raises:
            DeniedError: not allowed; the denial is logged.
            KeyAccessError: or one of its kinds, or TamperedError: a key, or a root, cannot be used; the vault is
                under the root that it had.
            StorageError: a file cannot be written.
        """
        grant = self._authorise(principal, purpose)
        yield from self._move(grant, EventType.KEY_MIGRATE, wanted)

    def reencrypt(self, principal: Principal, purpose: Purpose, *, destroy: bool = False) -> Iterator[Moved]:
        """Seal the rows of the principal's tenant anew that lie under older versions; tell how far it is.

        Args:
            principal: Who asks.
            purpose: Why.
            destroy: Whether the older versions are to be destroyed, where it is proven that nothing lies under them.

        Raises:
            DeniedError: not allowed; the denial is logged.
            RootUnusableError: or one of its kinds: what was told of is done, the rest is as it was.
        """
        grant = self._authorise(principal, purpose)
        last = Reencrypted()
        for last in Reencryption(self._parts, grant.tenant).run(principal=grant.principal.id):
            yield Moved(last)
        if destroy and last.idle:
            yield Moved(last, *self._destroy(grant, last.idle))

    def _living(self, tenant: str) -> list[str]:
        """Return the subjects whose newest version is active."""
        records = self._parts.keyring.tenant(tenant).records()
        return [
            record.name.subject
            for record in records
            if record.name.kind is KeyKind.SUBJECT and record.state is KeyState.ACTIVE
        ]

    def _destroy(self, grant: Grant, idle: Sequence[KeyName]) -> tuple[tuple[str, ...], int]:
        """Destroy older versions that nothing lies under; return their fingerprints, and how many stay for now."""
        keys, gone = self._parts.keyring.tenant(grant.tenant), list[str]()
        with Effects(self._parts).intended(grant, "key.destroy", _VAULT, {"keys": len(idle)}) as effect:
            for start in range(0, len(idle), STRETCH):
                some = keys.destroy_retired(idle[start : start + STRETCH])
                gone += [record.fingerprint for record in some]
            self._parts.probe("destroyed")
            self._parts.keyring.fold(FOLD_SECONDS)
            payload: dict[str, JsonValue] = {
                "keys": len(gone),
                "fingerprints": list(gone[:MAX_NAMED]),
                "kind": "retired",
            }
            draft = self._parts.journal.allowed(grant, payload, resource=_VAULT)
            effect.also.append(replace(draft, event=EventType.KEY_DESTROY, action="destroy"))
        return tuple(gone), len(idle) - len(gone)

    def _rewrap(
        self, root: TransitRoot, grant: Grant, effect: Effect, *, new_version: bool
    ) -> Iterator[RootChanged]:
        if new_version:
            root.rotate()
        store, version = self._parts.key_store, root.latest_version()
        before, told = oldest(root, store), Rewrapped(0, 0, 0, ())
        _, living = store.count_under(b"")
        for told in rewrap_keys(root, store, version):
            self._parts.probe("rewrapped")
            yield RootChanged(told.renewed, living)
        replace_root_file(self._directory.root_transit, root.rewrapped_name())
        self._parts.probe("renamed")
        store.fold(FOLD_SECONDS)
        left = below(root, store, version)
        payload = {
            "keys": told.renewed,
            "remaining": left,
            "from_version": before,
            "to_version": version,
            "unreadable": len(told.faults),
        }
        effect.told.update(payload)
        draft = self._parts.journal.event(
            EventType.KEY_REWRAP, SYSTEM_LOG, payload, principal=grant.principal.id
        )
        effect.also.append(draft)
        faults = tuple(f"{name.tenant} {name}: {fault}" for name, fault in told.faults)
        yield RootChanged(told.renewed, living, faults, left, root)

    def _move(self, grant: Grant, event: EventType, wanted: NextRoot) -> Iterator[RootChanged]:
        """Move all keys under another root."""
        store, old = self._parts.key_store, self._parts.keyring.root
        move = RootMove(self._directory, store, old, self._parts.entropy, self._resources, self._parts.probe)
        _, living = store.count_under(b"")
        before: dict[str, JsonValue] = {"kind": wanted.kind.value, "fingerprints": [old.fingerprint]}
        with Effects(self._parts).intended(grant, event.value, _VAULT, before) as effect:
            new = move.prepare(wanted)
            moved = 0
            for _ in range(_TRIES):
                for done in move.stage(new):
                    yield RootChanged(done, living)
                with suppress(ConflictError):
                    moved = move.switch(new)
                    break
            else:
                raise ConflictError("keys come to be faster than they are moved: run it again")
            self._parts.keyring.move_to(new)
            store.fold(FOLD_SECONDS)
            under, living = store.count_under(bytes.fromhex(new.fingerprint))
            payload: dict[str, JsonValue] = {
                "kind": wanted.kind.value,
                "keys": moved,
                "remaining": living - under,
                "fingerprints": [old.fingerprint, new.fingerprint],
            }
            effect.told.update(payload)
            effect.also.append(
                self._parts.journal.event(event, SYSTEM_LOG, payload, principal=grant.principal.id)
            )
            yield RootChanged(moved, living, (), living - under, new)
