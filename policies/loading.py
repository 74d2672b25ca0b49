"""Bundles as a vault may use them: read from a folder, and refused unless lint finds nothing and their own cases hold.

Owns the ready bundles' names, and writing one of them where a vault keeps its own. It leaves what is wrong with a bundle to
`policies.review.lint`, of which an error or a warning refuses it; notes do not.
"""

import os
from pathlib import Path
from typing import Final

from policies.bundle import BUNDLE_FILES, SHIPPED, Bundle
from policies.errors import PolicyInvalidError
from policies.review.lint import Severity, lint

READY: Final = SHIPPED / "bundles"
_PRIVATE_FOLDER: Final = 0o700


def profiles() -> tuple[str, ...]:
    """Return the names of the ready bundles."""
    return tuple(sorted(path.name for path in READY.iterdir() if (path / BUNDLE_FILES[0]).is_file()))


def load_folder(folder: Path) -> Bundle:
    """Read a bundle that may be used.

    Raises:
        PolicyInvalidError: with file, line and column of the first thing that lint finds; or it changed meanwhile.
    """
    files = Bundle.raw(folder)
    if Bundle.raw(folder) != files:  # somebody is in the midst of writing it: half of it may lint clean, too
        raise PolicyInvalidError("the files changed while they were read: try again", code="changing")
    for finding in lint(files):
        if finding.severity is not Severity.NOTE:
            raise PolicyInvalidError(
                finding.message,
                file=finding.file,
                line=finding.line,
                column=finding.column,
                code=finding.code,
            )
    return Bundle(files)


def ready(name: str) -> Bundle:
    """Return a ready bundle by its name.

    Raises:
        PolicyInvalidError: there is none of this name.
    """
    if name not in profiles():
        raise PolicyInvalidError(f"expected a profile: one of {', '.join(profiles())}")
    return load_folder(READY / name)


def write_profile(name: str, folder: Path) -> Bundle:
    """Write a ready bundle into a new folder, whole or not at all, and return it.

    Raises:
        PolicyInvalidError: there is none of this name, the folder is there already, or it cannot be written.
    """
    bundle = ready(name)
    beside = folder.with_name(f".{folder.name}.new")
    try:
        beside.mkdir(mode=_PRIVATE_FOLDER)
        for file, content in bundle.files.items():
            path = beside / file
            path.parent.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)
            with path.open("xb") as written:
                written.write(content)
                written.flush()
                os.fsync(written.fileno())
        beside.rename(folder)
    except OSError as error:
        raise PolicyInvalidError(f"the profile cannot be written: {error.strerror}") from None
    return bundle
