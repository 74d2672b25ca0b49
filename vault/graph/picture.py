"""Draw which memory bears out each statement of a drafted answer, as SVG.

Owns the drawing alone: a value in, text out; the same check gives the same picture. What is true of the
statements is `vault.guarding.supporting`'s. The picture stands alone: no script, no style sheet, no font, no
link and no reference to anything outside of it.

Threat: a statement is text of a caller's, or of a model's. It is drawn as characters and never as markup; what
XML 1.0 section 2.2 forbids, and what turns the direction of writing around, is drawn as U+FFFD.
"""

import unicodedata
from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from vault.guarding.supporting import Supported

_WIDTH: Final = 960
_LEFT: Final = 20
_RIGHT: Final = 600
_BOX: Final = 340
_ROW: Final = 64
_PAD: Final = 20
_SHOWN: Final = 44
"""Characters of a statement that fit in its box."""
_WIDE: Final = frozenset("WF")
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""General categories that are not drawn: controls, directions, surrogates, what is not assigned."""


def picture(statements: Sequence[Supported]) -> str:
    """Return an SVG with statements on the left, and on the right the span of the memory that bears each out."""
    places = {
        memory: row
        for row, memory in enumerate(dict.fromkeys(one.memory_id for one in statements if one.memory_id))
    }
    height = 2 * _PAD + _ROW * max(len(statements), len(places), 1)
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif">',
        "<title>What bears out each statement</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for memory, row in places.items():
        drawn += _box(_RIGHT, row, "#1b6e3c", memory, "verified memory")
    for row, one in enumerate(statements):
        drawn += _statement(row, one)
        if one.memory_id and one.source:
            drawn += _line(row, places[one.memory_id], f"{one.source.start}-{one.source.end}")
    return "\n".join([*drawn, "</svg>", ""])


def _statement(row: int, one: Supported) -> list[str]:
    if one.memory_id:
        return _box(_LEFT, row, "#1b6e3c", one.text, "borne out")
    return _box(_LEFT, row, "#a11d1d", one.text, f"unsupported: {', '.join(one.missing)}", dashed=True)


def _box(left: int, row: int, colour: str, text: str, below: str, *, dashed: bool = False) -> list[str]:
    top = _PAD + row * _ROW
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    return [
        f'<rect x="{left}" y="{top}" width="{_BOX}" height="48" rx="5" fill="#ffffff" stroke="{colour}"{dashes}/>',
        # Letters are as wide as the reader's font has them: a viewport of its own cuts what does not fit.
        f'<svg x="{left}" y="{top}" width="{_BOX - 8}" height="48">',
        f'<text x="10" y="20" fill="#111111" font-size="13">{_short(text)}</text>',
        f'<text x="10" y="38" fill="{colour}" font-size="11">{below}</text>',
        "</svg>",
    ]


def _line(row: int, to: int, span: str) -> list[str]:
    start, end = (_PAD + place * _ROW + 24 for place in (row, to))
    return [
        f'<line x1="{_LEFT + _BOX}" y1="{start}" x2="{_RIGHT}" y2="{end}" stroke="#1b6e3c"/>',
        f'<text x="{_LEFT + _BOX + 10}" y="{start - 6}" fill="#111111" font-size="11">{_short(span)}</text>',
    ]


def _short(text: str) -> str:
    """Return as much of a text as fits, as characters of XML; a wide character takes the room of two."""
    kept: list[str] = []
    room = _SHOWN
    for character in text:
        room -= 2 if unicodedata.east_asian_width(character) in _WIDE else 1
        if room < 0:
            return escape("".join(kept)) + "…"
        kept.append("\ufffd" if unicodedata.category(character) in _UNSEEN else character)
    return escape("".join(kept))
