"""The root key in a file of this machine: readable by its owner alone, or protected by a passphrase.

Owns the key file's two forms and the wrapping of keys under a local root. It leaves asking for the
passphrase to the edge. The file is of fixed size and binary:

    "MVROOT1F" · root key 32 · check 8                                                      48 bytes
    "MVROOT1P" · salt 16 · memory KiB 4 · iterations 4 · lanes 4 · box 104                 140 bytes

`check` is a truncated SHA-256: it finds damage, not attackers. `box` is the root key sealed under the
passphrase's Argon2id key (RFC 9106) with everything before it as associated data; opening it is the
proof that the passphrase is right, since the sealing commits to its key.

CPython cannot wipe what it copied: the key passes through immutable bytes while it is read and while
subkeys are derived. See the threat model.
"""

import hashlib
import os
import stat
import struct
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from vault.clock import Entropy
from vault.crypto.aead import COMMITMENT_BYTES, CommittingAead
from vault.crypto.derive import KEY_BYTES, Label, derive, fingerprint
from vault.crypto.root import InContext, RootHealth, RootKind
from vault.crypto.xaes import NONCE_BYTES, TAG_BYTES
from vault.errors import (
    ConflictError,
    InputInvalidError,
    KeyFileUnsafeError,
    KeyMissingError,
    KeyWrongError,
    StorageError,
    TamperedError,
    VaultError,
)

_PLAIN: Final = b"MVROOT1F"
_LOCKED: Final = b"MVROOT1P"
_CHECK_BYTES: Final = 8
_SALT_BYTES: Final = 16
_COST: Final = struct.Struct(">III")
_PLAIN_SIZE: Final = len(_PLAIN) + KEY_BYTES + _CHECK_BYTES
_CLEAR_SIZE: Final = len(_LOCKED) + _SALT_BYTES + _COST.size
_LOCKED_SIZE: Final = _CLEAR_SIZE + NONCE_BYTES + COMMITMENT_BYTES + KEY_BYTES + TAG_BYTES
_OPEN_TO_OTHERS: Final = 0o077
MIN_PASSPHRASE: Final = 12
MAX_PASSPHRASE: Final = 1024


@dataclass(frozen=True, slots=True)
class Argon2Cost:
    """What one guess of a passphrase costs; the default is RFC 9106's second recommendation."""

    memory_kib: int = 64 * 1024
    iterations: int = 3
    lanes: int = 4

    def __post_init__(self) -> None:
        # A key file is input: without upper bounds a made-up one could take all memory.
        bounds = (
            (self.lanes, 1, 64),
            (self.iterations, 1, 64),
            (self.memory_kib, 8 * self.lanes, 4 * 1024 * 1024),
        )
        if not all(low <= value <= high for value, low, high in bounds):
            raise KeyFileUnsafeError("expected Argon2id costs of 1 to 64 lanes and iterations, at most 4 GiB")


