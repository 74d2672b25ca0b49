"""Folders with bundles for tests: a copy of the shipped one, changed and versioned as told."""

from pathlib import Path
from typing import Final

from policies.bundle import ACCESS_RULES, ACCESS_TESTS, KNOWN_FILES, SHIPPED
from policies.identity import IDENTITY

WIDE: Final = "read|search|reveal, treatment, allow"
NARROW: Final = "search|reveal, treatment, allow"
_ASKED_WIDE: Final = "when: {action: [search, read, reveal], purpose: treatment}"
_ASKED_NARROW: Final = "when: {action: [search, reveal], purpose: treatment}"


def make(folder: Path, version: int = 1, *, name: str = "ours") -> Path:
    """Write the shipped bundle under another name and version."""
    for file in KNOWN_FILES:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((SHIPPED / file).read_bytes())
    return versioned(folder, version, name=name)


def versioned(folder: Path, version: int, *, name: str = "ours") -> Path:
    """Say another version."""
    (folder / IDENTITY).write_text(f"name: {name}\nversion: {version}\n", "utf-8")
    return folder


def change(folder: Path, file: str, was: str, now: str) -> Path:
    """Change one text in a file that has it."""
    text = (folder / file).read_text("utf-8")
    assert was in text
    (folder / file).write_text(text.replace(was, now, 1), "utf-8")
    return folder


def narrow(folder: Path) -> Path:
    """Take from clinicians to read by id for treatment, with the case that says so."""
    change(folder, ACCESS_RULES, WIDE, NARROW)
    return change(folder, ACCESS_TESTS, _ASKED_WIDE, _ASKED_NARROW)


def widen(folder: Path) -> Path:
    """Give it back."""
    change(folder, ACCESS_RULES, NARROW, WIDE)
    return change(folder, ACCESS_TESTS, _ASKED_NARROW, _ASKED_WIDE)
