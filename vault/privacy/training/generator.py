"""Training texts from own templates: filled, joined, lower-cased, masked in part, with labels for each word.

The templates in `templates/` were written for this project. None is taken from a published data set.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Final

from policies.privacy import EntityType
from vault.privacy.tagger import OUTSIDE, RULED
from vault.privacy.training.values import Values
from vault.privacy.words import Word, split_words

FILES: Final = ("chat", "bank", "health", "press", "letters", "plain", "technical", "world")
_SLOT: Final = re.compile(r"\{([A-Z]+)\}")
_E: Final = EntityType
_LABELS: Final = {
    "P": _E.PERSON, "F": _E.PERSON, "L": _E.PERSON, "T": _E.TITLE, "JT": _E.TITLE, "O": _E.ORGANIZATION, "C": _E.LOCATION, "N": _E.LOCATION, "R": _E.LOCATION, "A": _E.NATIONALITY,
    "S": _E.ADDRESS, "ST": _E.ADDRESS, "U": _E.ADDRESS, "ADDR": _E.ADDRESS, "BOX": _E.ADDRESS, "CORNER": _E.ADDRESS, "Z": _E.POSTCODE, "PH": _E.PHONE, "AGE": _E.AGE, "D": _E.DATE, "DT": _E.DATE, "DTO": _E.DATE,
    "Y": _E.DATE, "CAL": _E.CALENDAR, "DOB": _E.DATE, "ID": _E.MEMBER_NUMBER, "DL": _E.MEMBER_NUMBER, "USER": _E.USERNAME,
}  # fmt: skip
_RULED: Final = frozenset({"EM", "URL", "IP", "CC", "IBAN", "SSN"})
_LOWER, _UPPER, _PLAIN_LETTERS, _TOKENS = 0.30, 0.03, 0.08, 0.12
_JOINED: Final = 0.35


@dataclass(frozen=True, slots=True)
class Example:
    """A text, its words and a label for each."""

    text: str
    words: tuple[Word, ...]
    labels: tuple[str, ...]
    hidden: frozenset[str]
    """Words in lower case of which the lexicon says nothing this time."""


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    label: str


def templates() -> list[tuple[str, str]]:
    """Return (file, template) for each template that ships."""
    folder = resources.files("vault.privacy.training").joinpath("templates")
    lines = (
        (name, line)
        for name in FILES
        for line in folder.joinpath(f"{name}.txt").read_text(encoding="utf-8").splitlines()
    )
    return [(name, line.replace("\\n", "\n")) for name, line in lines if line and not line.startswith("#")]


def examples(count: int, seed: int) -> Iterator[Example]:
    """Yield `count` examples; the same count and seed give the same ones."""
    values = Values(seed)
    known = templates()
    for _ in range(count):
        file, template = known[values.draw.randrange(len(known))]
        pieces = _fill(template, values)
        if values.chance(_JOINED):
            partners = [other for name, other in known if name == file or name in {"chat", "plain"}]
            for _ in range(values.draw.randint(1, 2)):
                pieces += [
                    _Piece("\n" if values.chance(0.15) else " ", OUTSIDE),
                    *_fill(values.pick(partners), values),
                ]
        yield _finish(pieces, values)


def _fill(template: str, values: Values) -> list[_Piece]:
    """Return a template's pieces with values in its slots."""
    pieces: list[_Piece] = []
    done = 0
    for slot in _SLOT.finditer(template):
        pieces.append(_Piece(template[done : slot.start()], OUTSIDE))
        name = slot[1]
        label = RULED if name in _RULED else _LABELS[name].value if name in _LABELS else OUTSIDE
        pieces.append(_Piece(values.slot(name), label))
        done = slot.end()
    tail = template[done:]
    pieces.append(_Piece(tail.rstrip(".!?") if values.chance(0.15) else tail, OUTSIDE))
    return pieces


def _finish(pieces: list[_Piece], values: Values) -> Example:
    """Mask some pieces, change case, split into words, label."""
    if values.chance(_TOKENS):
        pieces = [
            _masked(piece, values) if piece.label != OUTSIDE and values.chance(0.5) else piece
            for piece in pieces
        ]
    form = values.draw.random()
    if form < _LOWER:
        pieces = [
            piece if piece.text.startswith("[") else _Piece(piece.text.lower(), piece.label)
            for piece in pieces
        ]
    elif form < _LOWER + _UPPER:
        pieces = [
            piece if piece.text.startswith("[") else _Piece(piece.text.upper(), piece.label)
            for piece in pieces
        ]
    elif form < _LOWER + _UPPER + _PLAIN_LETTERS:
        pieces = [
            _Piece(unicodedata.normalize("NFKD", piece.text).encode("ascii", "ignore").decode(), piece.label)
            for piece in pieces
        ]
    text = "".join(piece.text for piece in pieces)
    labels_at = [piece.label for piece in pieces for _ in piece.text]
    words = tuple(split_words(text))
    labels = tuple(OUTSIDE if word.text == "'s" else labels_at[word.start] for word in words)
    hidden = frozenset(
        word.text.lower()
        for word, label in zip(words, labels, strict=True)
        if (label != OUTSIDE or word.text[0].isupper()) and values.chance(1 / 3)
    )
    return Example(text, words, labels, hidden)


def _masked(piece: _Piece, values: Values) -> _Piece:
    """Return a token in the place of a value, as text that was screened before has it."""
    kind = piece.label if piece.label != RULED else EntityType.EMAIL.value
    letters = "".join(values.pick(list("abcdefghijklmnopqrstuvwxyz234567")) for _ in range(5))
    return _Piece(f"[{kind}-{letters}2]", OUTSIDE)
