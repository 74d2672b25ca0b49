"""The telling words of a masked text, for comparing memories with one another.

Owns which words count and their form: lower case, plural "s" dropped, tokens and numbers whole. The
search index has terms of its own (`vault.search`): these never leave memory and are not hashed.
"""

import re
from typing import Final

from vault.pipeline.keyphrases import STOP_WORDS
from vault.pipeline.months import MONTHS, WEEKDAYS
from vault.pipeline.tokens import TOKEN

_WORD: Final = re.compile(rf"{TOKEN.pattern}|\d+(?:[.,:/]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)?")
_PLURAL_LETTERS: Final = 4
_SHORTEST: Final = 2
_NEGATIONS: Final = frozenset({"no", "not", "never", "none", "without", "cannot", "nor"})
# Words of which one excludes the others of its group: where two memories differ in them, they conflict.
_GROUPS: Final = (
    {"left", "right"},
    {
        "mother",
        "father",
        "sister",
        "brother",
        "son",
        "daughter",
        "wife",
        "husband",
        "aunt",
        "uncle",
        "mom",
        "mum",
        "dad",
    },
    {"morning", "afternoon", "evening", "night"},
    {"upper", "lower"},
    {"older", "younger"},
    {"daily", "weekly", "monthly"},
    {"once", "twice"},
    {"started", "stopped"},
    {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"},
    set(MONTHS) - {"mar"},
    set(WEEKDAYS),
)
_GROUP_OF: Final = {word: number for number, group in enumerate(_GROUPS) for word in group}
_NUMBERS: Final = -1


def terms_of(text: str) -> frozenset[str]:
    """Return the telling words of a masked text."""
    return frozenset(term for term in words_of(text) if _tells(term))


def words_of(text: str) -> tuple[str, ...]:
    """Return all words of a masked text in order: lower case, tokens and numbers whole."""
    return tuple(_form(word) for word in _WORD.findall(text.replace("\u2019", "'")))


def tokens_of(text: str) -> tuple[str, ...]:
    """Return the revealable tokens of a masked text, each once, in order."""
    if "[" not in text:
        return ()
    return tuple(dict.fromkeys(token for token in TOKEN.findall(text) if "-" in token))


def weighty(word: str) -> bool:
    """Tell whether two texts that differ in this word cannot count as the same."""
    return (
        word[0] == "[" or word[0].isdigit() or word in _GROUP_OF or word in _NEGATIONS or word.endswith("n't")
    )


def conflict(later: frozenset[str], earlier: frozenset[str]) -> bool:
    """Tell whether both name different members of one group: sides, days, numbers, kin, tokens of a type."""
    mine, theirs = _members(later), _members(earlier)
    return any(not mine[group] & theirs[group] for group in mine.keys() & theirs.keys())


def _members(words: frozenset[str]) -> dict[int | str, set[str]]:
    members: dict[int | str, set[str]] = {}
    for word in words:
        group = _group(word)
        if group is not None:
            members.setdefault(group, set()).add(word)
    return members


def _group(word: str) -> int | str | None:
    if word[0] == "[":
        return word.partition("-")[0]
    return _NUMBERS if word[0].isdigit() else _GROUP_OF.get(word)


def _form(word: str) -> str:
    if word[0] == "[":
        return word
    lower = word.lower().removesuffix("'s")
    plural = len(lower) > _PLURAL_LETTERS and lower.endswith("s") and not lower.endswith(("ss", "us", "is"))
    return lower[:-1] if plural else lower


def _tells(word: str) -> bool:
    return (
        word[0] == "["
        or word[0].isdigit()
        or (word in _GROUP_OF)
        or (word not in STOP_WORDS and len(word) >= _SHORTEST)
    )
