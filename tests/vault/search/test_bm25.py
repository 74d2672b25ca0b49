"""BM25 and exact vectors against slow, plain references."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vault.search.makers import DIMENSIONS, HASHER, record, vector
from vault.search.bm25 import K1, B, Everywhere, FieldView, Posting, scores
from vault.search.dense import FIRST_BLOCK, VectorBlocks
from vault.search.partition import Partition

DOCUMENTS = st.lists(st.lists(st.integers(0, 6), max_size=12), max_size=12)


def view(documents: list[list[int]], query: list[int]) -> FieldView:
    postings = []
    for term in query:
        units = [place for place, document in enumerate(documents) if term in document]
        counts = [documents[place].count(term) for place in units]
        postings.append(Posting(np.array(units, np.int64), np.array(counts, np.float32)))
    lengths = np.array([len(document) for document in documents], np.float32)
    return FieldView(tuple(postings), lengths, len(documents), float(lengths.sum()))


def everywhere(field: FieldView) -> FieldView:
    """The same field with a count for every unit in place of each posting."""
    counts = []
    for posting in field.postings:
        assert isinstance(posting, Posting)
        counts.append(np.zeros(len(field.lengths), np.float32))
        counts[-1][posting.units] = posting.counts
    return replace(field, postings=tuple(map(Everywhere, counts)))


def by_the_book(documents: list[list[int]], query: list[int], document: list[int]) -> float:
    mean = sum(map(len, documents)) / len(documents) or 1.0
    total = 0.0
    for term in query:
        df = sum(term in other for other in documents)
        tf = document.count(term)
        if tf:
            idf = math.log(1 + (len(documents) - df + 0.5) / (df + 0.5))
            total += idf * tf * (K1 + 1) / (tf + K1 * (1 - B + B * len(document) / mean))
    return total


@given(DOCUMENTS, st.lists(st.integers(0, 7), max_size=5, unique=True))
def test_scores_agree_with_the_formula(documents: list[list[int]], query: list[int]) -> None:
    expected = [by_the_book(documents, query, document) for document in documents]
    sparse = view(documents, query)
    np.testing.assert_allclose(scores(sparse), np.array(expected, np.float32), rtol=1e-5, atol=1e-6)
    assert (scores(sparse) == scores(everywhere(sparse))).all()


def test_vectors_in_many_blocks_score_as_one_matrix_would() -> None:
    count = 3 * FIRST_BLOCK + 5
    blocks = VectorBlocks(DIMENSIONS)
    for row in range(count):
        blocks.put(row, vector(row))
    matrix = np.stack([vector(row) for row in range(count)])
    np.testing.assert_allclose(blocks.view(count).scores(vector(1)), matrix @ vector(1), atol=1e-6)


def test_a_row_without_a_vector_scores_nothing() -> None:
    blocks = VectorBlocks(DIMENSIONS)
    blocks.put(2, vector(2))
    blocks.put(FIRST_BLOCK + 1, vector(3))
    blocks.wipe(FIRST_BLOCK + 1)
    assert np.isnan(blocks.view(FIRST_BLOCK + 2).scores(vector(0))).tolist() == [
        row != 2 for row in range(FIRST_BLOCK + 2)
    ]
    assert not any(block.any() for block in blocks.view(1).blocks[1:])


def test_a_view_does_not_see_what_comes_after_it() -> None:
    blocks = VectorBlocks(DIMENSIONS)
    blocks.put(0, vector(0))
    before = blocks.view(2)
    blocks.put(1, vector(1))
    assert before.present.tolist() == [True, False]


@pytest.mark.parametrize("rows", [8, 4_000])
def test_a_term_counts_for_the_turns_beside_it_whether_it_is_rare_or_common(rows: int) -> None:
    part = Partition(DIMENSIONS)
    said = [f"turn {row}" + (" lantern" if row % 7 == 3 and row < 40 else "") for row in range(rows)]
    for row, text in enumerate(said):
        part.add(f"m{row}", f"e{row // 4}", row % 4, record(text))
    seen = part.view((HASHER.hash("lantern"),), (), ())
    having = {row for row, text in enumerate(said) if "lantern" in text}
    near = {
        row: sum(row // 4 == other // 4 and abs(row - other) <= 2 for other in having) for row in range(rows)
    }
    assert counts_of(seen.windows()) == {row: count for row, count in near.items() if count}
    sessions = Counter(row // 4 for row in having)
    assert counts_of(seen.sessions()) == sessions


def counts_of(field: FieldView) -> dict[int, float]:
    (posting,) = field.postings
    units = np.flatnonzero(posting.counts) if isinstance(posting, Everywhere) else posting.units
    return dict(zip(units.tolist(), posting.counts[posting.counts > 0].tolist(), strict=True))


def test_a_neighbour_that_came_after_the_view_counts_for_nothing() -> None:
    part = Partition(DIMENSIONS)
    part.add("m0", "e", 0, record("a lantern"))
    seen = part.view((HASHER.hash("lantern"),), (), ())
    part.add("m1", "e", 1, record("a boat"))
    assert counts_of(seen.windows()) == {0: 1}
    assert seen.neighbours[0, 2] == 1, "and the view knows of it"
    assert seen.scratch().shape == (seen.room + 1,)
    assert seen.room > 1, "so that what is added up for it has a place, past the end of the view"
