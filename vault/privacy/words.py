"""Words of a text, as the tagger reads them: with offsets, tokens of the vault kept whole.

Owns splitting and the shape of a word. It leaves what words mean to `gazetteers` and `features`.
"""

import re
from dataclasses import dataclass
from typing import Final

from vault.privacy.tokens import TOKEN

_WORD: Final = re.compile(
    rf"(?P<token>{TOKEN.pattern})"
    r"|['’](?:s|t|re|ve|ll|d|m)(?![^\W_])"
    r"|[^\W\d_]+(?:['’](?!(?:s|t|re|ve|ll|d|m)(?![^\W_]))[^\W\d_]+)*"
    r"|[0-9]+|\d|[^\w\s]|_+|[^\s]",
    re.IGNORECASE,
)
_SHAPES: Final = re.compile(r"(.)\1+")
MAX_SHAPE: Final = 12


@dataclass(frozen=True, slots=True)
class Word:
    """One word, number or mark, and where it stands."""

    text: str
    start: int
    end: int


def split_words(text: str) -> list[Word]:
    """Return the words of `text` in order; white space is between them."""
    return [Word(match.group(), match.start(), match.end()) for match in _WORD.finditer(text)]


def shape(word: str) -> str:
    """Return the word's form: `X` capital, `x` small, `9` digit, runs shortened to two."""
    if word.islower():
        return "x" if len(word) == 1 else "xx"
    if word.isdigit():
        return "9" * min(len(word), MAX_SHAPE)
    form = "".join(
        "X" if char.isupper() else "x" if char.isalpha() else "9" if char.isdigit() else char
        for char in word[:MAX_SHAPE]
    )
    return _SHAPES.sub(r"\1\1", form)
