"""Looking for values in every byte of a folder, as a thief or an auditor would.

Owns the search and the command that anybody can run instead. A search that finds nothing proves
nothing until it has found something: the caller shows it a file in which the values do stand.
"""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Final

MIN_BYTES: Final = 6
"""Shorter values occur by chance in sealed bytes: six given bytes, in any case, once in about 4 TB."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A value that stands in a file."""

    file: str
    value: str
    form: str


@dataclass(frozen=True, slots=True)
class Hunt:
    """What was looked at and what was found."""

    files: int
    size: int
    values: int
    forms: int
    sightings: tuple[Sighting, ...]


def hunt(folder: Path, values: Iterable[str]) -> Hunt:
    """Search every file under a folder for every value in several forms."""
    needles = [(value, form, needle) for value in sorted(set(values)) for form, needle in forms_of(value)]
    sightings: list[Sighting] = []
    files = size = 0
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = file.read_bytes()
        folded = content.lower()
        files, size = files + 1, size + len(content)
        sightings += [
            Sighting(str(file.relative_to(folder)), value, form)
            for value, form, needle in needles
            if needle in (folded if form == "lower case" else content)
        ]
    return Hunt(files, size, len({value for value, _, _ in needles}), len(needles), tuple(sightings))


def forms_of(value: str) -> Iterator[tuple[str, bytes]]:
    """Yield a value's forms that are long enough not to occur by chance."""
    raw = value.encode()
    forms = {
        "as it is": raw,
        "lower case": value.lower().encode(),
        "without separators": "".join(filter(str.isalnum, value)).encode(),
        "UTF-16": value.encode("utf-16-le"),
        "base64": base64.b64encode(raw).rstrip(b"=")[:-1],
        "hex": raw.hex().encode(),
    }
    seen: set[bytes] = set()
    for form, needle in forms.items():
        if len(needle) >= MIN_BYTES and len(raw) >= MIN_BYTES and needle not in seen:
            seen.add(needle)
            yield form, needle


def searchable(values: Iterable[str]) -> list[str]:
    """Return the values that are long enough not to occur by chance, each on a line of its own."""
    return sorted({value for value in values if len(value.encode()) >= MIN_BYTES and "\n" not in value})


def grep_command(folder: Path, values_file: Path) -> str:
    """Return the command that searches the same folder without any code of ours."""
    return f"grep -r --text --fixed-strings --ignore-case --count --file={quote(str(values_file))} {quote(str(folder))}"
