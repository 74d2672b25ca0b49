"""The directory of a standalone witness: its key, what it has seen, and whom it trusts.

Owns the three files and reading them safely. It leaves their meaning to `audit.cosignature`,
`audit.witness_store` and `audit.witness`. Nothing of a vault lies here: a witness is worth something on
another host, run by somebody else.

    witness.key    the signer key's one line, mode 0600
    seen.db        what was cosigned
    trusted.txt    lines of `log VKEY` or `deployment VKEY`
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audit.cosignature import WitnessSignerKey
from audit.errors import KeyFileUnsafeError, KeyMalformedError, WitnessStateError
from audit.signing import VerifierKey
from audit.witness import TrustList
from audit.witness_store import StandaloneWitness, WitnessStore, no_probe

_PRIVATE_FILE: Final = 0o600
_PRIVATE_DIRECTORY: Final = 0o700
_MAX_KEY_FILE: Final = 1024
_MAX_TRUST_FILE: Final = 4 << 20
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class WitnessDirectory:
    """Paths of a witness."""

    path: Path

    @property
    def key(self) -> Path:
        """The witness's own key."""
        return self.path / "witness.key"

    @property
    def state(self) -> Path:
        """What it has seen."""
        return self.path / "seen.db"

    @property
    def trusted(self) -> Path:
        """Whom it trusts."""
        return self.path / "trusted.txt"

    def create(self, key: WitnessSignerKey) -> None:
        """Make a new witness that trusts nobody yet.

        Raises:
            WitnessStateError: something is there already, or it cannot be written.
        """
        try:
            self.path.mkdir(mode=_PRIVATE_DIRECTORY, parents=True, exist_ok=True)
            if any(self.path.iterdir()):
                raise WitnessStateError("expected a new or empty directory for the witness")
            # The key last: a witness without one was never made.
            WitnessStore.create(self.state)
            _write(self.trusted, TrustList().encode())
            _write(self.key, key.encode() + "\n")
            _sync(self.path)
        except OSError as error:
            raise WitnessStateError(f"the witness cannot be made: {error.strerror}") from None

    def open(self, clock: Callable[[], int], probe: Callable[[str], None] = no_probe) -> StandaloneWitness:
        """Open the witness.

        Raises:
            KeyFileUnsafeError: its key is missing, unsafe or none.
            KeyMalformedError: a line of the trusted logs is none.
            WitnessStateError: what it has seen is missing, unsafe or damaged.
        """
        key = self.load_key()
        self.load_trusted()
        return StandaloneWitness(key, self.load_trusted, WitnessStore(self.state), clock, probe)

    def load_key(self) -> WitnessSignerKey:
        """Return the witness's key.

        Raises:
            KeyFileUnsafeError: the file is missing, open to others, or holds no key.
        """
        try:
            content = _read(self.key, _MAX_KEY_FILE, private=True)
            text = content.decode()
        except (OSError, UnicodeDecodeError):
            raise KeyFileUnsafeError(
                "witness key file: expected a readable file of mode 0600, its own"
            ) from None
        try:
            return WitnessSignerKey.parse(text.removesuffix("\n"))
        except KeyMalformedError:
            # The cause is dropped: it may hold pieces of the key.
            raise KeyFileUnsafeError("witness key file: expected a signer key of type 0x04") from None

    def load_trusted(self) -> TrustList:
        """Return whom the witness trusts.

        Raises:
            WitnessStateError: the list cannot be read, or others may write it.
            KeyMalformedError: a line is none.
        """
        try:
            content = _read(self.trusted, _MAX_TRUST_FILE, private=False)
            return TrustList.parse(content.decode())
        except (OSError, UnicodeDecodeError):
            raise WitnessStateError(
                "the list of trusted logs cannot be read, or others may write it"
            ) from None

    def trust(self, key: VerifierKey, *, deployment: bool) -> TrustList:
        """Trust a log's key, or a deployment's for all its logs; return the whole list.

        Raises:
            WitnessStateError: the list cannot be read or written.
            KeyMalformedError: a line of it is none.
        """
        old = self.load_trusted()
        logs = old.logs if deployment else tuple(dict.fromkeys((*old.logs, key)))
        deployments = tuple(dict.fromkeys((*old.deployments, key))) if deployment else old.deployments
        new = TrustList(logs, deployments)
        fresh = self.trusted.with_suffix(".new")
        try:
            fresh.unlink(missing_ok=True)  # left by a change that was cut short
            _write(fresh, new.encode())
            fresh.replace(self.trusted)
            _sync(self.path)
        except OSError as error:
            raise WitnessStateError(f"the list of trusted logs cannot be written: {error.strerror}") from None
        return new


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, _NEW_FILE, _PRIVATE_FILE), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path, limit: int, *, private: bool) -> bytes:
    """Read the very file that was checked: regular, its owner's, closed to others."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        closed = not status.st_mode & (0o077 if private else 0o022)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or not closed:
            raise PermissionError("unsafe")
        content = file.read(limit + 1)
    if len(content) > limit:
        raise PermissionError("too long")
    return content


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
