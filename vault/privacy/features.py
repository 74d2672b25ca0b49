"""What the tagger sees of each word: form, affixes, what the word is known as, its neighbours, the rules' opinion.

Pure: words, lexicon flags and findings in, lists of feature names out. Training and tagging call the
same function, so that a model never sees other features than those it learned.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from vault.privacy.findings import Finding
from vault.privacy.words import Word, shape

_RANKS: Final = "12345"
_EDGE: Final = ("@",)
_WINDOW: Final = (-2, -1, 1, 2)
_CODE: Final = re.compile(
    r"[{}=<>$`\\]|;$|\(\)|(?<!\w)--?[a-z]|[a-z]/[a-z]+/|::|[a-z]\(|[a-z0-9]_[a-z0-9]|\.(?:py|js|go|rs|java|yaml|json|conf|sh|log|ts)\b"
)
"""Marks of code, commands and logs."""
_CODE_WINDOW: Final = 2000
_FEW_MARKS: Final = 1
Flags = Callable[[str], str]
"""From a word in lower case to its lexicon flags."""


def word_features(word: str, flags: str) -> tuple[list[str], list[str]]:
    """Return (features of the word itself, features that its neighbours see)."""
    if word[:1] == "[" and len(word) > 1:
        token = ["w=[T]", "s=[T]"]
        return token, token
    lower = word.lower()
    form = shape(word)
    rank = next((flag for flag in flags if flag in _RANKS), "0")
    known = "".join(flag for flag in flags if flag not in _RANKS)
    seen = [f"w={lower}", f"s={form}", f"r={rank}"]
    own = [*seen, f"sr={form}|{rank}", f"k={known}|{rank}", f"n={min(len(word), 12)}"]
    if known:
        own.append(f"sk={form}|{known}")
        own.extend(f"f={flag}" for flag in known)
        seen.append(f"k={known}")
        seen.extend(f"f={flag}{form[:1]}" for flag in known)
    if lower.isalpha():
        own.extend(f"p{size}={lower[:size]}" for size in (2, 3, 4) if len(lower) > size)
        own.extend(f"e{size}={lower[-size:]}" for size in (2, 3, 4) if len(lower) > size)
    return own, seen


def text_features(
    words: Sequence[Word], text: str, found: Sequence[Finding], flags: Flags, known: Mapping[str, str]
) -> list[list[str]]:
    """Return a list of features for each word.

    Args:
        words: The words of `text`, in order.
        text: The text.
        found: What the rules found, by place.
        flags: Gives a word's lexicon flags (training hides some of them).
        known: Words whose features may be kept between calls: the lexicon itself, never words of a text.
    """
    forms = {
        form: _kept(form, flags(form.lower())) if form in known else word_features(form, flags(form.lower()))
        for form in {word.text for word in words}
    }
    parts = [forms[word.text] for word in words]
    rules = _rule_labels(words, found)
    mode = _mode(text)
    code = f"c={is_code(text):d}"
    rows: list[list[str]] = []
    for place, (own, _) in enumerate(parts):
        row = [*own, f"m={mode}", f"m{own[1]}|{mode}", f"R={rules[place]}", code, f"{code}{own[1]}"]
        for offset in _WINDOW:
            at = place + offset
            row.extend(f"{offset}{name}" for name in (parts[at][1] if 0 <= at < len(parts) else _EDGE))
        _add_context(row, words, place, text, rules)
        rows.append(row)
    return rows


@lru_cache(maxsize=16_384)
def _kept(word: str, flags: str) -> tuple[list[str], list[str]]:
    """Return the features of a lexicon word, made once."""
    return word_features(word, flags)


def _add_context(row: list[str], words: Sequence[Word], place: int, text: str, rules: Sequence[str]) -> None:
    """Add what spans several words: pairs, the neighbours' rule labels, line borders, gaps."""
    before = words[place - 1].text.lower() if place else "@"
    after = words[place + 1].text.lower() if place + 1 < len(words) else "@"
    before2 = words[place - 2].text.lower() if place > 1 else "@"
    row.append(f"wb={before}|{after}")
    row.append(f"bb={before2}|{before}")
    if place:
        row.append(f"-1R={rules[place - 1]}")
        gap = text[words[place - 1].end : words[place].start]
        row.append("g=0" if not gap else "g=n" if "\n" in gap else "g=s")
    else:
        row.append("g=b")
    if place + 1 < len(words):
        row.append(f"+1R={rules[place + 1]}")
        gap = text[words[place].end : words[place + 1].start]
        row.append("h=0" if not gap else "h=n" if "\n" in gap else "h=s")
    else:
        row.append("h=e")
    row.append("z=1" if before in {"@", ".", "!", "?", ":", '"'} else "z=0")


def is_code(text: str) -> bool:
    """Tell whether a text looks like code, a command or a log."""
    return len(_CODE.findall(text, 0, _CODE_WINDOW)) > _FEW_MARKS


def _mode(text: str) -> str:
    """Return whether capitals mean anything in this text: mixed, all small, all capital."""
    if text == text.lower():
        return "l"
    return "u" if text == text.upper() else "m"


def _rule_labels(words: Sequence[Word], found: Sequence[Finding]) -> list[str]:
    """Return for each word the kind of the longest rule finding over it, `0` for none."""
    labels = ["0"] * len(words)
    place = 0
    for finding in found:
        while place < len(words) and words[place].end <= finding.start:
            place += 1
        at = place
        while at < len(words) and words[at].start < finding.end:
            if labels[at] == "0":
                labels[at] = finding.kind.value
            at += 1
    return labels


def lexicon_flags(lexicon: Mapping[str, str]) -> Flags:
    """Return a lookup of flags; unknown words and their possessives have none."""

    def flags(word: str) -> str:
        return lexicon.get(word, "")

    return flags