class LocalRoot:
    """A root key held in this process.

    Raises:
        ValueError: the secret is not 32 bytes.
    """

    def __init__(self, secret: bytes, kind: RootKind, entropy: Entropy) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError(f"expected a root key of {KEY_BYTES} bytes, got {len(secret)}")
        self.kind: Final = kind
        self.fingerprint: Final = fingerprint(secret)
        self._entropy = entropy
        self._name = bytes.fromhex(self.fingerprint)
        self._aead = CommittingAead(derive(secret, Label.ROOT_WRAP))

    def __repr__(self) -> str:
        return f"LocalRoot({self.kind}, {self.fingerprint})"

    def wrap(self, context: bytes, key: bytes) -> bytes:
        """Return the root's name and the key sealed under it, bound to `context`."""
        return self._name + self._aead.encrypt(self._entropy(NONCE_BYTES), key, context)

    def unwrap(self, context: bytes, wrapped: bytes) -> bytes:
        """Give the key back.

        Raises:
            KeyWrongError: it was wrapped under another root.
            TamperedError: it, or its context, is not what was wrapped.
        """
        if len(wrapped) < len(self._name):
            raise TamperedError("a wrapped key is cut before its root's name ends")
        if not wrapped.startswith(self._name):
            raise KeyWrongError("a key was wrapped under another root key than this one")
        return self._aead.decrypt(wrapped[len(self._name) :], context)

    def wrap_many(self, keys: Sequence[InContext]) -> list[bytes]:
        """Wrap each."""
        return [self.wrap(context, key) for context, key in keys]

    def unwrap_many(self, wrapped: Sequence[InContext]) -> list[bytes | VaultError]:
        """Give back each, or the error that `unwrap` would raise."""
        return [self._outcome(context, key) for context, key in wrapped]

    def health(self) -> RootHealth:
        """It is in this process."""
        return RootHealth()

    def _outcome(self, context: bytes, wrapped: bytes) -> bytes | VaultError:
        try:
            return self.unwrap(context, wrapped)
        except (KeyWrongError, TamperedError) as error:
            return error


def create_key_file(
    path: Path, entropy: Entropy, passphrase: str | None = None, cost: Argon2Cost | None = None
) -> LocalRoot:
    """Make a new root key and write it to a new file that its owner alone can read, durably.

    Args:
        path: Where; nothing may be there yet.
        entropy: Source of the key.
        passphrase: Protects the file, if given.
        cost: Of one guess; RFC 9106's second recommendation if not given.

    Raises:
        ConflictError: something is there already.
        InputInvalidError: the passphrase is too short or too long.
        StorageError: it cannot be written; nothing is left behind.
    """
    secret = entropy(KEY_BYTES)
    if passphrase is None:
        head = _PLAIN + secret
        content, kind = head + _check_of(head), RootKind.FILE
    else:
        content, kind = (
            _locked(secret, check_passphrase(passphrase), cost or Argon2Cost(), entropy),
            RootKind.PASSPHRASE,
        )
    write_new(path, content)
    return LocalRoot(secret, kind, entropy)


def open_key_file(path: Path, entropy: Entropy, passphrase: str | None = None) -> LocalRoot:
    """Read a root key, if its file is safe.

    Raises:
        KeyMissingError: there is no such file.
        KeyFileUnsafeError: others can read it, it is a link or no file, it belongs to someone else, or
            it is not a whole key file.
        KeyWrongError: the passphrase is wrong, missing, or given where the file has none.
    """
    content = _read_safely(path)
    if content.startswith(_PLAIN):
        if passphrase is not None:
            raise KeyWrongError("a passphrase was given, and the key file is not protected by one")
        return LocalRoot(_plain_secret(content), RootKind.FILE, entropy)
    if passphrase is None:
        raise KeyWrongError("the key file is protected by a passphrase, and none was given")
    return LocalRoot(_unlocked(content, passphrase), RootKind.PASSPHRASE, entropy)


def kind_of_key_file(path: Path) -> RootKind:
    """Say whether a passphrase is needed.

    Raises:
        KeyMissingError: there is no such file.
        KeyFileUnsafeError: it is not safe to read or not a key file.
    """
    return RootKind.FILE if _read_safely(path).startswith(_PLAIN) else RootKind.PASSPHRASE


def check_passphrase(passphrase: str) -> str:
    """Return a passphrase that a new key file may be protected by; to be asked before anything is made.

    Raises:
        InputInvalidError: it is too short or too long, or no Unicode text.
    """
    if not MIN_PASSPHRASE <= len(passphrase) <= MAX_PASSPHRASE:
        raise InputInvalidError(f"expected a passphrase of {MIN_PASSPHRASE} to {MAX_PASSPHRASE} characters")
    _typed(passphrase)
    return passphrase


