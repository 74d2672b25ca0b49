"""The policy bundle: the files that decide, read whole and named by one digest.

Owns which files belong, their bounds and the digest that stands in every decision and every entry of
the log. It leaves reading the rules to `policies.access`, `policies.privacy`, `policies.log_rules` and
`policies.retention`. The digest is SHA-256 over each file's name and bytes, both behind their length, in order
of names: it depends on neither the folder's place nor on times, and changes with every byte.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Final, Self

from policies.errors import PolicyInvalidError

ACCESS_MODEL: Final = "rules/model.conf"
ACCESS_RULES: Final = "rules/policy.csv"
ACCESS_TESTS: Final = "rules/tests.yaml"
PRIVACY_RULES: Final = "privacy.yaml"
LOG_RULES: Final = "log.yaml"
RETENTION_RULES: Final = "retention.yaml"
BUNDLE_FILES: Final = (PRIVACY_RULES, LOG_RULES, RETENTION_RULES, ACCESS_MODEL, ACCESS_RULES, ACCESS_TESTS)
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
        unknown = sorted(set(self.files) - set(BUNDLE_FILES))
        if missing or unknown:
            raise PolicyInvalidError(
                f"expected the files {BUNDLE_FILES}: missing {missing}, not known {unknown}"
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
        digest = hashlib.sha256(_DOMAIN)
        for name in sorted(self.files):
            for part in (name.encode(), self.files[name]):
                digest.update(len(part).to_bytes(8) + part)
        return f"sha256:{digest.hexdigest()}"

    def text(self, name: str) -> str:
        """Return one file's text."""
        return self.files[name].decode()


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
    path = folder / name
    if not path.is_file():  # a FIFO in a file's place must not hang the start
        raise PolicyInvalidError(f"{name} is missing, or is no file")
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise PolicyInvalidError(f"{name} cannot be read: {error.strerror}") from None


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
