"""The memories of one access scope, in memory: postings, neighbours, lengths, vectors.

Owns the arrays and keeps them true under add, remove and late vectors; every call happens under the index's
lock. `view` hands a search what it needs, partly copied, so that the search itself runs outside the lock.
Here stand keyed hashes, figures and vectors: no word, no name.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from vault.search.bm25 import Posting
from vault.search.dense import VectorBlocks
from vault.search.record import UNKNOWN_TIME, TermRecord, unpack
from vault.search.view import ABSENT, EMPTY, PartitionView

_T = TypeVar("_T", bound=np.generic)

FIRST_CAPACITY: Final = 64
REACH: Final = (-2, -1, 1, 2)
"""Turns beside a turn that make its window."""
_COUNT_BITS: Final = 8
_COUNT_MASK: Final = (1 << _COUNT_BITS) - 1
FEWEST_HOLES: Final = 1_024


@dataclass(slots=True)
class _Episode:
    number: int
    rows: dict[int, int] = field(default_factory=dict)
    """Position to row."""


class Partition:
    """Growing arrays of one scope. Rows are numbered in order of arrival; removal leaves holes."""

    def __init__(self, dimensions: int) -> None:
        self.ids: list[str | None] = []
        self.holes = 0
        self._dimensions = dimensions
        self._vectors = VectorBlocks(dimensions)
        self._records: list[bytes | None] = []
        self._places: list[tuple[str, int]] = []
        self._terms: dict[int, array[int]] = {}
        self._dates: dict[int, array[int]] = {}
        self._speakers: dict[tuple[int, ...], int] = {}
        self._speakers_by_name: dict[int, set[int]] = {}
        self._episodes: dict[str, _Episode] = {}
        self._living_episodes = 0
        self._words = 0.0
        self._window_words = 0.0
        self._length = np.zeros(FIRST_CAPACITY, np.float32)
        self._window_length = np.zeros(FIRST_CAPACITY, np.float32)
        self._episode = np.zeros(FIRST_CAPACITY, np.int32)
        self._speaker = np.zeros(FIRST_CAPACITY, np.int32)
        self._at = np.zeros(FIRST_CAPACITY, np.int64)
        self._alive = np.zeros(FIRST_CAPACITY, np.bool_)
        self._question = np.zeros(FIRST_CAPACITY, np.bool_)
        self._after_question = np.zeros(FIRST_CAPACITY, np.bool_)
        self._neighbours = np.zeros((FIRST_CAPACITY, len(REACH)), np.int32)
        self._episode_length = np.zeros(FIRST_CAPACITY, np.float32)

    def __len__(self) -> int:
        return len(self.ids) - self.holes

    def add(
        self, memory_id: str, episode_key: str, position: int, packed: bytes, made: TermRecord | None = None
    ) -> int:
        """Append a memory and return its row; `made` is what `packed` was packed from, if it is at hand."""
        record = made or unpack(packed)
        row = len(self.ids)
        if row == len(self._length):
            self._allocate(2 * row)
        self.ids.append(memory_id)
        self._records.append(packed)
        self._places.append((episode_key, position))
        self._length[row] = self._window_length[row] = record.length
        self._words += record.length
        self._window_words += record.length
        if record.question:
            self._question[row] = True
        self._speaker[row] = self._speaker_number(record.speaker)
        self._at[row] = UNKNOWN_TIME if record.at is None else record.at
        self._alive[row] = True
        self._join_episode(row, episode_key, position)
        mark = row << _COUNT_BITS
        _post(self._terms, record.terms, [mark | count for count in record.counts])
        _post(self._dates, record.dates, repeat(mark | 1, len(record.dates)))
        return row

    def remove(self, row: int) -> None:
        """Take a memory out: its postings go, its vector and figures are overwritten."""
        self.remove_many([row])

    def remove_many(self, rows: Iterable[int]) -> None:
        """Take memories out, each posting at one go: a common word's is long, and moved by every removal."""
        terms: dict[int, list[int]] = {}
        dates: dict[int, list[int]] = {}
        for row in sorted(set(rows)):
            packed = self._records[row]
            if packed is None:
                continue
            record = unpack(packed)
            for term in record.terms:
                terms.setdefault(term, []).append(row)
            for date in record.dates:
                dates.setdefault(date, []).append(row)
            self._empty(row, record)
        _unpost(self._terms, terms)
        _unpost(self._dates, dates)

    def _empty(self, row: int, record: TermRecord) -> None:
        """Overwrite what a row says beside its postings."""
        self._leave_episode(row)
        self._vectors.wipe(row)
        self._words -= record.length
        self._length[row] = self._window_length[row] = 0
        self._alive[row] = self._question[row] = self._after_question[row] = False
        self._speaker[row] = ABSENT
        self._at[row] = UNKNOWN_TIME
        self._records[row] = self.ids[row] = None
        self.holes += 1

    def put_vector(self, row: int, vector: NDArray[np.float32] | NDArray[np.float16]) -> None:
        """Set or replace the vector of a row."""
        self._vectors.put(row, vector)

    def has_vector(self, row: int) -> bool:
        """Whether the row's vector is there yet."""
        return self._vectors.has(row)

    def wants_compaction(self) -> bool:
        """Whether holes outnumber memories, so that moving the rest pays for itself."""
        return self.holes > max(FEWEST_HOLES, len(self))

    def view(self, terms: tuple[int, ...], names: tuple[int, ...], dates: tuple[int, ...]) -> PartitionView:
        """Return what a search for these terms needs of this scope."""
        rows = len(self.ids)
        return PartitionView(
            ids=(self.ids,),
            rows=(rows,),
            vectors=(self._vectors.view(rows),),
            alive=self._alive[:rows].copy(),
            postings=tuple(_posting(self._terms.get(term)) for term in terms),
            dated=tuple(_posting(self._dates.get(term)).units for term in dates),
            length=self._length[:rows],
            window_length=self._window_length[:rows],
            episode=self._episode[:rows],
            episode_length=self._episode_length[: len(self._episodes)],
            neighbours=self._neighbours[:rows],
            room=len(self._neighbours),
            question=self._question[:rows],
            after_question=self._after_question[:rows],
            speaker=self._speaker[:rows],
            named=tuple(sorted(set().union(*(self._speakers_by_name.get(name, ()) for name in names)))),
            at=self._at[:rows],
            living=len(self),
            living_episodes=self._living_episodes,
            words=self._words,
            window_words=float(self._window_words),
        )

    def compacted(self) -> "Partition":
        """Return the same memories without holes, in the same order."""
        moving = Moving(self._dimensions)
        moving.copy(self, len(self.ids))
        return moving.fresh

    def _allocate(self, capacity: int) -> None:
        """Make room for `capacity` rows; searches under way keep the arrays they hold."""
        self._length = _grown(self._length, capacity)
        self._window_length = _grown(self._window_length, capacity)
        self._episode = _grown(self._episode, capacity)
        self._speaker = _grown(self._speaker, capacity)
        self._at = _grown(self._at, capacity)
        self._alive = _grown(self._alive, capacity)
        self._question = _grown(self._question, capacity)
        self._after_question = _grown(self._after_question, capacity)
        self._neighbours = _grown(self._neighbours, capacity)

    def _join_episode(self, row: int, key: str, position: int) -> None:
        """Link a row with the turns beside it and count its words for its session."""
        episode = self._episodes.get(key)
        if episode is None:
            episode = self._episodes[key] = _Episode(len(self._episodes))
            if episode.number == len(self._episode_length):
                self._episode_length = _grown(self._episode_length, 2 * episode.number)
        if not episode.rows:
            self._living_episodes += 1
        length = self._length[row]
        self._episode[row] = episode.number
        self._episode_length[episode.number] += length
        if not episode.rows:  # the first of its session stands alone: no need to look around
            self._neighbours[row] = ABSENT
            episode.rows[position] = row
            return
        for side, offset in enumerate(REACH):
            other = episode.rows.get(position + offset, ABSENT)
            self._neighbours[row, side] = other
            if other != ABSENT:
                self._neighbours[other, len(REACH) - 1 - side] = row
                self._window_length[row] += self._length[other]
                self._window_length[other] += length
                self._window_words += float(self._length[other] + length)
        episode.rows[position] = row
        before, after = self._neighbours[row, 1], self._neighbours[row, 2]
        self._after_question[row] = before != ABSENT and self._question[before]
        if after != ABSENT:
            self._after_question[after] = self._question[row]

    def _leave_episode(self, row: int) -> None:
        """Undo `_join_episode`."""
        key, position = self._places[row]
        episode = self._episodes[key]
        length = self._length[row]
        self._window_words -= float(self._window_length[row])
        for side in range(len(REACH)):
            other = self._neighbours[row, side]
            if other != ABSENT:
                if self._neighbours[other, len(REACH) - 1 - side] == row:  # not where a twin took the place
                    self._neighbours[other, len(REACH) - 1 - side] = ABSENT
                self._window_length[other] -= length
                self._window_words -= float(length)
        after = self._neighbours[row, 2]
        if after != ABSENT:
            self._after_question[after] = False
        self._neighbours[row] = ABSENT
        self._episode_length[episode.number] -= length
        if episode.rows.get(position) == row:
            del episode.rows[position]
        if not episode.rows:
            self._living_episodes -= 1

    def _speaker_number(self, names: tuple[int, ...]) -> int:
        """Return a small number for a speaker; the same hashes, the same number."""
        if not names:
            return ABSENT
        number = self._speakers.setdefault(names, len(self._speakers))
        for name in names:
            self._speakers_by_name.setdefault(name, set()).add(number)
        return number


