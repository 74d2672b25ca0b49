"""Fusion: pure, indifferent to scale, and never at the cost of an arm's first hit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from vault.search.fuse import TUNED, Signs, keep_first_hits, of_the_best, ranked, shares, standardised, summed

VALUES = hnp.arrays(
    np.float32, st.integers(0, 300), elements=st.floats(-100, 100, width=32).map(lambda x: round(x, 2))
)


@given(VALUES, st.integers(0, 320))
def test_the_best_scores_come_first_and_equal_ones_in_their_order(
    scores: NDArray[np.float32], most: int
) -> None:
    expected = sorted(range(len(scores)), key=lambda place: (-scores[place], place))[:most]
    assert ranked(scores, most).tolist() == expected


def test_ranking_a_long_list_agrees_with_sorting_it() -> None:
    scores = np.random.default_rng(7).integers(0, 500, 20_000).astype(np.float32)
    expected = np.argsort(-scores, kind="stable")
    for most in (1, 2, 10, 100, 1_000, 20_000, 30_000):
        assert ranked(scores, most).tolist() == expected[:most].tolist()


@given(
    st.integers(1, 60).flatmap(lambda n: st.permutations(range(n))),
    st.lists(st.integers(0, 59), max_size=3),
    st.integers(2, 20),
)
def test_fusion_never_loses_an_arms_first_hit(ranking: list[int], arms: list[int], k: int) -> None:
    firsts = [first % len(ranking) for first in arms]
    kept = keep_first_hits(ranking[:k], firsts, k)
    assert len(kept) == len(set(kept)) == min(k, len(ranking))
    assert kept[0] == ranking[0]
    lifted = set(firsts) - {ranking[0]}
    if len(lifted) < k:
        assert lifted <= set(kept)
    others = [place for place in kept if place not in firsts]
    assert others == [place for place in ranking if place in others]


def test_a_first_hit_takes_the_last_place_that_is_free() -> None:
    assert keep_first_hits([4, 3, 2, 1], [9, 3], 4) == [4, 3, 2, 9]
    assert keep_first_hits([4, 3], [9, 8], 2) == [4, 9]
    assert keep_first_hits([4], [9], 1) == [4]
    assert keep_first_hits([], [9], 5) == [9]


@given(VALUES)
def test_standardised_values_have_mean_zero_and_keep_their_order(values: NDArray[np.float32]) -> None:
    found = standardised(values)
    assert found.shape == values.shape
    if len(values) and values.std() > 0.01:
        assert abs(float(found.mean())) < 1e-3
        assert abs(float(found.std()) - 1) < 1e-2
        assert (np.diff(found[np.argsort(values, kind="stable")]) >= 0).all()


def test_an_absent_value_stands_at_the_mean_and_moves_nothing() -> None:
    whole = np.array([1, 2, 3, 6], np.float32)
    holed = np.array([1, np.nan, 2, 3, 6, np.nan], np.float32)
    found = standardised(holed)
    assert found[[1, 5]].tolist() == [0, 0]
    np.testing.assert_allclose(found[[0, 2, 3, 4]], standardised(whole), rtol=1e-6)
    assert standardised(np.full(3, np.nan, np.float32)).tolist() == [0, 0, 0]


@given(VALUES.map(np.abs))
def test_shares_of_the_best_lie_between_zero_and_one(values: NDArray[np.float32]) -> None:
    found = of_the_best(values)
    assert ((found >= 0) & (found <= 1)).all()
    assert not len(values) or values.max() == 0 or found.max() == 1


def made_signs(count: int, seed: int) -> Signs:
    drawn = np.random.default_rng(seed).random((10, count)).astype(np.float32)
    return Signs(*drawn)


@pytest.mark.parametrize("factor", [0.001, 7.0])
def test_the_scale_of_word_and_meaning_scores_does_not_matter(factor: float) -> None:
    signs = made_signs(50, 1)
    names = ("lexical", "window", "session", "dated", "dense", "dense_window")
    scaled = Signs(
        **{
            name: getattr(signs, name) * np.float32(factor if name in names else 1)
            for name in Signs.__dataclass_fields__
        }
    )
    np.testing.assert_allclose(
        summed(shares(signs, TUNED).values()), summed(shares(scaled, TUNED).values()), rtol=1e-3, atol=1e-4
    )


def test_each_sign_moves_the_score_in_its_direction() -> None:
    for name in Signs.__dataclass_fields__:
        flat = {other: np.zeros(3, np.float32) for other in Signs.__dataclass_fields__}
        flat[name] = np.array([1, 0, 0], np.float32)
        total = summed(shares(Signs(**flat), TUNED).values())
        better = total[0] > total[1]
        assert better == (getattr(TUNED, name) > 0)
        assert total[1] == total[2]
