"""What a search sees of the scopes it may search: arrays as they stood for a moment. Pure.

Owns reading the arrays: units of three sizes, neighbours, vectors. Taking a view under the lock is
`vault.search.partition`'s affair. Several views become one by `joined`, so that all that follows is done
once, with figures over exactly these scopes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vault.search.bm25 import Everywhere, FieldView, Posting
from vault.search.dense import VectorView

ABSENT: Final = -1
_SPARSE: Final = 32
"""Where fewer than one in so many units gets an entry, sorting the entries beats counting over all units."""
EMPTY: Final = Posting(np.zeros(0, np.int64), np.zeros(0, np.float32))


@dataclass(frozen=True, slots=True)
class PartitionView:
    """One scope, or several joined. Arrays have one entry a row unless said otherwise."""

    ids: tuple[list[str | None], ...]
    """Of each joined scope; a list may have grown since."""
    rows: tuple[int, ...]
    """How many rows of each joined scope are seen."""
    vectors: tuple[VectorView, ...]
    """Of each joined scope."""
    alive: NDArray[np.bool_]
    postings: tuple[Posting, ...]
    """One a query term, in the query's order."""
    dated: tuple[NDArray[np.int64], ...]
    """Rows that carry each date term of the query."""
    length: NDArray[np.float32]
    window_length: NDArray[np.float32]
    episode: NDArray[np.int32]
    episode_length: NDArray[np.float32]
    """One entry an episode."""
    neighbours: NDArray[np.int32]
    """(rows, 4): the rows two before, one before, one after, two after; -1 for none."""
    room: int
    """No neighbour's row is as great as this: one may have come after the view."""
    question: NDArray[np.bool_]
    after_question: NDArray[np.bool_]
    speaker: NDArray[np.int32]
    named: tuple[int, ...]
    """Speakers whose names stand in the query."""
    at: NDArray[np.int64]
    living: int
    living_episodes: int
    words: float
    window_words: float

    def memory_id(self, row: int) -> str | None:
        """Id of a row; None if it was removed since."""
        for ids, rows in zip(self.ids, self.rows, strict=True):
            if row < rows:
                return ids[row]
            row -= rows
        return None

    def turns(self) -> FieldView:
        """Single turns."""
        return FieldView(self.postings, self.length, self.living, self.words)

    def windows(self) -> FieldView:
        """Each turn with the two before and after it."""
        spread = tuple(map(self._spread, self.postings))
        return FieldView(spread, self.window_length, self.living, self.window_words)

    def sessions(self) -> FieldView:
        """Whole episodes."""
        gathered = tuple(map(self._gathered, self.postings))
        return FieldView(gathered, self.episode_length, self.living_episodes, self.words)

    def cosines(self, query: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """Cosine of each row with the query; NaN without a vector."""
        if query is None:
            return np.full(len(self.alive), np.nan, np.float32)
        found = [vectors.scores(query) for vectors in self.vectors]
        return found[0] if len(found) == 1 else np.concatenate(found)

    def scratch(self) -> NDArray[np.float32]:
        """Zeros for every row, and behind them for what a neighbour may be: none (-1, the last) or a later row."""
        return np.zeros(self.room + 1, np.float32)

    def _spread(self, posting: Posting) -> Posting | Everywhere:
        if not len(posting.units):
            return EMPTY
        rows, near = len(self.alive), self.neighbours.take(posting.units, axis=0)
        if near.size * _SPARSE > rows:
            total = self.scratch()
            total[posting.units] = posting.counts
            np.add.at(total, near.ravel(), posting.counts.repeat(near.shape[1]))
            return Everywhere(total[:rows])
        units = np.concatenate((posting.units[:, None], near.astype(np.int64)), axis=1).ravel()
        seen = (units >= 0) & (units < rows)
        return _summed(units[seen], posting.counts.repeat(1 + near.shape[1])[seen])

    def _gathered(self, posting: Posting) -> Posting | Everywhere:
        if not len(posting.units):
            return EMPTY
        episodes, size = self.episode.take(posting.units), len(self.episode_length)
        if len(episodes) * _SPARSE > size:
            total = np.zeros(size, np.float32)
            np.add.at(total, episodes, posting.counts)
            return Everywhere(total)
        return _summed(episodes, posting.counts)


def joined(views: Sequence[PartitionView]) -> PartitionView:
    """Return one view of all rows of these views, in their order, renumbered."""
    if len(views) == 1:
        return views[0]
    rows = _starts([len(view.alive) for view in views])
    episodes = _starts([len(view.episode_length) for view in views])
    speakers = _starts([int(view.speaker.max(initial=ABSENT)) + 1 for view in views])
    return PartitionView(
        ids=tuple(ids for view in views for ids in view.ids),
        rows=tuple(count for view in views for count in view.rows),
        vectors=tuple(vectors for view in views for vectors in view.vectors),
        alive=np.concatenate([view.alive for view in views]),
        postings=tuple(
            _joined_posting(each, rows) for each in zip(*(view.postings for view in views), strict=True)
        ),
        dated=tuple(
            np.concatenate([units + start for units, start in zip(each, rows, strict=True)])
            for each in zip(*(view.dated for view in views), strict=True)
        ),
        length=np.concatenate([view.length for view in views]),
        window_length=np.concatenate([view.window_length for view in views]),
        episode=np.concatenate(
            [view.episode + np.int32(start) for view, start in zip(views, episodes, strict=True)]
        ),
        episode_length=np.concatenate([view.episode_length for view in views]),
        neighbours=np.concatenate(
            [_renumbered(view, start) for view, start in zip(views, rows, strict=True)]
        ),
        room=sum(len(view.alive) for view in views),
        question=np.concatenate([view.question for view in views]),
        after_question=np.concatenate([view.after_question for view in views]),
        speaker=np.concatenate(
            [
                np.where(view.speaker < 0, np.int32(ABSENT), view.speaker + np.int32(start))
                for view, start in zip(views, speakers, strict=True)
            ]
        ),
        named=tuple(
            number + start for view, start in zip(views, speakers, strict=True) for number in view.named
        ),
        at=np.concatenate([view.at for view in views]),
        living=sum(view.living for view in views),
        living_episodes=sum(view.living_episodes for view in views),
        words=sum(view.words for view in views),
        window_words=sum(view.window_words for view in views),
    )


def _starts(counts: Sequence[int]) -> list[int]:
    """Where each part begins when parts of these sizes stand in a row."""
    starts = [0]
    for count in counts[:-1]:
        starts.append(starts[-1] + count)
    return starts


def _joined_posting(parts: Sequence[Posting], starts: Sequence[int]) -> Posting:
    there = [(part, start) for part, start in zip(parts, starts, strict=True) if len(part.units)]
    if not there:
        return EMPTY
    return Posting(
        np.concatenate([part.units + start for part, start in there]),
        np.concatenate([part.counts for part, _ in there]),
    )


def _renumbered(view: PartitionView, start: int) -> NDArray[np.int32]:
    """Neighbours as rows of the joined view; a neighbour that came after the view is none."""
    neighbours = view.neighbours.copy()  # once: writers go on
    known = (neighbours >= 0) & (neighbours < len(view.alive))
    return np.where(known, neighbours + np.int32(start), np.int32(ABSENT))


def _summed(units: NDArray[np.int64] | NDArray[np.int32], counts: NDArray[np.float32]) -> Posting:
    """Add up the counts of each unit."""
    order = units.argsort(kind="stable")
    ordered = units[order]
    firsts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    return Posting(ordered[firsts].astype(np.int64), np.add.reduceat(counts[order], firsts))
