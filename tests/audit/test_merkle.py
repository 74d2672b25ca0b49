"""RFC 6962 trees and proofs, held against the RFC's own recursive definitions."""

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import MalformedError, RangeInvalidError, VerificationError
from audit.merkle import (
    EMPTY_ROOT,
    CompactRange,
    consistency_ranges,
    inclusion_ranges,
    leaf_hash,
    node_hash,
    root_hash,
    verify_consistency,
    verify_inclusion,
    verify_subtree_consistency,
    verify_subtree_inclusion,
)
from tests.simulators.reference_tree import Tree

ALL_SIZES = 130
LEAVES = [leaf_hash(b"entry %d" % index) for index in range(ALL_SIZES)]


def k(size: int) -> int:
    power = 1
    while power * 2 < size:
        power *= 2
    return power


def mth(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if len(leaves) == 0:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = k(len(leaves))
    return sha256(b"\x01" + mth(leaves[:split]) + mth(leaves[split:])).digest()


def path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """RFC 6962 section 2.1.1, word for word."""
    if len(leaves) == 1:
        return []
    split = k(len(leaves))
    if index < split:
        return [*path(index, leaves[:split]), mth(leaves[split:])]
    return [*path(index - split, leaves[split:]), mth(leaves[:split])]


def subproof(first: int, leaves: Sequence[bytes], *, whole: bool = True) -> list[bytes]:
    """RFC 6962 section 2.1.2, word for word."""
    if first == len(leaves):
        return [] if whole else [mth(leaves)]
    split = k(len(leaves))
    if first <= split:
        return [*subproof(first, leaves[:split], whole=whole), mth(leaves[split:])]
    return [*subproof(first - split, leaves[split:], whole=False), mth(leaves[:split])]


@pytest.fixture(scope="module")
def roots() -> list[bytes]:
    return [mth(LEAVES[:size]) for size in range(ALL_SIZES + 1)]


def test_known_hashes_of_the_rfc_hold() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert (
        node_hash(b"N123", b"N456").hex()
        == "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"
    )


def test_roots_of_every_size_are_those_of_the_definition(roots: list[bytes]) -> None:
    tree = Tree(LEAVES)
    for size in range(ALL_SIZES + 1):
        assert root_hash(LEAVES[:size]) == tree.root(size) == roots[size]


def test_inclusion_proofs_of_every_index_and_size_are_those_of_the_definition_and_verify(
    roots: list[bytes],
) -> None:
    tree = Tree(LEAVES)
    for size in range(1, ALL_SIZES + 1):
        for index in range(size):
            proof = tree.inclusion_proof(index, size)
            assert proof == path(index, LEAVES[:size])
            verify_inclusion(index, size, LEAVES[index], proof, roots[size])


def test_consistency_proofs_of_every_pair_of_sizes_are_those_of_the_definition_and_verify(
    roots: list[bytes],
) -> None:
    tree = Tree(LEAVES)
    for second in range(1, ALL_SIZES + 1):
        for first in range(1, second + 1):
            proof = tree.consistency_proof(first, second)
            assert proof == subproof(first, LEAVES[:second])
            verify_consistency(first, second, proof, roots[first], roots[second])


def test_an_inclusion_proof_verifies_for_no_other_index_size_or_leaf(roots: list[bytes]) -> None:
    tree = Tree(LEAVES)
    for size in range(1, 20):
        for index in range(size):
            proof = tree.inclusion_proof(index, size)
            for other in range(size + 2):
                if other != index:
                    with pytest.raises(VerificationError):
                        verify_inclusion(other, size, LEAVES[index], proof, roots[size])
            with pytest.raises(VerificationError):
                verify_inclusion(index, size, LEAVES[(index + 1) % ALL_SIZES], proof, roots[size])
            with pytest.raises(VerificationError):
                verify_inclusion(index, size, LEAVES[index], proof, roots[size + 1])


sizes = st.integers(1, 5000)


@given(st.data(), sizes)
def test_proofs_of_larger_trees_verify_and_fail_with_any_bit_flipped(data: st.DataObject, size: int) -> None:
    tree = BIG
    index = data.draw(st.integers(0, size - 1))
    first = data.draw(st.integers(1, size))
    leaf = leaf_hash(index.to_bytes(8))
    inclusion = tree.inclusion_proof(index, size)
    consistency = tree.consistency_proof(first, size)
    verify_inclusion(index, size, leaf, inclusion, tree.root(size))
    verify_consistency(first, size, consistency, tree.root(first), tree.root(size))
    flip = data.draw(st.tuples(st.integers(0, 20), st.integers(0, 255)))
    if inclusion:
        with pytest.raises(VerificationError):
            verify_inclusion(index, size, leaf, flipped(inclusion, *flip), tree.root(size))
    if consistency:
        with pytest.raises(VerificationError):
            verify_consistency(first, size, flipped(consistency, *flip), tree.root(first), tree.root(size))


def flipped(proof: list[bytes], node: int, bit: int) -> list[bytes]:
    node %= len(proof)
    number = int.from_bytes(proof[node]) ^ (1 << bit)
    return [*proof[:node], number.to_bytes(32), *proof[node + 1 :]]


BIG = Tree(leaf_hash(index.to_bytes(8)) for index in range(5000))


@given(st.lists(st.binary(max_size=4), max_size=70), st.integers(0, 70))
def test_a_compact_range_grown_in_two_steps_and_through_its_bytes_is_the_same(
    entries: list[bytes], cut: int
) -> None:
    leaves = [leaf_hash(entry) for entry in entries]
    first = CompactRange().extended(leaves[:cut])
    again = CompactRange.decode(first.size, first.encode())
    assert again == first
    assert again.extended(leaves[cut:]) == CompactRange().extended(leaves)
    assert again.extended(leaves[cut:]).root() == mth(leaves)


@pytest.mark.parametrize(("size", "length"), [(0, 32), (3, 32), (3, 65), (4, 64), (-1, 32), (2**63, 32)])
def test_a_compact_range_of_the_wrong_length_for_its_size_is_refused(size: int, length: int) -> None:
    with pytest.raises(MalformedError, match="compact range"):
        CompactRange.decode(size, bytes(length))


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (5, 3), (-1, 3), (0, 2**63)])
def test_an_index_outside_the_tree_has_no_proof_and_verifies_none(index: int, size: int) -> None:
    with pytest.raises(VerificationError, match="leaf index"):
        inclusion_ranges(index, size)
    with pytest.raises(VerificationError, match="leaf index"):
        verify_inclusion(index, size, bytes(32), [], bytes(32))


