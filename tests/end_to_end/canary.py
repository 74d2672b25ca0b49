"""Planted values and the hunter that looks for them in bytes, text and errors, however they are written."""

import base64
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sighting:
    """A planted value that was seen, in which form, and where."""

    value: str
    form: str
    where: str


def forms_of(value: str) -> Iterator[tuple[str, bytes]]:
    """Yield every form in which a value might have slipped through, each long enough to mean something."""
    bare = "".join(filter(str.isalnum, value))
    for name, text in (
        ("as it is", value),
        ("lower case", value.lower()),
        ("bare", bare),
        ("bare lower", bare.lower()),
    ):
        raw = text.encode()
        yield name, raw
        yield f"{name}, UTF-16 LE", text.encode("utf-16-le")
        yield f"{name}, UTF-16 BE", text.encode("utf-16-be")
        yield f"{name}, hex", raw.hex().encode()
        yield f"{name}, HEX", raw.hex().upper().encode()
        yield f"{name}, reversed", raw[::-1]
        for shift in range(3):
            # The middle of the base64 of a value does not depend on what stands around it.
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                middle = encode(b"\x00" * shift + raw + b"\x00" * 3)[4 if shift else 0 :]
                yield f"{name}, base64 at {shift}", middle[: len(raw) * 4 // 3 - 4]
    for part in value.split():
        if len(part) >= 6:
            yield "a word of it", part.encode()
            yield "a word of it, lower", part.lower().encode()


class Hunter:
    """Looks for planted values.

    Args:
        values: What was planted; each has at least eight letters or digits that occur nowhere else.
    """

    def __init__(self, values: Iterable[str]) -> None:
        self._needles = [
            (value, form, needle) for value in values for form, needle in forms_of(value) if len(needle) >= 6
        ]
        self.bytes_seen = 0

    @property
    def forms(self) -> int:
        """How many byte strings are looked for."""
        return len({needle for _, _, needle in self._needles})

    def in_bytes(self, where: str, content: bytes) -> list[Sighting]:
        """Return what stands in some bytes."""
        self.bytes_seen += len(content)
        return [Sighting(value, form, where) for value, form, needle in self._needles if needle in content]

    def in_text(self, where: str, text: str) -> list[Sighting]:
        """Return what stands in a text."""
        return self.in_bytes(where, text.encode("utf-8", "surrogatepass"))

    def in_folder(self, folder: Path) -> list[Sighting]:
        """Return what stands in any file under a folder, or in a file's name."""
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        assert files, "a hunt through nothing shows nothing"
        return [
            sighting
            for file in files
            for sighting in (*self.in_bytes(file.name, file.read_bytes()), *self.in_text("a name", str(file)))
        ]

    def in_error(self, error: BaseException) -> list[Sighting]:
        """Return what stands in an error: str, repr, args, notes, its whole chain as a traceback prints it."""
        printed = "".join(traceback.format_exception(error)[-1:])
        chain, at = [], error
        seen: set[int] = set()
        pending: list[BaseException | None] = [at]
        while pending:
            one = pending.pop()
            if one is None or id(one) in seen:
                continue
            seen.add(id(one))
            chain.append(f"{one!s} {one!r} {one.args!r} {getattr(one, '__notes__', '')}")
            pending += [one.__cause__, None if one.__suppress_context__ else one.__context__]
        return self.in_text(f"{type(error).__name__}", printed + " ".join(chain))
