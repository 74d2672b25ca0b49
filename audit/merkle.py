"""Merkle trees as in RFC 6962 section 2.1 and RFC 9162 section 2.1: hashing, proofs, verification.

Owns the arithmetic of trees. It leaves fetching of hashes to `audit.tiles`: a proof is
described here as the list of leaf ranges `[start, end)` whose hashes it consists of, so that the same
description is answered from memory, a table or tiles. Proofs over subtrees follow
draft-ietf-plants-merkle-tree-certs section 4, of which RFC 9162's are the case `start = 0`.

Names follow the RFC: MTH is `root_hash`, PATH is `inclusion_ranges`, PROOF is `consistency_ranges`.

Example:
    >>> leaves = [leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")]
    >>> inclusion_ranges(2, 3)
    [(0, 2)]
    >>> verify_inclusion(2, 3, leaves[2], [node_hash(leaves[0], leaves[1])], root_hash(leaves))
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from audit.errors import MalformedError, VerificationError

HASH_SIZE: Final = 32
LEAF_PREFIX: Final = b"\x00"
NODE_PREFIX: Final = b"\x01"
EMPTY_ROOT: Final = sha256(b"").digest()
MAX_TREE_SIZE: Final = 2**63 - 1

LeafRange = tuple[int, int]


def leaf_hash(entry: bytes) -> bytes:
    """Return MTH({d(0)}) = SHA-256(0x00 || d(0))."""
    return sha256(LEAF_PREFIX + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 || left || right)."""
    return sha256(NODE_PREFIX + left + right).digest()


def split_point(size: int) -> int:
    """Return k, the largest power of two smaller than `size` (which is at least 2)."""
    return 1 << ((size - 1).bit_length() - 1)


def root_hash(leaves: Sequence[bytes]) -> bytes:
    """Return MTH over leaf hashes."""
    return CompactRange().extended(leaves).root()


@dataclass(frozen=True, slots=True)
class CompactRange:
    """The right edge of a tree: all that is needed to append to it and to name its root.

    `nodes` are the roots of the perfect subtrees that tile `[0, size)`, largest first: one for each
    one-bit of `size`.
    """

    size: int = 0
    nodes: tuple[bytes, ...] = ()

    def extended(self, leaf_hashes: Iterable[bytes]) -> "CompactRange":
        """Return the range with `leaf_hashes` appended."""
        size, nodes = self.size, list(self.nodes)
        for node in leaf_hashes:
            carry = size
            while carry & 1:
                node = node_hash(nodes.pop(), node)  # noqa: PLW2901 - merging is the algorithm
                carry >>= 1
            nodes.append(node)
            size += 1
        return CompactRange(size, tuple(nodes))

    def root(self) -> bytes:
        """Return MTH of the tree whose right edge this is."""
        if not self.nodes:
            return EMPTY_ROOT
        *rest, root = self.nodes
        for node in reversed(rest):
            root = node_hash(node, root)
        return root

    def encode(self) -> bytes:
        """Return the nodes joined: 32 bytes for each one-bit of the size."""
        return b"".join(self.nodes)

    @classmethod
    def decode(cls, size: int, nodes: bytes) -> "CompactRange":
        """Return the range of `size` leaves whose `encode` is `nodes`.

        Raises:
            MalformedError: the length does not fit the size.
        """
        expected = size.bit_count() * HASH_SIZE
        if not 0 <= size <= MAX_TREE_SIZE or len(nodes) != expected:
            raise MalformedError(f"compact range of size {size}: expected {expected} bytes, got {len(nodes)}")
        return cls(size, tuple(nodes[at : at + HASH_SIZE] for at in range(0, expected, HASH_SIZE)))


def inclusion_ranges(index: int, size: int) -> list[LeafRange]:
    """Return PATH(index, D[size]) as ranges, lowest sibling first.

    Raises:
        VerificationError: the index is not below the size.
    """
    _check_index(index, 0, size)
    path: list[LeafRange] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + split_point(end - start)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    return path[::-1]