@pytest.mark.parametrize(("first", "second"), [(0, 3), (4, 3), (-1, 3)])
def test_sizes_out_of_order_have_no_consistency_proof(first: int, second: int) -> None:
    with pytest.raises(VerificationError):
        consistency_ranges(first, second)
    with pytest.raises(VerificationError):
        verify_consistency(first, second, [], EMPTY_ROOT, bytes(32))


def test_an_empty_tree_is_consistent_with_itself_alone() -> None:
    verify_consistency(0, 0, [], EMPTY_ROOT, EMPTY_ROOT)
    with pytest.raises(VerificationError, match="second root"):
        verify_consistency(0, 0, [], EMPTY_ROOT, bytes(32))
    with pytest.raises(VerificationError, match="first root"):
        verify_consistency(0, 0, [], bytes(32), EMPTY_ROOT)
    with pytest.raises(VerificationError, match="no hashes"):
        verify_consistency(0, 0, [bytes(32)], EMPTY_ROOT, EMPTY_ROOT)


@pytest.mark.parametrize("change", ["too many", "too few", "hashes of 32 bytes"])
def test_a_proof_of_the_wrong_length_is_refused_and_says_so(change: str) -> None:
    tree = Tree(LEAVES[:11])
    inclusion, consistency = tree.inclusion_proof(4, 11), tree.consistency_proof(6, 11)
    if change == "too many":
        inclusion, consistency = [*inclusion, bytes(32)], [*consistency, bytes(32)]
    elif change == "too few":
        inclusion, consistency = inclusion[:-1], consistency[:-1]
    else:
        inclusion, consistency = [*inclusion[:-1], b"short"], [*consistency[:-1], b"short"]
    with pytest.raises(VerificationError, match=change):
        verify_inclusion(4, 11, LEAVES[4], inclusion, tree.root(11))
    with pytest.raises(VerificationError, match=change):
        verify_consistency(6, 11, consistency, tree.root(6), tree.root(11))


