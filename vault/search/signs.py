"""From a view of the searched scopes to the signs of each memory. Pure.

Owns the reading of signs (words of the turn, its window and its session, meaning, dates, speaker, question
and answer); weighing them is `vault.search.fuse`'s affair.
"""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vault.search.bm25 import rarity, scores
from vault.search.fuse import Signs
from vault.search.record import UNKNOWN_TIME
from vault.search.view import PartitionView

LONG: Final = np.float32(32)
"""Words beyond which a text is not thought to say more: passages of documents must not outweigh turns."""
BESIDE: Final = (1, 2)
"""Columns of the neighbours just before and just after."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Every living memory of the searched scopes, in order of scope and arrival."""

    view: PartitionView
    rows: NDArray[np.int64]
    """Of the view: the living ones."""
    signs: Signs

    def memory_id(self, place: int) -> str | None:
        """Id of the candidate at a place; None if it was removed while the search ran."""
        return self.view.memory_id(int(self.rows[place]))

    def said_between(self, since: int | None, until: int | None) -> NDArray[np.bool_] | None:
        """Which were said in `[since, until)`; None for all. An unknown time is in no range."""
        if since is None and until is None:
            return None
        at = self.view.at[self.rows]
        inside: NDArray[np.bool_] = at != UNKNOWN_TIME
        if since is not None:
            inside &= at >= since
        if until is not None:
            inside &= at < until
        return inside


def gather(view: PartitionView, vector: NDArray[np.float32] | None) -> Candidates:
    """Return the signs of every living memory in a view."""
    dense = view.cosines(vector)
    signs = Signs(
        lexical=scores(view.turns()),
        window=scores(view.windows()),
        session=scores(view.sessions())[view.episode],
        dense=dense,
        dense_window=_mean_beside(view, dense),
        dated=_dated(view),
        named=_named(view),
        question=view.question.astype(np.float32),
        after_question=view.after_question.astype(np.float32),
        length=np.log1p(np.minimum(view.length, LONG)),
    )
    living = np.flatnonzero(view.alive)
    return Candidates(view, living, signs if len(living) == len(signs) else _chosen(signs, living))


def _dated(view: PartitionView) -> NDArray[np.float32]:
    """Sum of the rarities of the question's date terms that each row carries."""
    total = np.zeros(len(view.alive), np.float32)
    for rows in view.dated:
        total[rows] += np.float32(rarity(view.living, len(rows)))
    return total


def _named(view: PartitionView) -> NDArray[np.float32]:
    """1 where the question names the speaker."""
    if not view.named:
        return np.zeros(len(view.alive), np.float32)
    return np.isin(view.speaker, view.named).astype(np.float32)


def _mean_beside(view: PartitionView, dense: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean over the row and the one before and after it, as far as they have vectors; else NaN."""
    rows, absent = len(dense), np.isnan(dense)
    scores, present = view.scratch(), view.scratch()
    scores[:rows], present[:rows] = dense, ~absent
    some_absent = bool(absent.any())
    if some_absent:
        scores[:rows][absent] = 0
    total, count = scores[:rows].copy(), present[:rows].copy()
    for side in BESIDE:
        beside = view.neighbours[:, side]
        total += scores.take(beside)
        count += present.take(beside)
    if some_absent:
        total[count == 0] = np.nan
        np.maximum(count, 1, out=count)
    total /= count
    return total


def _chosen(signs: Signs, rows: NDArray[np.int64]) -> Signs:
    return Signs(*(getattr(signs, field.name)[rows] for field in fields(signs)))
