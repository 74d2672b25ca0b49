"""Rank fusion: many signs of one memory's fit become one score. Pure.

Owns the weights, the standardising of signs, and the law that *fusion never loses an arm's first hit*: what
stands first by words alone, or by vectors alone, is among the results whenever three or more are asked for (one
place for the best of the fusion, one for each arm).
Computing the signs is the index's affair.

Why standardised sums and not reciprocal ranks, and where the weights come from: docs/search.md and
docs/adr/0004-embedder-and-fusion.md.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

_FLAT: Final = 1e-9
_STRETCH: Final = 64
_OF_WORDS: Final = frozenset({"lexical", "window", "session", "dated"})
_OF_MEANING: Final = frozenset({"dense", "dense_window"})
ARMS: Final = ("lexical", "dense")
"""Signs that find memories on their own; the others only move what was found."""


@dataclass(frozen=True, slots=True)
class Signs:
    """Raw signs of each candidate for one question; every array has one entry a candidate."""

    lexical: NDArray[np.float32]
    """BM25 of the turn."""
    window: NDArray[np.float32]
    """BM25 of the turn with its neighbours."""
    session: NDArray[np.float32]
    """BM25 of the whole session."""
    dense: NDArray[np.float32]
    """Cosine of turn and question; NaN without a vector."""
    dense_window: NDArray[np.float32]
    """Mean cosine over the turn and the one before and after it, as far as they have vectors; else NaN."""
    dated: NDArray[np.float32]
    """Rarity of the question's dates that the turn carries."""
    named: NDArray[np.float32]
    """1 where the question names the speaker."""
    question: NDArray[np.float32]
    """1 where the turn asks something itself."""
    after_question: NDArray[np.float32]
    """1 where the turn before asks something."""
    length: NDArray[np.float32]
    """Logarithm of the turn's words."""

    def __len__(self) -> int:
        return len(self.lexical)


@dataclass(frozen=True, slots=True)
class Weights:
    """What each sign is worth: at its best, for words; a standard deviation, for meaning; for a flag, set."""

    lexical: float
    window: float
    session: float
    dense: float
    dense_window: float
    dated: float
    named: float
    question: float
    after_question: float
    length: float


TUNED: Final = Weights(
    lexical=1.4,
    window=2.7,
    session=2.5,
    dense=0.25,
    dense_window=0.7,
    dated=5.6,
    named=1.5,
    question=-1.2,
    after_question=0.6,
    length=0.84,
)
"""Found by coordinate ascent on three LoCoMo conversations; see docs/search.md."""


def shares(signs: Signs, weights: Weights) -> Mapping[str, NDArray[np.float32]]:
    """Return what each sign adds to each candidate's score.

    Words count as a share of the best match, so that a collection's size does not decide how words and
    meaning stand to each other; meaning counts in standard deviations; flags count as they are.
    """
    found = {}
    for field in fields(weights):
        values: NDArray[np.float32] = getattr(signs, field.name)
        if field.name in _OF_WORDS:
            values = of_the_best(values)
        elif field.name in _OF_MEANING:
            values = standardised(values)
        found[field.name] = np.float32(getattr(weights, field.name)) * values
    return found


def of_the_best(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each value as a share of the greatest; all zero where none is positive."""
    best = float(values.max(initial=0.0))
    return values / np.float32(best) if best > 0 else np.zeros(len(values), np.float32)


def summed(shares: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Add the shares up, candidate by candidate."""
    each = iter(shares)
    total = next(each).copy()
    for share in each:
        total += share
    return total


def standardised(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Z-scores over the values there are; an absent one (NaN) stands at the mean, which is zero.

    All zero where the values do not differ: a vector still being made speaks neither for nor against.
    """
    absent = np.isnan(values)
    count = len(values) - int(np.count_nonzero(absent))
    if not count:
        return np.zeros(len(values), np.float32)
    present = np.where(absent, np.float32(0), values) if count < len(values) else values
    mean = float(present.sum(dtype=np.float64)) / count
    centred = present - np.float32(mean)
    if count < len(values):
        centred[absent] = 0.0
    spread = math.sqrt(float(np.einsum("i,i->", centred, centred)) / count)
    if spread < _FLAT:
        return np.zeros(len(values), np.float32)
    centred *= np.float32(1 / spread)
    return centred


def ranked(scores: NDArray[np.float32], most: int) -> NDArray[np.int64]:
    """Places of the `most` best scores, best first; equal ones in the order they stand. No NaN may be there."""
    if most <= 0 or not len(scores):
        return np.zeros(0, np.int64)
    if most == 1:
        return np.array([int(scores.argmax())])
    places = np.flatnonzero(scores >= _edge(scores, most)) if most < len(scores) else np.arange(len(scores))
    return places[np.argsort(-scores[places], kind="stable")][:most]


def _edge(scores: NDArray[np.float32], most: int) -> np.float32:
    """Return a bound that at least `most` scores reach, and few more where there are many.

    The best of each of many stretches: the `most`-th best of those is reached by `most` scores at least.
    """
    stretches = len(scores) // _STRETCH
    if stretches < 2 * most:
        return np.float32(np.partition(scores, len(scores) - most)[len(scores) - most])
    tops = scores[: stretches * _STRETCH].reshape(stretches, _STRETCH).max(axis=1)
    return np.float32(np.partition(tops, stretches - most)[stretches - most])


def keep_first_hits(ranking: Sequence[int], firsts: Sequence[int], k: int) -> list[int]:
    """Return the first `k` of a ranking, with each arm's first hit among them.

    A first hit that fell out takes the last place that no other first hit holds. The best of the ranking
    keeps the first place, so with as many first hits as places one of them may find none.
    """
    best = list(ranking[:k])
    for first in [first for first in dict.fromkeys(firsts) if first not in best]:
        free = [place for place in range(len(best)) if best[place] not in firsts and place > 0]
        if len(best) < k:
            best.append(first)
        elif free:
            del best[free[-1]]
            best.append(first)
    return best
