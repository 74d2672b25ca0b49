"""Keyphrases of a masked text, without a model: RAKE.

Owns the choice of phrases. Follows S. Rose, D. Engel, N. Cramer, W. Cowley, "Automatic keyword
extraction from individual documents" (2010): runs of words between stop words and punctuation are
candidates, scored by the sum of their words' degree over frequency. A privacy token counts as one
word that is never cut, and a phrase of tokens alone is none.

    >>> keyphrases("The sleep clinic moved my sleep study to March.")
    ('sleep clinic moved', 'sleep study', 'march')
"""

import re
from typing import Final

from vault.pipeline.tokens import TOKEN

MAX_PHRASES: Final = 8
_MAX_WORDS: Final = 4
_MIN_LETTERS: Final = 3

_PIECE: Final = re.compile(rf"{TOKEN.pattern}|[^\W_](?:[\w'\u2019+&/-]*[^\W_])?|[^\w\s]|\n")
_FORM: Final = re.compile(r"^[^\W\d_]")

_WORDS: Final = """
a about above actually after again ago all almost already also although always am an and any anyone anything
    anyway are aren't around as ask asked at away back be because been before being below between both but by
    bye call came can can't cannot come coming could couldn't did didn't do does doesn't doing don't done down
    during each either else enough even ever every everything far feel feeling few fine first for from get gets
    getting give given go goes going gone gonna good got great had hadn't has hasn't have haven't having he
    he'd he'll he's hello help her here here's hers herself hey hi him himself his hm hmm hope how how's
    however i i'd i'll i'm i've if in into is isn't it it'd it'll it's its itself just keep kind kinda know
    last later least less let let's like little ll long look looking lot lots made make makes many may maybe me
    mean might mine more most much must my myself near need needs never new next nice no none nor not nothing
    now of off often oh ok okay on once one only onto or other others our ours out over own perhaps please
    pretty put quite rather re really right said same saw say says see seem seems seen shall she she'd she'll
    she's should shouldn't since so some someone something sometimes soon sorry still such sure take taken
    tell than thank thanks that that'd that'll that's the their theirs them themselves then there there's these
    they they'd they'll they're they've thing things think this those though thought through time to today
    together told too took try trying two um under until up upon us use used using ve very via want wanted wants
    was wasn't way we we'd we'll we're we've welcome well went were weren't what what's whatever when where
    where's whether which while who who's whole whom whose why will with within without won't wonder would
    wouldn't wow yeah yep yes yesterday yet you you'd you'll you're you've your yours yourself"""
STOP_WORDS: Final = frozenset(_WORDS.split())
"""English words that say nothing about what a text is about, lower case."""


def keyphrases(text: str, limit: int = MAX_PHRASES) -> tuple[str, ...]:
    """Return at most `limit` phrases, the most telling first; equals in the order of the text."""
    candidates = _candidates(text)
    frequency: dict[str, int] = {}
    degree: dict[str, int] = {}
    for phrase in candidates:
        size = len(phrase)
        for word in phrase:
            frequency[word] = frequency.get(word, 0) + 1
            degree[word] = degree.get(word, 0) + size
    scores = {
        " ".join(phrase): sum([degree[word] / frequency[word] for word in phrase]) for phrase in candidates
    }
    return tuple(sorted(scores, key=scores.__getitem__, reverse=True)[:limit])


def _candidates(text: str) -> list[tuple[str, ...]]:
    """Return the runs of telling words, in order."""
    candidates: list[tuple[str, ...]] = []
    run: list[str] = []
    for word in _words(text):
        if _tells(word):
            run.append(word)
        elif run:
            candidates += _phrases(run)
            run = []
    return candidates + _phrases(run)


def _words(text: str) -> list[str]:
    """Return words and marks in lower case; tokens keep theirs."""
    if "[" not in text:
        return _PIECE.findall(text.lower().replace("\u2019", "'"))
    return [
        piece if piece[0] == "[" else piece.lower().replace("\u2019", "'") for piece in _PIECE.findall(text)
    ]


def _tells(word: str) -> bool:
    if word in STOP_WORDS:
        return False
    first = word[0]
    if first.isalpha():
        return len(word) >= _MIN_LETTERS
    return first.isdigit() or (first == "[" and len(word) > 1)


def _phrases(run: list[str]) -> list[tuple[str, ...]]:
    """Cut a run into phrases of bounded length; those without an ordinary word are dropped."""
    if len(run) <= _MAX_WORDS and run and run[0][0].isalpha():
        return [tuple(run)]
    pieces = [tuple(run[at : at + _MAX_WORDS]) for at in range(0, len(run), _MAX_WORDS)]
    return [piece for piece in pieces if any(_FORM.match(word) for word in piece)]
