"""Rank fusion: many signs of one memory's fit become one score. Pure.

Owns the weights, the standardising of signs, and the law that *fusion never loses an arm's first hit*: what
stands first by words alone, or by vectors alone, is among the results whenever there are two places for it.
Computing the signs is the index's affair.

Why standardised sums and not reciprocal ranks, and where the weights come from: docs/search.md and
docs/adr/0004-embedder-and-fusion.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

_FLAT: Final = 1e-9
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
    """Cosine of turn and question; zero without a vector."""
    dense_window: NDArray[np.float32]
    """Mean cosine over the turn and the one before and after it; zero without vectors."""
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
    """What one standard deviation of each sign is worth."""

    lexical: float = 0.25
    window: float = 0.5
    session: float = 0.3
    dense: float = 0.25
    dense_window: float = 0.5
    dated: float = 0.5
    named: float = 1.5
    question: float = -0.5
    after_question: float = 0.3
    length: float = 0.25


TUNED: Final = Weights()


def shares(
    signs: Signs, weights: Weights, has_vector: NDArray[np.bool_]
) -> Mapping[str, NDArray[np.float32]]:
    """Return what each sign adds to each candidate's score.

    A candidate whose vector is still being made gets nothing for and nothing against its dense signs: it
    stands at their mean.
    """
    found = {}
    for field in fields(weights):
        values: NDArray[np.float32] = getattr(signs, field.name)
        counted = has_vector if field.name == "dense" else None
        found[field.name] = np.float32(getattr(weights, field.name)) * standardised(values, counted)
    return found


def standardised(
    values: NDArray[np.float32], counted: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Z-scores; all zero where the values do not differ. Those not counted stand at zero.

    Args:
        values: one a candidate.
        counted: which ones make the mean and get a score; None means all.
    """
    if counted is not None and not counted.all():
        scores = np.zeros(len(values), np.float32)
        if counted.any():
            scores[counted] = standardised(values[counted])
        return scores
    if not len(values):
        return values
    spread = float(values.std(dtype=np.float64))
    if spread < _FLAT:
        return np.zeros(len(values), np.float32)
    return ((values - np.float32(values.mean(dtype=np.float64))) / np.float32(spread)).astype(np.float32)


def ranked(scores: NDArray[np.float32], most: int) -> NDArray[np.int64]:
    """Places of the `most` best scores, best first; equal ones in the order they stand."""
    if most <= 0 or not len(scores):
        return np.zeros(0, np.int64)
    if most < len(scores):
        edge = np.partition(scores, len(scores) - most)[len(scores) - most]
        places = np.flatnonzero(scores >= edge)
    else:
        places = np.arange(len(scores))
    return places[np.argsort(-scores[places], kind="stable")][:most]


def keep_first_hits(ranking: Sequence[int], firsts: Sequence[int], k: int) -> list[int]:
    """Return the first `k` of a ranking, with each arm's first hit among them.

    A first hit that fell out takes the last place that no other first hit holds. The best of the ranking
    keeps the first place; with fewer places than first hits, the first ones have them.
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
