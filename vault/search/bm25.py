"""Okapi BM25 over postings, for units of three sizes: a turn, a window of turns, a session.

Owns the formula and the figures it needs, as pure functions on arrays; which postings and lengths go in is
the index's affair. Figures are summed over the access scopes that are searched and over no other, so that a
score says nothing of memories that the caller may not see.

Robertson and Zaragoza 2009; the inverse document frequency is the form that is never negative.
"""

import math
from collections.abc import Sequence
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
class FieldView:
    """One field of one partition, for the terms of a query."""

    postings: tuple[Posting, ...]
    """One a query term, in order."""
    lengths: NDArray[np.float32]
    """Of every unit, in words."""
    units: int
    """Living units."""
    words: float
    """Sum of their lengths."""


def rarities(fields: Sequence[FieldView]) -> tuple[float, ...]:
    """Inverse document frequency of each query term over all the partitions of one field."""
    units = sum(field.units for field in fields)
    frequencies = [
        sum(map(len, (posting.units for posting in term)))
        for term in zip(*(f.postings for f in fields), strict=True)
    ]
    return tuple(math.log1p((units - df + 0.5) / (df + 0.5)) if df else 0.0 for df in frequencies)


def mean_length(fields: Sequence[FieldView]) -> float:
    """Mean length of the living units of one field over all partitions; 1 where there is none."""
    units = sum(field.units for field in fields)
    words = sum(field.words for field in fields)
    return words / units if units and words > 0 else 1.0


def scores(field: FieldView, rarity: Sequence[float], mean: float) -> NDArray[np.float32]:
    """Score of every unit of one partition; zero where no term stands."""
    total = np.zeros(len(field.lengths), np.float32)
    for posting, weight in zip(field.postings, rarity, strict=True):
        if weight == 0.0:
            continue
        damping = field.lengths[posting.units] * np.float32(K1 * B / mean) + np.float32(K1 * (1 - B))
        total[posting.units] += np.float32(weight * (K1 + 1)) * posting.counts / (posting.counts + damping)
    return total
