"""A set of ids that takes eight bytes each: a log of millions of writes is replayed in little memory.

Owns the folding of ids to 64 bits and sorted runs of them. Threat: ids made to collide, so that a use of
a memory that was never written passes; the folding is keyed anew in each run, and nobody can try it out.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from hashlib import blake2b
from heapq import merge
from os import urandom
from typing import Final

_RUN: Final = 1 << 16
_SIZE: Final = 8


class IdSet:
    """Ids that were seen. Two different ones pass for the same in one of 2^64 cases."""

    def __init__(self) -> None:
        self._key = urandom(32)
        self._fresh: set[int] = set()
        self._runs: list[array[int]] = []
        """Sorted; each at least twice as long as the next."""

    def update(self, ids: Iterable[str]) -> None:
        """Add ids."""
        self._fresh.update(map(self._folded, ids))
        if len(self._fresh) >= _RUN:
            self._runs.append(array("Q", sorted(self._fresh)))
            self._fresh.clear()
            while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
                last = self._runs.pop()
                # Number by number: as a list they would take five times the memory of both.
                self._runs[-1] = array("Q", merge(self._runs[-1], last))

    def __contains__(self, name: str) -> bool:
        folded = self._folded(name)
        if folded in self._fresh:
            return True
        return any((at := bisect_left(run, folded)) < len(run) and run[at] == folded for run in self._runs)

    def _folded(self, name: str) -> int:
        return int.from_bytes(blake2b(name.encode(), digest_size=_SIZE, key=self._key).digest())