def test_an_empty_consistency_proof_between_different_sizes_is_refused() -> None:
    tree = Tree(LEAVES[:7])
    for first in range(1, 7):
        with pytest.raises(VerificationError):
            verify_consistency(first, 7, [], tree.root(first), tree.root(7))


def test_every_aligned_subtree_is_shown_to_be_part_of_its_tree() -> None:
    size = 21
    leaves, root = LEAVES[:size], mth(LEAVES[:size])
    for start, end in [(0, 8), (8, 12), (8, 11), (16, 20), (20, 21), (16, 21), (4, 8), (12, 14)]:
        subtree = mth(leaves[start:end])
        for index in range(start, end):
            verify_subtree_inclusion(
                index, start, end, leaves[index], path(index - start, leaves[start:end]), subtree
            )
        proof = subtree_proof(start, end, leaves)
        verify_subtree_consistency(start, end, size, proof, subtree, root)
        with pytest.raises(VerificationError):
            verify_subtree_consistency(start, end, size, proof, bytes(32), root)


def subtree_proof(start: int, end: int, leaves: Sequence[bytes], *, known: bool = True) -> list[bytes]:
    """SUBTREE_SUBPROOF of draft-ietf-plants-merkle-tree-certs, word for word."""
    if start == 0 and end == len(leaves):
        return [] if known else [mth(leaves)]
    split = k(len(leaves))
    if end <= split:
        return [*subtree_proof(start, end, leaves[:split], known=known), mth(leaves[split:])]
    if start >= split:
        return [*subtree_proof(start - split, end - split, leaves[split:], known=known), mth(leaves[:split])]
    return [*subtree_proof(0, end - split, leaves[split:], known=False), mth(leaves[:split])]


def test_a_subtree_that_does_not_start_where_its_width_allows_is_refused() -> None:
    with pytest.raises(VerificationError, match="aligned"):
        verify_subtree_consistency(1, 3, 8, [], bytes(32), bytes(32))
    with pytest.raises(VerificationError, match="aligned"):
        verify_subtree_inclusion(3, 3, 5, bytes(32), [], bytes(32))


def test_a_tree_refuses_sizes_and_indexes_that_it_never_had() -> None:
    tree = Tree(LEAVES[:5])
    assert tree.size == 5
    for call in (
        lambda: tree.root(6),
        lambda: tree.root(-1),
        lambda: tree.inclusion_proof(0, 6),
        lambda: tree.inclusion_proof(5, 5),
        lambda: tree.inclusion_proof(-1, 5),
        lambda: tree.consistency_proof(0, 5),
        lambda: tree.consistency_proof(5, 4),
        lambda: tree.consistency_proof(1, 6),
    ):
        with pytest.raises(RangeInvalidError):
            call()


def test_a_failed_check_names_check_expected_and_got() -> None:
    with pytest.raises(VerificationError) as caught:
        verify_inclusion(0, 1, LEAVES[0], [], LEAVES[1])
    assert caught.value.check == "inclusion proof's root"
    assert (caught.value.expected, caught.value.got) == (LEAVES[1].hex(), LEAVES[0].hex())
