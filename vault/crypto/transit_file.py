"""The file that names a root on a transit server: `root.transit`, in the place where a key file would lie.

Owns the file's form. It holds no secret: the mount and the name of the transit key, the root's fingerprint, and
the proof that only that key opens. Who changes it can shut the vault, and open nothing. One line of JSON:

    {"fingerprint": "0f…", "format": 1, "key": "memvault", "mount": "transit", "proof": "vault:v1:…"}
"""

import json
import os
import re
from pathlib import Path
from typing import Final

from vault.crypto.local_root import check_file, sync_folder, write_new
from vault.crypto.transit_root import RootName, version_of
from vault.errors import (
    InputInvalidError,
    KeyFileUnsafeError,
    KeyMissingError,
    RootAnswerError,
    StorageError,
)

_FORMAT: Final = 1
_MAX_BYTES: Final = 2_048
_FIELDS: Final = frozenset(("fingerprint", "format", "key", "mount", "proof"))
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{32}")
_MOUNT: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}(?:/[A-Za-z0-9_.-]{1,64}){0,7}", re.ASCII)
_KEY: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)


def check_mount(mount: str) -> str:
    """Return a path at which a secrets engine or a login can be mounted.

    Raises:
        InputInvalidError: it is none; nothing else may become part of a URL.
    """
    if _MOUNT.fullmatch(mount) is None or not all(part.strip(".") for part in mount.split("/")):
        raise InputInvalidError("expected a mount of letters, digits, '-', '_', '.' and '/'")
    return mount


def check_key_name(key: str) -> str:
    """Return a name that a transit key can have.

    Raises:
        InputInvalidError: it is none.
    """
    if _KEY.fullmatch(key) is None:
        raise InputInvalidError("expected a transit key's name of letters, digits, '-', '_' and '.'")
    return key


def create_root_file(path: Path, name: RootName) -> None:
    """Write a new file, durably.

    Raises:
        ConflictError: something is there already.
        StorageError: it cannot be written; nothing is left behind.
    """
    write_new(path, _encoded(name))


def replace_root_file(path: Path, name: RootName) -> None:
    """Put another proof into the file's place: at any moment the old file stands there, or the new one.

    Raises:
        StorageError: it cannot be written; the old one stands.
    """
    beside = path.with_name(path.name + ".new")
    try:
        beside.unlink(missing_ok=True)  # left by a process that was killed
        write_new(beside, _encoded(name))
        beside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"the root's file cannot be replaced: {error.strerror}") from None


def read_root_file(path: Path) -> RootName:
    """Read which transit key is a vault's root.

    Raises:
        KeyMissingError: there is no such file.
        KeyFileUnsafeError: others can change or read it, or it is not of this form.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise KeyMissingError("there is no file here that names a root") from None
    except OSError as error:
        raise KeyFileUnsafeError(f"the root's file cannot be opened safely: {error.strerror}") from None
    try:
        check_file(os.fstat(descriptor))
        content = os.read(descriptor, _MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    return _parsed(content)


def _encoded(name: RootName) -> bytes:
    fields = {
        "fingerprint": name.fingerprint,
        "format": _FORMAT,
        "key": name.key,
        "mount": name.mount,
        "proof": name.proof,
    }
    return json.dumps(fields, sort_keys=True).encode() + b"\n"


def _parsed(content: bytes) -> RootName:
    try:
        name = _name(json.loads(content))
        version_of("" if name is None else name.proof)
    except (ValueError, RecursionError, InputInvalidError, RootAnswerError):
        name = None
    # Strict: what is read is what would be written, byte for byte.
    if name is None or _encoded(name) != content:
        raise KeyFileUnsafeError("the root's file is not of its form")
    return name


def _name(fields: object) -> RootName | None:
    if not isinstance(fields, dict) or fields.keys() != _FIELDS or fields["format"] != _FORMAT:
        return None
    texts = {name: str(fields[name]) for name in _FIELDS - {"format"}}
    if _FINGERPRINT.fullmatch(texts["fingerprint"]) is None:
        return None
    return RootName(
        check_mount(texts["mount"]), check_key_name(texts["key"]), texts["fingerprint"], texts["proof"]
    )
