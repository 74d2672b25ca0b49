"""The policy bundle: the files that decide, read whole and named by one digest.

Owns which files belong, their bounds and the digest that stands in every decision and every entry of
the log. It leaves reading the rules to `policies.access`, `policies.privacy`, `policies.log_rules` and
`policies.retention`. The digest is SHA-256 over each file's name and bytes, both behind their length, in order
of names: it depends on neither the folder's place nor on times, and changes with every byte. A signature over it lies
beside these files, not among them (`vault.bundles.signatures`).
"""

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Final, Self

from policies.errors import PolicyInvalidError
from policies.identity import IDENTITY, Identity, parse_identity

ACCESS_MODEL: Final = "rules/model.conf"
ACCESS_RULES: Final = "rules/policy.csv"
ACCESS_TESTS: Final = "rules/tests.yaml"
PRIVACY_RULES: Final = "privacy.yaml"
LOG_RULES: Final = "log.yaml"
RETENTION_RULES: Final = "retention.yaml"
BUNDLE_FILES: Final = (PRIVACY_RULES, LOG_RULES, RETENTION_RULES, ACCESS_MODEL, ACCESS_RULES, ACCESS_TESTS)
"""The files that every bundle has."""
KNOWN_FILES: Final = (IDENTITY, *BUNDLE_FILES)
"""The files that a bundle may have: one without a version cannot be signed or pinned."""
MAX_FILE_BYTES: Final = 256 * 1024
SHIPPED: Final = Path(__file__).parent
"""The folder of the bundle that ships with the vault."""

_POLICY_SUFFIXES: Final = frozenset({".conf", ".csv", ".yaml", ".yml", ".json"})
_DOMAIN: Final = b"memos-vault/policy-bundle/1"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Bundle:
    """All policy files of one state, by name.

    Raises:
        PolicyInvalidError: a file is missing, unknown, too large or no clean text.
    """

    files: Mapping[str, bytes]

    def __post_init__(self) -> None:
        missing = sorted(set(BUNDLE_FILES) - set(self.files))
        unknown = sorted(set(self.files) - set(KNOWN_FILES))
        if missing or unknown:
            raise PolicyInvalidError(
                f"expected the files {KNOWN_FILES}: missing {missing}, not known {unknown}"
            )
        for name, content in self.files.items():
            _check_text(name, content)
        object.__setattr__(self, "files", MappingProxyType(dict(self.files)))

    @classmethod
    def read(cls, folder: Path = SHIPPED) -> Self:
        """Read a bundle from a folder; what is not a policy file there is passed over.

        Raises:
            PolicyInvalidError: a file is missing, one too many, unreadable or no clean text.
        """
        return cls({name: _read(folder, name) for name in sorted({*BUNDLE_FILES, *_policy_files(folder)})})

    @staticmethod
    def raw(folder: Path = SHIPPED) -> dict[str, bytes]:
        """Read what a folder holds of a bundle as it is, for lint: missing files are missing, others are there.

        Returns:
            Bytes by name; of a file that is too large, one more than the bound.

        Raises:
            PolicyInvalidError: the folder, or a file that is there, cannot be read.
        """
        named = {*BUNDLE_FILES, *_policy_files(folder)}
        return {name: _read(folder, name) for name in sorted(named) if (folder / name).is_file()}

    @property
    def digest(self) -> str:
        """`sha256:` and 64 hex digits."""
        return digest_of(self.files)

    @property
    def identity(self) -> Identity | None:
        """Name and version, as the bundle says; None where it has none.

        Raises:
            PolicyInvalidError: what it says is not of its form.
        """
        return parse_identity(self.text(IDENTITY)) if IDENTITY in self.files else None

    def text(self, name: str) -> str:
        """Return one file's text."""
        return self.files[name].decode()


def digest_of(files: Mapping[str, bytes]) -> str:
    """Return the digest of files, whether or not they are a bundle that loads."""
    digest = hashlib.sha256(_DOMAIN)
    for name in sorted(files):
        for part in (name.encode(), files[name]):
            digest.update(len(part).to_bytes(8) + part)
    return f"sha256:{digest.hexdigest()}"


def looks_like_policy(name: str) -> bool:
    """Say whether a path from a bundle's folder looks like one of its files: a stray one is believed in by somebody."""
    path = PurePosixPath(name)
    return path.suffix in _POLICY_SUFFIXES and path.parent in (PurePosixPath(), PurePosixPath("rules"))


def _policy_files(folder: Path) -> list[str]:
    places = (folder, folder / "rules")
    try:
        found = [path.relative_to(folder).as_posix() for place in places for path in place.iterdir()]
        return [name for name in found if looks_like_policy(name)]
    except OSError as error:
        raise PolicyInvalidError(f"the policy folder cannot be read: {error.strerror}") from None


def _read(folder: Path, name: str) -> bytes:
    content = read_plain(folder / name, MAX_FILE_BYTES + 1)
    if content is None:
        raise PolicyInvalidError(f"{name} is missing, or is no file")
    return content


def read_plain(path: Path, most: int) -> bytes | None:
    """Return the first bytes of a regular file; None where there is none.

    Threat: a FIFO or a device in a file's place, also one that is put there after a look, hangs whoever reads.

    Raises:
        PolicyInvalidError: it cannot be read.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:  # `Path.open` takes no opener
            return file.read(most) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise PolicyInvalidError(f"{path.name} cannot be read: {error.strerror}") from None


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _check_text(name: str, content: bytes) -> None:
    if len(content) > MAX_FILE_BYTES:
        raise PolicyInvalidError(f"{name} is larger than {MAX_FILE_BYTES} bytes")
    if content.startswith(_BYTE_ORDER_MARK) or b"\r" in content or b"\x00" in content:
        raise PolicyInvalidError(
            f"{name} has a byte order mark, a carriage return or a NUL: expected plain UTF-8 lines"
        )
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise PolicyInvalidError(f"{name} is not UTF-8 at byte {error.start}") from None