class Moving:
    """Memories of a partition on their way into a fresh one, while the old one is searched and changed.

    Args:
        dimensions: Length of the vectors.
    """

    def __init__(self, dimensions: int) -> None:
        self.fresh = Partition(dimensions)
        self._place: dict[int, int] = {}
        self._bare: list[int] = []
        """Rows that had no vector yet when they were copied."""
        self._next = 0

    def copy(self, old: Partition, until: int) -> None:
        """Copy the rows up to `until` that hold a memory; a row is never used twice, so this needs no lock."""
        for row in range(self._next, until):
            memory_id, packed = old.ids[row], old._records[row]  # noqa: SLF001  # one structure, two forms
            if memory_id is not None and packed is not None:
                self._place[row] = self.fresh.add(memory_id, *old._places[row], packed)  # noqa: SLF001  # as above
                self._copy_vector(old, row)
        self._next = until

    def follow(self, old: Partition) -> None:
        """Do what was done to the old partition meanwhile; call it under the index's lock."""
        ids = old.ids
        self.fresh.remove_many([place for row, place in self._place.items() if ids[row] is None])
        bare, self._bare = self._bare, []
        for row in bare:
            self._copy_vector(old, row)
        self.copy(old, len(ids))

    def _copy_vector(self, old: Partition, row: int) -> None:
        vectors = old._vectors  # noqa: SLF001  # as above
        if vectors.has(row):
            self.fresh.put_vector(self._place[row], vectors.get(row))
        else:
            self._bare.append(row)


