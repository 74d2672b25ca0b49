"""Moving a vault to another root: every key under the next one, seen to come back, before the old one goes.

Owns the order, so that a crash anywhere leaves a vault that opens, and a move that can be taken up:

1. The next root is made and written beside the present one, as `root.next.<fingerprint>.key` or `….transit`.
2. Each key is unwrapped, wrapped under the next root, had back from it, and kept beside its present wrapping.
3. One transaction of `keys.db` puts all of them into the place of the old wrappings. This is the moment.
4. The old root's file is overwritten and dropped, and the next one's takes its place.

Which root the keys are under, they say themselves: each wrapping begins with its root's name. So an opening after a
crash between 3 and 4 finishes 4 (`settle`), and one before 3 opens under the old root.

It leaves the roots to `vault.crypto` and `vault.roots`, and who may move a vault to `vault.key_life`.
"""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from vault.clock import Entropy
from vault.crypto.derive import fingerprint
from vault.crypto.key_store import SqlKeyStore
from vault.crypto.local_root import check_passphrase, create_key_file, open_key_file, sync_folder
from vault.crypto.root import InContext, RootKey, RootKind
from vault.crypto.transit_file import create_root_file, read_root_file
from vault.crypto.transit_place import TransitPlace
from vault.errors import (
    InputInvalidError,
    KeyFileUnsafeError,
    KeyMissingError,
    KeyWrongError,
    StorageError,
    StoreCorruptError,
    TamperedError,
    VaultError,
)
from vault.roots import name_transit, open_transit
from vault.storage.directory import VaultDirectory
from vault.storage.engine import writer_engine
from vault.storage.group_commit import Probe, no_probe

_PAGE: Final = 1_016
"""Keys of one transaction: eight batches of what a transit root wraps at once."""
_NEXT: Final = re.compile(r"root\.next\.([0-9a-f]{32})\.(key|transit)")
_TRIES: Final = 10


@dataclass(frozen=True, slots=True)
class NextRoot:
    """Which root a vault is to have.

    Raises:
        InputInvalidError: what protects it does not fit its kind, or is none.
    """

    kind: RootKind
    passphrase: str | None = None
    transit: TransitPlace | None = None

    def __post_init__(self) -> None:
        if (self.passphrase is not None) != (self.kind is RootKind.PASSPHRASE):
            raise InputInvalidError("expected a passphrase for a root under one, and for no other")
        if (self.transit is not None) != (self.kind is RootKind.TRANSIT):
            raise InputInvalidError("expected a server for a transit root, and for no other")
        if self.passphrase is not None:
            check_passphrase(self.passphrase)


def settle(directory: VaultDirectory) -> None:
    """Finish a move that a crash cut off behind its moment; to be asked before the root is opened.

    Raises:
        StoreCorruptError: some keys are under a next root, and others are not: no transaction did that.
        StorageError: a file cannot be written.
    """
    for beside, name in _nexts(directory) if directory.keys.is_file() else ():
        engine = writer_engine(directory.keys)
        try:
            under, living = SqlKeyStore(engine).count_under(name)
        finally:
            engine.dispose()
        if 0 < under < living:
            raise StoreCorruptError("keys.db holds keys under two roots: restore it from a snapshot")
        if under:
            _take_place(directory, beside)


def is_under_way(directory: VaultDirectory) -> bool:
    """Say whether a move to another root was begun and came to no end; the vault works under the one that it has."""
    return bool(_nexts(directory))