def _typed(passphrase: str) -> bytes:
    # NFC, so that a passphrase typed on another system is the same passphrase; surrogates have no UTF-8.
    try:
        return unicodedata.normalize("NFC", passphrase).encode()
    except UnicodeEncodeError:
        raise InputInvalidError("expected a passphrase of Unicode text") from None


def _check_of(head: bytes) -> bytes:
    return hashlib.sha256(head).digest()[:_CHECK_BYTES]


def _plain_secret(content: bytes) -> bytes:
    head = content[:-_CHECK_BYTES]
    if content[-_CHECK_BYTES:] != _check_of(head):
        raise KeyFileUnsafeError("the key file is damaged: its check does not fit")
    return head[len(_PLAIN) :]


def _passphrase_aead(passphrase: str, salt: bytes, cost: Argon2Cost) -> CommittingAead:
    argon = Argon2id(
        salt=salt, length=KEY_BYTES, iterations=cost.iterations, lanes=cost.lanes, memory_cost=cost.memory_kib
    )
    return CommittingAead(derive(argon.derive(_typed(passphrase)), Label.ROOT_PASSPHRASE))


def _locked(secret: bytes, passphrase: str, cost: Argon2Cost, entropy: Entropy) -> bytes:
    salt = entropy(_SALT_BYTES)
    clear = _LOCKED + salt + _COST.pack(cost.memory_kib, cost.iterations, cost.lanes)
    return clear + _passphrase_aead(passphrase, salt, cost).encrypt(entropy(NONCE_BYTES), secret, clear)


def _unlocked(content: bytes, passphrase: str) -> bytes:
    clear, box = content[:_CLEAR_SIZE], content[_CLEAR_SIZE:]
    salt = clear[len(_LOCKED) : len(_LOCKED) + _SALT_BYTES]
    cost = Argon2Cost(*_COST.unpack(clear[-_COST.size :]))
    try:
        return _passphrase_aead(passphrase, salt, cost).decrypt(box, clear)
    except TamperedError:
        raise KeyWrongError("the passphrase is wrong, or the key file was changed") from None


def write_new(path: Path, content: bytes) -> None:
    """Write a file that did not exist; it and its name are on the disk when this returns.

    Raises:
        ConflictError: something is there already.
        StorageError: it cannot be written; nothing is left behind.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:
        raise ConflictError("a key file exists already; it is never overwritten") from None
    except OSError as error:
        raise StorageError(f"the key file cannot be made: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)  # whatever the umask
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        sync_folder(path.parent)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StorageError(f"the key file cannot be written: {error.strerror}") from None


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable.

    Raises:
        OSError: they may not be.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_safely(path: Path) -> bytes:
    """Read a key file after checking the very file that was opened, so that it cannot be swapped between."""
    # O_NONBLOCK: opening a FIFO must not wait for a writer.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise KeyMissingError("there is no key file here") from None
    except OSError as error:
        raise KeyFileUnsafeError(f"the key file cannot be opened safely: {error.strerror}") from None
    try:
        check_file(os.fstat(descriptor))
        content = os.read(descriptor, _LOCKED_SIZE + 1)
    finally:
        os.close(descriptor)
    if (content[: len(_PLAIN)], len(content)) not in {(_PLAIN, _PLAIN_SIZE), (_LOCKED, _LOCKED_SIZE)}:
        raise KeyFileUnsafeError(f"the key file is not a whole key file: got {len(content)} bytes")
    return content


def check_file(status: os.stat_result) -> None:
    """See that a file is its owner's alone.

    Raises:
        KeyFileUnsafeError: others can read it, it belongs to someone else, or it is no regular file.
    """
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileUnsafeError("the key file is not a regular file")
    if status.st_uid != os.geteuid():
        raise KeyFileUnsafeError(f"the key file belongs to user {status.st_uid}, not to user {os.geteuid()}")
    if status.st_mode & _OPEN_TO_OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        raise KeyFileUnsafeError(f"the key file is open to others: expected mode 0600, got {mode:04o}")
