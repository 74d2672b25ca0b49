"""Which root a vault has, and how it comes to be at hand when the vault is made or opened.

Owns the choice between a key file and a transit key, which the vault's directory tells: `root.key` lies there,
or `root.transit`. It leaves the roots themselves to `vault.crypto`.
"""

from contextlib import ExitStack
from typing import TYPE_CHECKING

from vault.clock import Entropy, monotonic
from vault.crypto.local_root import check_passphrase, create_key_file, kind_of_key_file, open_key_file
from vault.crypto.root import RootKey, RootKind
from vault.crypto.transit_file import create_root_file, read_root_file
from vault.crypto.transit_place import TransitPlace
from vault.crypto.transit_root import RootName, TransitRoot, name_root
from vault.errors import InputInvalidError, KeyFileUnsafeError, KeyMissingError, KeyWrongError
from vault.storage.directory import VaultDirectory

if TYPE_CHECKING:
    from vault.crypto.transit_hvac import HvacTransit


def root_kind(directory: VaultDirectory) -> RootKind:
    """Return where a vault's root lives; no server is asked.

    Raises:
        KeyMissingError: nothing here is or names a root.
        KeyFileUnsafeError: its file is not safe to use, or two roots are named.
    """
    if not directory.root_transit.exists():
        return kind_of_key_file(directory.root_key)
    if directory.root_key.exists():
        raise KeyFileUnsafeError("expected one root, got a key file and a transit key")
    read_root_file(directory.root_transit)
    return RootKind.TRANSIT


def check_root_options(passphrase: str | None, transit: TransitPlace | None) -> None:
    """See that a new vault is to have one root that it can have; to be asked before anything is made.

    Raises:
        InputInvalidError: a passphrase that is none, or one for a transit key.
    """
    if passphrase is not None and transit is not None:
        raise InputInvalidError("expected a passphrase or a transit key, got both")
    if passphrase is not None:
        check_passphrase(passphrase)


def create_root(
    directory: VaultDirectory, passphrase: str | None, transit: TransitPlace | None, entropy: Entropy
) -> None:
    """Make a vault's root, durably: a new key file, or the file that names a transit key which exists.

    Raises:
        KeyAccessError: or one of its kinds: the transit key cannot be used.
        StorageError: it cannot be written.
    """
    if transit is None:
        create_key_file(directory.root_key, entropy, passphrase)
        return
    create_root_file(directory.root_transit, name_transit(transit, entropy))


def name_transit(transit: TransitPlace, entropy: Entropy) -> RootName:
    """Make a transit key that exists a root, and see that it opens what it encrypts.

    Raises:
        RootUnusableError: or one of its kinds: it cannot be used.
    """
    client = _client(transit)
    try:
        return name_root(client, transit.mount, transit.key, entropy)
    finally:
        client.close()


def open_root(
    directory: VaultDirectory,
    passphrase: str | None,
    transit: TransitPlace | None,
    entropy: Entropy,
    stack: ExitStack,
) -> RootKey:
    """Return a vault's root, seen to be the one that it was made with.

    Raises:
        KeyMissingError: it is not here, or nothing says how its server is reached.
        KeyWrongError: it is another one.
        KeyAccessError: or another of its kinds: it cannot be used.
    """
    if root_kind(directory) is not RootKind.TRANSIT:
        if transit is not None:
            raise KeyWrongError("this vault's root is a key file, and the settings name a transit key")
        return open_key_file(directory.root_key, entropy, passphrase)
    name = read_root_file(directory.root_transit)
    if passphrase is not None:
        raise KeyWrongError("a passphrase was given, and this vault's root is a transit key")
    if transit is None:
        raise KeyMissingError(f"this vault's root is the transit key {name.key}: say where its server is")
    if (transit.mount, transit.key) != (name.mount, name.key):
        raise KeyWrongError(
            f"expected the transit key {name.key} at {name.mount}, got {transit.key} at {transit.mount}"
        )
    return open_transit(transit, name, entropy, stack)


def open_transit(transit: TransitPlace, name: RootName, entropy: Entropy, stack: ExitStack) -> TransitRoot:
    """Return a root on a server, seen to be the one that is named.

    Raises:
        KeyWrongError: it is another one.
        RootUnusableError: or one of its kinds: it cannot be used.
    """
    client = _client(transit)
    stack.callback(client.close)
    root = TransitRoot(client, name, entropy, monotonic)
    stack.callback(root.close)
    root.check()
    return root


def _client(transit: TransitPlace) -> "HvacTransit":
    from vault.crypto.transit_hvac import HvacTransit  # noqa: PLC0415  # 0.2 s that a local root need not pay

    return HvacTransit(transit)
