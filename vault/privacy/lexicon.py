"""What single words are known to be: first names, surnames, places, nationalities, common words.

Owns the shipped word list and its format. The list is a feature of the tagger, not a rule: `May`, `Rose`
and `Reading` are names and words, and only their neighbours tell.

Format: gzip of UTF-8 lines `word<TAB>flags`, lower case, sorted. Flags are one character each.
"""

import gzip
import hashlib
from collections.abc import Mapping
from enum import StrEnum
from importlib import resources
from types import MappingProxyType
from typing import Final

from vault.errors import TamperedError

LEXICON_FILE: Final = "lexicon.txt.gz"
LEXICON_SHA256: Final = "1c1283a8b604d10212c144791e70ef1fc0a7aa4a9e5a11e1517f7ebdab3cf55c"


class Flag(StrEnum):
    """What a word can be."""

    FIRST_NAME = "f"
    SURNAME = "l"
    CITY = "c"
    CITY_PART = "k"
    """A word of a place's name that has several."""
    COUNTRY = "n"
    NATIONALITY = "a"
    REGION = "r"
    JOB = "j"
    RANK_1 = "1"
    """Among the most common thousand words of English; then 4, 12, 30 thousand, and the rest of the dictionary."""
    RANK_2 = "2"
    RANK_3 = "3"
    RANK_4 = "4"
    RANK_5 = "5"


def read_asset(name: str, sha256: str) -> bytes:
    """Return a file shipped with this package.

    Raises:
        TamperedError: its SHA-256 is not `sha256`.
    """
    content = resources.files("vault.privacy").joinpath("assets", name).read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise TamperedError(f"the shipped file {name} is not the one that was built")
    return content


def load_lexicon(sha256: str = LEXICON_SHA256) -> Mapping[str, str]:
    """Return flags by lower-case word.

    Raises:
        TamperedError: the shipped list is not the one that was built.
    """
    lines = gzip.decompress(read_asset(LEXICON_FILE, sha256)).decode("utf-8").splitlines()
    return MappingProxyType(dict(line.split("\t", 1) for line in lines))
