"""From views of the searched scopes to the signs of each memory. Pure.

Owns the reading of signs (words of the turn, its window and its session, meaning, dates, speaker, question
and answer); weighing them is `vault.search.fuse`'s affair. Figures of words are summed over all the views
first, so that a memory scores the same in one scope as in two that hold the same memories.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vault.search.bm25 import FieldView, mean_length, rarities, scores
from vault.search.fuse import Signs
from vault.search.partition import PartitionView
from vault.search.record import UNKNOWN_TIME

LONG: Final = np.float32(32)
"""Words beyond which a text is not thought to say more: passages of documents must not outweigh turns."""
BESIDE: Final = (1, 2)
"""Columns of the neighbours just before and just after."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Every living memory of the searched scopes, in order of scope and arrival."""

    views: Sequence[PartitionView]
    rows: Sequence[NDArray[np.int64]]
    """The living rows of each view."""
    signs: Signs

    def memory_id(self, place: int) -> str | None:
        """Id of the candidate at a place; None if it was removed while the search ran."""
        for view, rows in zip(self.views, self.rows, strict=True):
            if place < len(rows):
                return view.ids[int(rows[place])]
            place -= len(rows)
        return None

    def said_between(self, since: int | None, until: int | None) -> NDArray[np.bool_] | None:
        """Which were said in `[since, until)`; None for all. An unknown time is in no range."""
        if since is None and until is None:
            return None
        at = np.concatenate([view.at[rows] for view, rows in zip(self.views, self.rows, strict=True)])
        inside: NDArray[np.bool_] = at != UNKNOWN_TIME
        if since is not None:
            inside &= at >= since
        if until is not None:
            inside &= at < until
        return inside


def gather(views: Sequence[PartitionView], vector: NDArray[np.float32] | None) -> Candidates:
    """Return the signs of every living memory in the views."""
    turns = _scored([view.turns() for view in views])
    windows = _scored([view.windows() for view in views])
    sessions = _scored([view.sessions() for view in views])
    dated = _dated(views)
    parts, rows = [], []
    for place, view in enumerate(views):
        dense = _dense(view, vector)
        signs = Signs(
            lexical=turns[place],
            window=windows[place],
            session=sessions[place][view.episode],
            dense=dense,
            dense_window=_mean_beside(view, dense),
            dated=dated[place],
            named=np.isin(view.speaker, view.named).astype(np.float32),
            question=view.question.astype(np.float32),
            after_question=view.after_question.astype(np.float32),
            length=np.log1p(np.minimum(view.length, LONG)),
        )
        living = np.flatnonzero(view.alive)
        parts.append(signs if len(living) == len(signs) else _chosen(signs, living))
        rows.append(living)
    return Candidates(views, rows, _joined(parts))


def _scored(views: Sequence[FieldView]) -> list[NDArray[np.float32]]:
    """BM25 of every unit of one field, with the figures of all views together."""
    rarity, mean = rarities(views), mean_length(views)
    return [scores(view, rarity, mean) for view in views]


def _dated(views: Sequence[PartitionView]) -> list[NDArray[np.float32]]:
    """Sum of the rarities of the question's date terms that each row carries."""
    total = sum(view.living for view in views)
    found = [np.zeros(len(view.alive), np.float32) for view in views]
    for term in range(len(views[0].dated)):
        known = sum(len(view.dated[term]) for view in views)
        if known:
            rarity = math.log1p((total - known + 0.5) / (known + 0.5))
            for view, sums in zip(views, found, strict=True):
                sums[view.dated[term]] += np.float32(rarity)
    return found


def _dense(view: PartitionView, vector: NDArray[np.float32] | None) -> NDArray[np.float32]:
    if vector is None:
        return np.full(len(view.alive), np.nan, np.float32)
    return view.vectors.scores(vector)


def _mean_beside(view: PartitionView, dense: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean over the row and the one before and after it, as far as they have vectors; else NaN."""
    rows = len(dense)
    scores, present = np.zeros((2, rows + 1), np.float32)  # the place past the end stands for no neighbour
    np.isfinite(dense, out=present[:rows], casting="unsafe")
    np.copyto(scores[:rows], dense, where=present[:rows] > 0)
    total, count = scores[:rows].copy(), present[:rows].copy()
    for side in BESIDE:
        beside = view.beside(side)
        total += scores[beside]
        count += present[beside]
    total[count == 0] = np.nan
    return np.divide(total, np.maximum(count, 1), dtype=np.float32)


def _chosen(signs: Signs, rows: NDArray[np.int64]) -> Signs:
    return Signs(*(getattr(signs, field.name)[rows] for field in fields(signs)))


def _joined(parts: Sequence[Signs]) -> Signs:
    if len(parts) == 1:
        return parts[0]
    return Signs(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Signs)))
