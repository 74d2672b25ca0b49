"""A set of ids in memory that does not grow with it: a log of millions of writes is replayed in little.

Owns the folding of ids to 64 bits. Threat: ids made to collide, so that a use of a memory that was never written
passes; the folding is keyed anew in each run, and nobody can try it out. The latest ids are held in memory; once
there are so many they go, sorted, to `audit.scratch`, under a key that is nowhere kept.
"""

from collections.abc import Iterable
from hashlib import blake2b
from os import urandom
from typing import Final

from audit.scratch import Scratch

_FRESH: Final = 1 << 12
_SIZE: Final = 8
_ADD: Final = "INSERT OR IGNORE INTO scratch VALUES (?)"
_ASK: Final = "SELECT id FROM scratch WHERE id = ?"


class IdSet:
    """Ids that were seen. Two different ones pass for the same in one of 2^64 cases."""

    def __init__(self) -> None:
        self._key = urandom(32)
        self._fresh: set[int] = set()
        self._older = Scratch("id INTEGER PRIMARY KEY")

    def update(self, ids: Iterable[str]) -> None:
        """Add ids.

        Raises:
            OSError: the disk takes no more.
        """
        for name in ids:
            self._fresh.add(self._folded(name))
            if len(self._fresh) >= _FRESH:
                # In order, so that a page of the table is written once for all that belong there.
                self._older.put(_ADD, ((one,) for one in sorted(self._fresh)))
                self._fresh.clear()

    def __contains__(self, name: str) -> bool:
        folded = self._folded(name)
        return folded in self._fresh or self._older.has(_ASK, folded)

    def _folded(self, name: str) -> int:
        digest = blake2b(name.encode(), digest_size=_SIZE, key=self._key).digest()
        return int.from_bytes(digest, signed=True)
