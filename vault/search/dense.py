"""Vectors of one access scope, in memory: appended in blocks, compared exactly.

Owns storage and exact scoring of unit vectors. Exact, because at 100,000 memories of 384 numbers a query
takes 4 ms on two cores (docs/search.md), which leaves an approximate index nothing to win but errors.
A row without a vector scores NaN, for vectors arrive after their memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FIRST_BLOCK: Final = 256
LARGEST_BLOCK: Final = 8_192
"""Rows; a block is never copied or moved, so a search goes on while vectors are added."""


@dataclass(frozen=True, slots=True)
class VectorView:
    """What a search sees: blocks as they stood, and which rows had a vector then."""

    blocks: tuple[NDArray[np.float32], ...]
    present: NDArray[np.bool_]

    def scores(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosine of each row with the query; NaN where there is no vector."""
        count = len(self.present)
        scores = np.zeros(count, np.float32)
        start = 0
        for block in self.blocks:
            end = min(start + len(block), count)
            if end > start:
                np.vecdot(
                    block[: end - start], query, out=scores[start:end]
                )  # one dot a row: no thread pool to wait for
            start += len(block)
        if not self.present.all():
            scores[~self.present] = np.nan
        return scores


class VectorBlocks:
    """Growing store of one vector a row. The index's lock guards every call."""

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self._blocks: list[NDArray[np.float32]] = []
        self._starts: list[int] = []
        self._capacity = 0
        self._present = np.zeros(FIRST_BLOCK, np.bool_)

    def put(self, row: int, vector: NDArray[np.float32] | NDArray[np.float16]) -> None:
        """Set the vector of a row."""
        self._reserve(row + 1)
        block, start = self._block_of(row)
        block[row - start] = vector
        self._present[row] = True

    def wipe(self, row: int) -> None:
        """Overwrite the vector of a row with zeros."""
        if row < self._capacity and self._present[row]:
            self._present[row] = False
            block, start = self._block_of(row)
            block[row - start] = 0.0

    def has(self, row: int) -> bool:
        """Whether the row has a vector."""
        return row < len(self._present) and bool(self._present[row])

    def get(self, row: int) -> NDArray[np.float32]:
        """Return a copy of the vector of a row that has one."""
        block, start = self._block_of(row)
        return np.array(block[row - start])

    def view(self, count: int) -> VectorView:
        """Return what the first `count` rows hold now."""
        present = np.zeros(count, np.bool_)
        known = min(count, len(self._present))
        present[:known] = self._present[:known]
        return VectorView(tuple(self._blocks), present)

    def kept(self, rows: Sequence[int]) -> "VectorBlocks":
        """Return a new store of these rows, in this order; the old one is wiped."""
        fresh = VectorBlocks(self._dimensions)
        for place, row in enumerate(rows):
            if self.has(row):
                fresh.put(place, self.get(row))
        return fresh

    def _reserve(self, rows: int) -> None:
        while self._capacity < rows:
            size = min(LARGEST_BLOCK, max(FIRST_BLOCK, self._capacity))
            self._starts.append(self._capacity)
            self._blocks.append(np.zeros((size, self._dimensions), np.float32))
            self._capacity += size
        if len(self._present) < self._capacity:
            present = np.zeros(max(self._capacity, 2 * len(self._present)), np.bool_)
            present[: len(self._present)] = self._present
            self._present = present

    def _block_of(self, row: int) -> tuple[NDArray[np.float32], int]:
        low, high = 0, len(self._starts) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self._starts[middle] <= row:
                low = middle
            else:
                high = middle - 1
        return self._blocks[low], self._starts[low]
