"""The normalised view in which personal data is looked for, with the way back to the source.

Zero-width and bidirectional controls, full-width and foreign digits, combining marks, HTML character
references and bare inline tags can hide a number from a pattern. The view has them folded; every
character of the view knows which range of the source it came from, so a finding in the view becomes
a span of the source that covers what was hidden as well.

Nothing here decides what is personal data. Offsets are code points.
"""

import html
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

# Left as it is: ASCII without markup, Latin letters, and punctuation that the patterns know.
_PLAIN: Final = re.compile(
    r"[\t\n\r -%'-;=?-~\u00a1-\u00ac\u00ae-\u00b1\u00b4-\u00b8\u00bb\u00bf-\u024f\u0370-\u0373\u0386-\u0482\u048a-\u052f<>]*"
)
_PIECE: Final = re.compile(
    r"(?P<entity>&(?:(?:amp|#0{0,200}38|#x0{0,200}26);){0,16}"
    r"(?:#0{0,200}[0-9]{1,7};?|#x0{0,200}[0-9a-f]{1,6};?|[a-z][a-z0-9]{1,30};))"
    r"|(?P<tag></?(?:b|i|u|em|strong|span|font|small|mark|sub|sup|code|wbr|s|big|tt|bdo|bdi)\s{0,4}/?>)"
    r"|(?P<cluster>[\s\S])",
    re.IGNORECASE,
)
_DASHES: Final = "\u2043\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_APOSTROPHES: Final = "\u2018\u2019\u02bc\u201b\u2032\u00b4\uff07"
_SHOW_NOTHING: Final = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800" + "".join(
    map(chr, range(0xFE00, 0xFE10))
)
"""Fillers and variation selectors."""
_LOOKS: Final = (
    dict.fromkeys(_DASHES, "-")
    | dict.fromkeys("\u3002\uff61", ".")
    | dict.fromkeys(_APOSTROPHES, "'")
    | dict.fromkeys(_SHOW_NOTHING, "")
)
_MARKS: Final = frozenset({"Mn", "Me"})
_LAST_LATIN: Final = "\u024f"
_MOST_CHARACTERS: Final = 4
"""A character that Unicode folds to more stays as it is: U+FDFA would become eighteen."""
_MOST_ESCAPES: Final = 18
_LOOKS_BY_CATEGORY: Final = {"Cf": "", "Zs": " ", "Zl": "\n", "Zp": "\n"}
"""Cf holds zero-width and bidirectional controls, the soft hyphen and tags."""


@dataclass(frozen=True, slots=True)
class View:
    """A text as detection sees it.

    `starts[i]` and `ends[i]` bound the source of the view's character `i`; both are None when the
    view is the source itself.
    """

    text: str
    starts: tuple[int, ...] | None = None
    ends: tuple[int, ...] | None = None

    def to_source(self, start: int, end: int) -> tuple[int, int]:
        """Return the source range of the view's `[start, end)`, which is not empty."""
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]


def view_of(text: str) -> View:
    """Return the view of `text`: the text itself where nothing in it can hide anything."""
    if _PLAIN.fullmatch(text) and not ("<" in text and ">" in text):
        return View(text)
    folded: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for piece, start, end in _pieces(text):
        for char in piece:
            folded.append(char)
            starts.append(start)
            ends.append(end)
    return View("".join(folded), tuple(starts), tuple(ends))


def _pieces(text: str) -> list[tuple[str, int, int]]:
    """Return (folded, start, end) for each piece of the source, in order; hidden pieces fold to nothing."""
    pieces: list[tuple[str, int, int]] = []
    for match in _PIECE.finditer(text):
        start, end = match.span()
        if match["tag"]:
            continue
        decoded = _unescaped(match.group()) if match["entity"] else match.group()
        if match["entity"] and decoded == match.group():
            pieces.extend((char, start + at, start + at + 1) for at, char in enumerate(decoded))
            continue
        folded = "".join(map(_fold, decoded))
        if not folded:
            continue
        if pieces and unicodedata.category(folded[0]) in _MARKS and _compose(pieces, folded, end):
            continue
        pieces.append((folded, start, end))
    return pieces


def _unescaped(reference: str) -> str:
    """Return what a character reference stands for, also where the reference itself was escaped, again and again."""
    for _ in range(_MOST_ESCAPES):
        decoded = html.unescape(reference)
        if decoded == reference:
            break
        reference = decoded
    return reference


def _compose(pieces: list[tuple[str, int, int]], mark: str, end: int) -> bool:
    """Join a mark to the character before it, if Unicode has the pair as one; on Latin letters and digits others vanish."""
    letter, start, _ = pieces[-1]
    joined = unicodedata.normalize("NFC", letter + mark)
    if len(joined) != len(letter):
        if letter[-1] > _LAST_LATIN:
            return False
        joined = letter
    pieces[-1] = (joined, start, end)
    return True


@lru_cache(maxsize=4096)
def _fold(char: str) -> str:
    """Return what a character looks like to a pattern: possibly nothing, possibly several characters."""
    if char.isascii():
        return char
    if char in _LOOKS:
        return _LOOKS[char]
    category = unicodedata.category(char)
    if category == "Nd":
        return str(unicodedata.decimal(char))
    if category in _LOOKS_BY_CATEGORY:
        return _LOOKS_BY_CATEGORY[category]
    folded = unicodedata.normalize("NFKC", char)
    return folded if len(folded) <= _MOST_CHARACTERS else char
