"""A Merkle tree in memory, level by level: a second way to what `audit.tiles` computes.

Owns the hashes of perfect subtrees, 64 bytes a leaf. Nothing of the product uses it.
"""

from collections.abc import Iterable

from audit.errors import RangeInvalidError
from audit.merkle import EMPTY_ROOT, HASH_SIZE, consistency_ranges, inclusion_ranges, node_hash, split_point


class Tree:
    """Hashes of the perfect subtrees of a growing log."""

    def __init__(self, leaf_hashes: Iterable[bytes] = ()) -> None:
        self._levels: list[bytearray] = [bytearray()]
        self.extend(leaf_hashes)

    @property
    def size(self) -> int:
        """Number of leaves."""
        return len(self._levels[0]) // HASH_SIZE

    def extend(self, leaf_hashes: Iterable[bytes]) -> None:
        """Append leaves by their hashes."""
        for leaf in leaf_hashes:
            carry, node, level = self.size, leaf, 0
            self._levels[0] += node
            while carry & 1:
                node = node_hash(self._node(level, carry - 1), node)
                carry, level = carry >> 1, level + 1
                if level == len(self._levels):
                    self._levels.append(bytearray())
                self._levels[level] += node

    def root(self, size: int) -> bytes:
        """Return the root that the tree had at `size`.

        Raises:
            RangeInvalidError: the tree never had that size.
        """
        self._check_size(size)
        return self._range_hash(0, size) if size else EMPTY_ROOT

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """Return the proof that leaf `index` is in the tree of `size`.

        Raises:
            RangeInvalidError: not index < size <= the tree's size.
        """
        self._check_size(size)
        if not 0 <= index < size:
            raise RangeInvalidError(f"expected a leaf index below {size}, got {index}")
        return [self._range_hash(start, end) for start, end in inclusion_ranges(index, size)]

    def consistency_proof(self, first: int, second: int) -> list[bytes]:
        """Return the proof that the tree of `second` extends the tree of `first`.

        Raises:
            RangeInvalidError: not 0 < first <= second <= the tree's size.
        """
        self._check_size(second)
        if not 0 < first <= second:
            raise RangeInvalidError(f"expected a first size of 1 to {second}, got {first}")
        return [self._range_hash(start, end) for start, end in consistency_ranges(first, second)]

    def _node(self, level: int, position: int) -> bytes:
        at = position * HASH_SIZE
        return bytes(self._levels[level][at : at + HASH_SIZE])

    def _range_hash(self, start: int, end: int) -> bytes:
        width = end - start
        if width & (width - 1) == 0:
            level = width.bit_length() - 1
            return self._node(level, start >> level)
        middle = start + split_point(width)
        return node_hash(self._range_hash(start, middle), self._range_hash(middle, end))

    def _check_size(self, size: int) -> None:
        if not 0 <= size <= self.size:
            raise RangeInvalidError(f"expected a tree size of at most {self.size}, got {size}")
