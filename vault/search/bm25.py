"""Okapi BM25 over postings, for units of three sizes: a turn, a window of turns, a session.

Owns the formula and the figures it needs, as pure functions on arrays; which postings and lengths go in is
the view's affair. Figures are those of the access scopes that are searched and of no other, so that a score
says nothing of memories that the caller may not see.

Robertson and Zaragoza 2009; the inverse document frequency is the form that is never negative.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

K1: Final = 1.2
B: Final = 0.75


@dataclass(frozen=True, slots=True)
class Posting:
    """The units of one field in which one term stands."""

    units: NDArray[np.int64]
    """Ascending, distinct."""
    counts: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Everywhere:
    """The counts of one term in every unit, zero where it does not stand: cheaper than a posting of many units."""

    counts: NDArray[np.float32]

    @property
    def having(self) -> int:
        """In how many units the term stands."""
        return int(np.count_nonzero(self.counts.astype(np.bool_)))


@dataclass(frozen=True, slots=True)
class FieldView:
    """One field of the searched scopes, for the terms of a query."""

    postings: tuple[Posting | Everywhere, ...]
    """One a query term, in order."""
    lengths: NDArray[np.float32]
    """Of every unit, in words."""
    units: int
    """Living units."""
    words: float
    """Sum of their lengths."""


def rarity(units: int, having: int) -> float:
    """Inverse document frequency: of a term that `having` of `units` units have."""
    return math.log1p((units - having + 0.5) / (having + 0.5)) if having else 0.0


def scores(field: FieldView) -> NDArray[np.float32]:
    """Score of every unit; zero where no term stands."""
    mean = field.words / field.units if field.units and field.words > 0 else 1.0
    total = np.zeros(len(field.lengths), np.float32)
    damping = field.lengths * np.float32(K1 * B / mean) + np.float32(K1 * (1 - B))
    for posting in field.postings:
        if isinstance(posting, Everywhere):
            total += _shares(posting.counts, damping, rarity(field.units, posting.having))
        elif len(posting.units):
            rare = rarity(field.units, len(posting.units))
            total[posting.units] += _shares(posting.counts, damping.take(posting.units), rare)
    return total


def _shares(counts: NDArray[np.float32], damping: NDArray[np.float32], rarity: float) -> NDArray[np.float32]:
    """What one term adds to the score of each unit."""
    shares = counts + damping
    np.divide(counts, shares, out=shares)
    shares *= np.float32(rarity * (K1 + 1))
    return shares