def _grown(old: NDArray[_T], capacity: int) -> NDArray[_T]:
    new = np.zeros((capacity, *old.shape[1:]), old.dtype)
    new[: len(old)] = old
    return new


def _post(postings: dict[int, "array[int]"], terms: tuple[int, ...], entries: Iterable[int]) -> None:
    for term, entry in zip(terms, entries, strict=True):
        posting = postings.get(term)
        if posting is None:
            postings[term] = array("Q", (entry,))
        else:
            posting.append(entry)


def _unpost(postings: dict[int, "array[int]"], gone: Mapping[int, Sequence[int]]) -> None:
    """Take rows, in order, out of the postings of their terms."""
    for term, rows in gone.items():
        posting = postings[term]
        places = [bisect_left(posting, row << _COUNT_BITS) for row in rows]
        if len(places) == len(posting):
            del postings[term]
        elif places[-1] - places[0] == len(places) - 1:  # the oldest memories end first, and stand together
            del posting[places[0] : places[-1] + 1]
        else:
            postings[term] = array("Q", np.delete(np.array(posting, np.uint64), places).tobytes())


def _posting(packed: "array[int] | None") -> Posting:
    """Copy a posting out, for the original may grow as soon as the lock is gone."""
    if packed is None:
        return EMPTY
    entries = np.array(packed, np.int64)
    return Posting(entries >> _COUNT_BITS, (entries & _COUNT_MASK).astype(np.float32))