def consistency_ranges(first: int, second: int) -> list[LeafRange]:
    """Return PROOF(first, D[second]) as ranges, lowest first.

    Raises:
        VerificationError: not 0 < first <= second.
    """
    _check_subtree(0, first, second)
    path: list[LeafRange] = []
    start, end = 0, second
    while end != first:
        middle = start + split_point(end - start)
        if first <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    # SUBPROOF(m, D[m], true) is empty: the verifier holds the old root. Else the node itself is sent.
    return path[::-1] if start == 0 else [(start, end), *path[::-1]]


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Check that `leaf` (its hash) is the entry `index` of the tree of `size` with `root` (RFC 9162 2.1.3.2).

    Raises:
        VerificationError: it is not, or the proof is not of the one right form.
    """
    verify_subtree_inclusion(index, 0, size, leaf, proof, root)


def verify_subtree_inclusion(  # noqa: PLR0917 - the order of the draft
    index: int, start: int, end: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that `leaf` is the entry `index` of the tree whose subtree `[start, end)` has `root`.

    Raises:
        VerificationError: it is not, or the proof is not of the one right form.
    """
    _check_index(index, start, end)
    _check_subtree(start, end, end)
    _check_hashes("inclusion proof", (leaf, *proof, root))
    fn, sn, node = index - start, end - start - 1, leaf
    for sibling in proof:
        if sn == 0:
            raise VerificationError(
                "inclusion proof", expected="the path's length", got=f"{len(proof)} hashes, too many"
            )
        if fn & 1 or fn == sn:
            node = node_hash(sibling, node)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            node = node_hash(node, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise VerificationError(
            "inclusion proof", expected="the path's length", got=f"{len(proof)} hashes, too few"
        )
    _check_equal("inclusion proof's root", root, node)


def verify_consistency(
    first: int, second: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes
) -> None:
    """Check that the tree of size `second` extends the tree of size `first` (RFC 9162 2.1.4.2).

    Raises:
        VerificationError: it does not, or the proof is not of the one right form. A first tree without
            entries is consistent with everything and proves nothing, so that it is refused, except
            against itself.
    """
    if first == second == 0:
        _check_equal("consistency proof's second root", EMPTY_ROOT, second_root)
    elif first == 0:
        raise VerificationError("consistency proof", expected="a first tree with entries", got="an empty one")
    verify_subtree_consistency(0, first, second, proof, first_root, second_root)


def verify_subtree_consistency(  # noqa: PLR0917 - the order of the draft
    start: int, end: int, size: int, proof: Sequence[bytes], subtree_root: bytes, root: bytes
) -> None:
    """Check that the subtree `[start, end)` with `subtree_root` is part of the tree of `size` with `root`.

    An empty subtree is part of every tree and says nothing about `root`.

    Raises:
        VerificationError: it is not, or the proof is not of the one right form.
    """
    if 0 <= start == end <= size:
        _check_no_proof(proof)
        _check_equal("consistency proof's first root", EMPTY_ROOT, subtree_root)
        return
    _check_subtree(start, end, size)
    _check_hashes("consistency proof", (*proof, subtree_root, root))
    fn, sn, tn = start, end - 1, size - 1
    while fn != sn and (sn == tn or sn & 1):
        fn, sn, tn = fn >> 1, sn >> 1, tn >> 1
    path = iter(proof)
    subtree_node = node = subtree_root if fn == sn else next(path, b"")
    for sibling in path:
        if tn == 0:
            raise VerificationError(
                "consistency proof", expected="the path's length", got=f"{len(proof)} hashes, too many"
            )
        if sn & 1 or sn == tn:
            if fn < sn:
                subtree_node = node_hash(sibling, subtree_node)
            node = node_hash(sibling, node)
            while sn and not sn & 1:
                fn, sn, tn = fn >> 1, sn >> 1, tn >> 1
        else:
            node = node_hash(node, sibling)
        fn, sn, tn = fn >> 1, sn >> 1, tn >> 1
    if tn != 0:
        raise VerificationError(
            "consistency proof", expected="the path's length", got=f"{len(proof)} hashes, too few"
        )
    _check_equal("consistency proof's first root", subtree_root, subtree_node)
    _check_equal("consistency proof's second root", root, node)


def _check_index(index: int, start: int, end: int) -> None:
    if not 0 <= start <= index < end <= MAX_TREE_SIZE:
        raise VerificationError("leaf index", expected=f"within [{start}, {end})", got=str(index))


def _check_subtree(start: int, end: int, size: int) -> None:
    if not 0 <= start < end <= size <= MAX_TREE_SIZE:
        raise VerificationError(
            "tree sizes", expected="0 <= start < end <= size", got=f"{start}, {end}, {size}"
        )
    if start % (1 << (end - start - 1).bit_length()):
        raise VerificationError("subtree", expected="a start aligned to its width", got=f"[{start}, {end})")


def _check_hashes(check: str, hashes: Iterable[bytes]) -> None:
    for value in hashes:
        if len(value) != HASH_SIZE:
            raise VerificationError(check, expected=f"hashes of {HASH_SIZE} bytes", got=f"{len(value)} bytes")


def _check_no_proof(proof: Sequence[bytes]) -> None:
    if proof:
        raise VerificationError("consistency proof", expected="no hashes", got=str(len(proof)))


def _check_equal(check: str, expected: bytes, got: bytes) -> None:
    if expected != got:
        raise VerificationError(check, expected=expected.hex(), got=got.hex())
