"""A tree computed anew from its leaves each time: slow, and nothing in it to be wrong."""

from collections.abc import Iterable

from audit.merkle import consistency_ranges, root_hash


class PlainTree:
    """Leaf hashes and what follows from them."""

    def __init__(self, leaf_hashes: Iterable[bytes]) -> None:
        self.leaves = list(leaf_hashes)

    def root(self, size: int) -> bytes:
        """Return the root at a size."""
        return root_hash(self.leaves[:size])

    def consistency_proof(self, first: int, second: int) -> list[bytes]:
        """Return the proof that the tree of `second` extends that of `first`."""
        return [root_hash(self.leaves[start:end]) for start, end in consistency_ranges(first, second)]
