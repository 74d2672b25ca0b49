"""JSON read as a list of leaves: each value with its readable path and its place in the text.

Owns a strict RFC 8259 reader that keeps character spans, which the standard library's does not, and
that needs no recursion, so that no depth of nesting can exhaust the stack. It leaves the grouping
of leaves into passages to `vault.pipeline.segment`.

    >>> [(leaf.path, leaf.text) for leaf in read_leaves('{"visit": {"bp": [120, 80]}}', depth=8)]
    [('visit.bp[0]', '120'), ('visit.bp[1]', '80')]
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vault.errors import DocumentInvalidError, InputTooLargeError, TextInvalidError
from vault.model import Span

MAX_PATH: Final = 1024
"""Characters of a key path; each leaf repeats its own, so a long one would multiply."""

_BLANKS: Final = re.compile(r"[ \t\n\r]*")
_STRING: Final = re.compile(r'"((?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+)"')
_LITERAL: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null")
# A pair of escaped surrogates is one character; a lone one is kept here and refused below.
_ESCAPE: Final = re.compile(
    r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|\\u([0-9a-fA-F]{4})|\\(.)"
)
_SHORT: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff\u202d\u202e]")


@dataclass(frozen=True, slots=True)
class Leaf:
    """One scalar, or one empty object or array, of a JSON text."""

    path: str
    """Keys joined by dots, places in arrays in brackets; empty for a bare scalar."""
    record: str
    """Path of the innermost object that stands in an array, which reads as one record."""
    text: str
    """A string decoded; any other value as written."""
    source: Span
    """The value in the JSON text, quotes included."""
    is_string: bool


@dataclass(slots=True)
class _Open:
    """One object or array that is being read."""

    path: str
    record: str
    is_object: bool
    place: int = 0

    def child(self, key: str) -> tuple[str, str]:
        """Return path and record of the next value in it."""
        if not self.is_object:
            path = f"{self.path}[{self.place}]"
        else:
            path = f"{self.path}.{key}" if self.path else key
        if len(path) > MAX_PATH:
            raise InputTooLargeError(f"expected key paths of at most {MAX_PATH} characters, got {len(path)}")
        return path, self.record


def read_leaves(text: str, depth: int) -> Iterator[Leaf]:
    """Yield the leaves of a JSON text in order.

    Raises:
        DocumentInvalidError: not one JSON value, or nested deeper than `depth`; the message names the
            place, not what stands there.
        InputTooLargeError: a key path longer than `MAX_PATH`.
        TextInvalidError: a string that decodes to NUL, a lone surrogate or a bidirectional override.
    """
    stack: list[_Open] = []
    at = _skip(text, 0)
    path = record = ""
    while True:
        opened = text[at : at + 1]
        if opened in ("{", "["):
            inside = _skip(text, at + 1)
            if text[inside : inside + 1] != ("}" if opened == "{" else "]"):
                stack.append(_Open(path, _record_of(path, record, opened), opened == "{"))
                if len(stack) > depth:
                    raise DocumentInvalidError(f"expected JSON nested at most {depth} deep, got more at {at}")
                path, record, at = _enter(text, inside, stack[-1])
                continue
            yield Leaf(path, record, f"{opened}{text[inside]}", Span(at, inside + 1), is_string=False)
            at = inside + 1
        else:
            leaf = _scalar(text, at, path, record)
            yield leaf
            at = leaf.source.end
        at = _close(text, _skip(text, at), stack)
        if not stack:
            break
        path, record, at = _enter(text, at, stack[-1])
    if at != len(text):
        raise _broken(at)


def decoded_places(literal: str) -> list[int]:
    """Return for each decoded character of a JSON string literal, and its end, its place in the literal."""
    places: list[int] = []
    at = 1
    while at < len(literal) - 1:
        places.append(at)
        escape = _ESCAPE.match(literal, at)
        at = escape.end() if escape else at + 1
    return [*places, len(literal) - 1]


def _record_of(path: str, record: str, opened: str) -> str:
    return path if opened == "{" and path.endswith("]") else record


def _enter(text: str, at: int, parent: _Open) -> tuple[str, str, int]:
    """Read up to the next value of `parent`; return its path, its record and where it begins."""
    key = ""
    if parent.is_object:
        found = _STRING.match(text, at)
        if not found:
            raise _broken(at)
        key = _decode(found.group(1), at)
        at = _skip(text, found.end())
        if text[at : at + 1] != ":":
            raise _broken(at)
        at = _skip(text, at + 1)
    path, record = parent.child(key)
    return path, record, at


def _close(text: str, at: int, stack: list[_Open]) -> int:
    """Leave what ends at `at`; return where the next value or key of the innermost open one begins."""
    while stack:
        top = stack[-1]
        mark = text[at : at + 1]
        if mark == ",":
            top.place += 1
            return _skip(text, at + 1)
        if mark != ("}" if top.is_object else "]"):
            raise _broken(at)
        stack.pop()
        at = _skip(text, at + 1)
    return at


def _scalar(text: str, at: int, path: str, record: str) -> Leaf:
    string = _STRING.match(text, at)
    if string:
        return Leaf(path, record, _decode(string.group(1), at), Span(at, string.end()), is_string=True)
    literal = _LITERAL.match(text, at)
    if not literal:
        raise _broken(at)
    return Leaf(path, record, literal.group(), Span(at, literal.end()), is_string=False)


def _decode(inner: str, at: int) -> str:
    decoded = _ESCAPE.sub(_unescape, inner) if "\\" in inner else inner
    if _UNSTORABLE.search(decoded):
        raise TextInvalidError(
            f"expected JSON strings without NUL, lone surrogate or bidirectional override, got one at {at}"
        )
    return decoded


def _unescape(escape: re.Match[str]) -> str:
    high, low, single, short = escape.groups()
    if high:
        return chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF))
    return chr(int(single, 16)) if single else _SHORT.get(short, short)


def _skip(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at


def _broken(at: int) -> DocumentInvalidError:
    return DocumentInvalidError(f"expected one JSON value, got something else at character {at}")
