"""Where a vault's bundle comes from: a folder, and the keys that have to have signed what lies there.

Owns reading it whole, or not at all: lint, cases, signature. It leaves what the folder holds to `policies.loading`, and
whether a running vault may take it to `vault.bundles.reloading`. Which version is too old is the pin's to say.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from audit.signing import VerifierKey
from policies.bundle import KNOWN_FILES, SHIPPED, Bundle, digest_of
from policies.errors import PolicyInvalidError
from policies.loading import load_folder
from vault.bundles.signatures import SIGNATURE, read_signature, verify_bundle

Stamp = tuple[tuple[str, int, int, int, int], ...]
"""Of each file that is there: name, inode, size, and when it and its place were changed."""


@dataclass(frozen=True, slots=True)
class BundleSource:
    """A folder with a bundle, which may change."""

    folder: Path
    keys: tuple[VerifierKey, ...] = ()
    """One of them has to have signed it; with none, nobody has to."""

    def load(self) -> Bundle:
        """Return the bundle that lies there now, if a vault may use it.

        Raises:
            PolicyInvalidError: with file, line and column where one is known: lint, its cases or its signature refuse it.
        """
        bundle = load_folder(self.folder)
        if self.keys:
            verify_bundle(bundle, read_signature(self.folder), self.keys)
        return bundle

    def digest(self) -> str | None:
        """Return the digest of what lies there, whether or not it may be used; None where it cannot be read."""
        with suppress(PolicyInvalidError):
            return digest_of(Bundle.raw(self.folder))
        return None

    def stamp(self) -> Stamp:
        """Return what changes with any file that a bundle may have, without reading one.

        A file of a name that no bundle has is not noticed here: lint refuses it when the folder is read.
        """
        found = []
        for name in (*KNOWN_FILES, SIGNATURE):
            with suppress(OSError):
                one = (self.folder / name).stat()
                found.append((name, one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns))
        return tuple(found)


def shipped(keys: tuple[VerifierKey, ...]) -> Bundle:
    """Return the bundle that ships, which somebody has to have signed where keys are named.

    Raises:
        PolicyInvalidError: nobody has: name a folder with one that is signed.
    """
    bundle = Bundle.read()
    if keys:
        verify_bundle(bundle, read_signature(SHIPPED), keys)
    return bundle
