"""WordPiece tokenizer of BERT uncased: text to the ids that MiniLM was trained on.

Owns cleaning, splitting and greedy longest-match lookup, as in Google's reference `tokenization.py`
(Devlin et al. 2019). It leaves padding and the model to `vault.search.embed`. Written here because the
ready-made tokenizer brings a network client along; a test holds it against that one.

The vocabulary, `bert_uncased_vocabulary.txt.gz`, is Google's (Apache-2.0), checked against a pinned digest.
"""

import gzip
import hashlib
import re
import unicodedata
from importlib import resources
from typing import Final

from vault.errors import StoreCorruptError

VOCABULARY_FILE: Final = "bert_uncased_vocabulary.txt.gz"
VOCABULARY_SHA256: Final = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
"""Of the decompressed text."""
LONGEST_WORD: Final = 100
"""Longer words are unknown, as in the reference: bounds the quadratic lookup."""
CONTINUATION: Final = "##"
_ASCII_WORDS: Final = re.compile(r"[a-z0-9]+|[!-/:-@\[-`{-~]")
_IDEOGRAPHS: Final = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
"""CJK blocks of which the reference treats every character as a word."""


def read_vocabulary() -> dict[str, int]:
    """Read the vocabulary that ships with the package: piece to id.

    Raises:
        StoreCorruptError: the file is not the one that this version was released with.
    """
    packed = resources.files("vault.search").joinpath(VOCABULARY_FILE).read_bytes()
    text = gzip.decompress(packed)
    if hashlib.sha256(text).hexdigest() != VOCABULARY_SHA256:
        raise StoreCorruptError(
            "the tokenizer's vocabulary does not have its pinned digest: install the package anew"
        )
    return {piece: number for number, piece in enumerate(text.decode("utf-8").split("\n")) if piece}


class WordPiece:
    """Splits text into vocabulary ids. Stateless, so any number of threads may share one."""

    def __init__(self, vocabulary: dict[str, int]) -> None:
        self._ids = vocabulary
        self._unknown = vocabulary["[UNK]"]
        self._first = vocabulary["[CLS]"]
        self._last = vocabulary["[SEP]"]

    def encode(self, text: str, most: int) -> list[int]:
        """Return at most `most` ids, opened by `[CLS]` and closed by `[SEP]`."""
        ids = [self._first]
        room = most - 1
        for word in split_words(text):
            if len(ids) >= room:
                break
            known = self._ids.get(word)
            if known is not None:
                ids.append(known)
            else:
                ids.extend(self._pieces(word))
        del ids[room:]
        ids.append(self._last)
        return ids

    def _pieces(self, word: str) -> list[int]:
        if len(word) > LONGEST_WORD:
            return [self._unknown]
        pieces: list[int] = []
        start = 0
        while start < len(word):
            end = len(word)
            prefix = CONTINUATION if start else ""
            while end > start and (prefix + word[start:end]) not in self._ids:
                end -= 1
            if end == start:
                return [self._unknown]
            pieces.append(self._ids[prefix + word[start:end]])
            start = end
        return pieces


def split_words(text: str) -> list[str]:
    """Lower-case words and single punctuation marks, accents and control characters removed."""
    if text.isascii() and text.isprintable():
        return _ASCII_WORDS.findall(text.lower())
    spaced = "".join(map(_spaced, text))
    bare = "".join(c for c in unicodedata.normalize("NFD", spaced.lower()) if unicodedata.category(c) != "Mn")
    return bare.split()


def _spaced(character: str) -> str:
    """Set marks and ideographs apart by spaces; drop what the reference calls control characters."""
    if character in " \t\n\r":
        return " "
    if character.isalnum():
        return f" {character} " if _is_ideograph(ord(character)) else character
    category = unicodedata.category(character)
    if category.startswith("C") or character == "\N{REPLACEMENT CHARACTER}":
        return ""
    if character.isspace():
        return " "
    return f" {character} " if character.isascii() or category.startswith("P") else character


def _is_ideograph(point: int) -> bool:
    return any(first <= point <= last for first, last in _IDEOGRAPHS)
