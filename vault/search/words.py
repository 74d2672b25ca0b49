"""Words, stop words and stems: plain text functions under the lexical index.

Owns how text falls into words that two texts share. English words are stemmed with Snowball; other
languages pass unstemmed, and scripts without spaces become pairs of characters. Hashing the words, so that
none stands in memory in clear, is `vault.search.lexical`'s affair.
"""

import re
import threading
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from Stemmer import Stemmer

STOP_WORDS: Final = frozenset(
    """a about am an and any are as at be been being but by can could d did do does doing for from had has
    have having he her hers him his how i if in into is it its just ll m me my myself of on or our ours
    re s she should so some t than that the their theirs them then there these they this those to too us
    ve very was we were what when where which who whom whose why will with would you your yours""".split()  # noqa: SIM905 - a word list reads better as text
)
_WORD: Final = re.compile(r"[^\W_]+")
_LONG_NUMBER: Final = re.compile(r"(?<!\w)\+?\(?[0-9](?:[ ()./-]{0,2}[0-9]){5,24}(?!\w)", re.ASCII)
"""Phones, cards, accounts: six digits and more, however they are grouped."""
_UNSPACED: Final = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]"
)
LONGEST_WORD: Final = 64
MAX_CHARACTERS: Final = 200_000
"""What is read of one text."""

_local = threading.local()


def stems(text: str) -> list[str]:
    """Stems of the words of a text in order, stop words left out; long numbers also without separators."""
    stemmer = _stemmer()
    found = [
        stemmer.stemWord(word) if word.isascii() else word for word in words(text) if word not in STOP_WORDS
    ]
    return found + numbers(text)


def words(text: str) -> list[str]:
    """Words in order: compatibility forms folded, lower case, accents removed."""
    text = text[:MAX_CHARACTERS]
    if text.isascii():
        return [word[:LONGEST_WORD] for word in _WORD.findall(text.lower())]
    folded = unicodedata.normalize("NFKD", text).casefold()
    bare = "".join(character for character in folded if not unicodedata.combining(character))
    found: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFC", bare)):
        if _UNSPACED.search(word):
            found.extend(word[place : place + 2] for place in range(max(1, len(word) - 1)))
        else:
            found.append(word[:LONGEST_WORD])
    return found


def numbers(text: str) -> list[str]:
    """Long numbers with their separators removed, so that any grouping finds any other."""
    found = []
    for match in _LONG_NUMBER.finditer(text[:MAX_CHARACTERS]):
        digits = "".join(filter(str.isdigit, match.group()))
        if digits != match.group():
            found.append(digits)
    return found


def _stemmer() -> "Stemmer":
    """Return the stemmer of this thread: it keeps state, and must keep no cache of words."""
    stemmer: Stemmer | None = getattr(_local, "stemmer", None)
    if stemmer is None:
        from Stemmer import Stemmer as Snowball  # noqa: PLC0415 - a vendor, loaded on first use

        stemmer = Snowball("english", 0)
        _local.stemmer = stemmer
    return stemmer