class RootMove:
    """A move of one vault's keys to another root.

    Args:
        directory: The vault's; the caller holds it.
        store: Its keys.
        old: The root that they are under.
        entropy: For the next root.
        resources: Where the next root's connections end.
        probe: Told of each step.
    """

    def __init__(  # noqa: PLR0917  # wired once, each of its own type
        self,
        directory: VaultDirectory,
        store: SqlKeyStore,
        old: RootKey,
        entropy: Entropy,
        resources: ExitStack,
        probe: Probe = no_probe,
    ) -> None:
        self._probe = probe
        self._directory = directory
        self._store = store
        self._old = old
        self._entropy = entropy
        self._resources = resources

    def prepare(self, wanted: NextRoot) -> RootKey:
        """Return the next root, its file durable: that of a move which was cut off, if it is the one that is wanted.

        Raises:
            KeyAccessError: or one of its kinds: it cannot be made or used.
            StorageError: it cannot be written.
        """
        settle(self._directory)
        for beside, name in _nexts(self._directory):
            with suppress(KeyWrongError, KeyMissingError, KeyFileUnsafeError):
                root = self._opened(beside, wanted)
                if root is not None and bytes.fromhex(root.fingerprint) == name:
                    return root
            _forget(beside)
        made = self._made(wanted)
        self._probe("next made")
        return made

    def stage(self, new: RootKey) -> Iterator[int]:
        """Keep every key under the next root, too; tell how many were, after each page.

        Raises:
            KeyAccessError: or one of its kinds, or TamperedError: a key, or a root, cannot be used. What was told of
                stays staged; the keys are under the old root as before.
        """
        count = 0
        for _ in range(_TRIES):
            due = self._store.unstaged(bytes.fromhex(new.fingerprint))
            before = count
            while page := list(islice(due, _PAGE)):
                boxes = [InContext(record.name.context, record.wrapped) for record in page]
                secrets = _expect(self._old.unwrap_many(boxes))
                for record, secret in zip(page, secrets, strict=True):
                    if fingerprint(secret) != record.fingerprint:
                        raise TamperedError(f"the {record.name} is not the one that its record names")
                clear = [
                    InContext(record.name.context, secret)
                    for record, secret in zip(page, secrets, strict=True)
                ]
                wrapped = new.wrap_many(clear)
                again = [
                    InContext(record.name.context, box) for record, box in zip(page, wrapped, strict=True)
                ]
                if _expect(new.unwrap_many(again)) != secrets:
                    raise KeyWrongError("the next root does not give back what it wrapped")
                self._store.stage(list(zip(page, wrapped, strict=True)))
                self._probe("staged")
                count += len(page)
                yield count
            if count == before:
                return

    def switch(self, new: RootKey) -> int:
        """Put the keys under the next root into place, and its file; return how many.

        Raises:
            ConflictError: a key came to be meanwhile that is not staged: stage again.
            StorageError: a file cannot be written; the next opening does it.
        """
        moved = self._store.switch(bytes.fromhex(new.fingerprint))
        self._probe("switched")
        for beside, name in _nexts(self._directory):
            if name == bytes.fromhex(new.fingerprint):
                _take_place(self._directory, beside, self._probe)
        return moved

    def _opened(self, beside: Path, wanted: NextRoot) -> RootKey | None:
        if wanted.transit is not None:
            if beside.suffix != ".transit":
                return None
            name = read_root_file(beside)
            if (name.mount, name.key) != (wanted.transit.mount, wanted.transit.key):
                return None
            return open_transit(wanted.transit, name, self._entropy, self._resources)
        if beside.suffix != ".key":
            return None
        return open_key_file(beside, self._entropy, wanted.passphrase)

    def _made(self, wanted: NextRoot) -> RootKey:
        if wanted.transit is not None:
            name = name_transit(wanted.transit, self._entropy)
            create_root_file(self._directory.path / f"root.next.{name.fingerprint}.transit", name)
            return open_transit(wanted.transit, name, self._entropy, self._resources)
        draft = self._directory.path / "root.next.draft"
        draft.unlink(missing_ok=True)  # left by a process that was killed: no key was ever under it
        made = create_key_file(draft, self._entropy, wanted.passphrase)
        draft.replace(self._directory.path / f"root.next.{made.fingerprint}.key")
        sync_folder(self._directory.path)
        return made


def _expect(opened: list[bytes | VaultError]) -> list[bytes]:
    for one in opened:
        if isinstance(one, VaultError):
            raise one
    return [one for one in opened if isinstance(one, bytes)]


def _nexts(directory: VaultDirectory) -> list[tuple[Path, bytes]]:
    """Return the files of next roots, and the roots' names."""
    found = ((path, _NEXT.fullmatch(path.name)) for path in sorted(directory.path.glob("root.next.*")))
    return [(path, bytes.fromhex(named[1])) for path, named in found if named is not None]


def _take_place(directory: VaultDirectory, beside: Path, probe: Probe = no_probe) -> None:
    """Put the file of the root that all keys are under into its place, and drop what stood there."""
    target = directory.root_key if beside.suffix == ".key" else directory.root_transit
    try:
        for old in (directory.root_key, directory.root_transit):
            if old.exists():
                _forget(old)
                probe("forgotten")
        beside.replace(target)
        sync_folder(directory.path)
    except OSError as error:
        raise StorageError(f"the root's file cannot be put into place: {error.strerror}") from None


def _forget(path: Path) -> None:
    """Overwrite a file and drop it; what the disk keeps of it beyond that nobody here can say."""
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        file.write(bytes(size))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
