"""Laws of the streaming ranking."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence.errors import InternalError
from whence_backends.topk import Order, TopK

# Few distinct values, so that there are ties.
VALUES = st.lists(st.sampled_from([-2.0, -1.0, -0.0, 0.0, 0.5, 1.0, 3.25]), min_size=1, max_size=60)
ORDERS = st.sampled_from(list(Order))


def push_in_pieces(top: TopK, values: np.ndarray, random: np.random.Generator) -> None:
    shuffled = random.permutation(values.shape[1])
    for piece in np.array_split(shuffled, random.integers(1, 6)):
        if len(piece):
            top.push(values[:, piece], piece)


@given(VALUES, st.integers(0, 70), ORDERS, st.integers(0, 10))
def test_the_ranking_is_that_of_a_full_sort_whatever_the_order_of_pushes(values, k, order, seed):
    influence = np.array([values, values[::-1]])
    top = TopK(k, order, queries=2)
    push_in_pieces(top, influence, np.random.default_rng(seed))
    sign = -1 if order is Order.HIGHEST else 1
    for query in range(2):
        expected = sorted(range(len(values)), key=lambda position: (sign * influence[query, position], position))[:k]
        assert [ranked.position for ranked in top.ranked(query)] == expected
        assert [ranked.influence for ranked in top.ranked(query)] == [influence[query, p] for p in expected]


def test_ties_go_to_the_lower_position_even_when_it_comes_later():
    top = TopK(1, Order.HIGHEST, queries=1)
    top.push(np.array([[1.0]]), np.array([9]))
    top.push(np.array([[1.0]]), np.array([4]))
    assert [ranked.position for ranked in top.ranked(0)] == [4]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_influence_that_is_not_finite_is_never_ranked(bad: float):
    top = TopK(3, Order.HIGHEST, queries=1)
    with pytest.raises(InternalError, match="position 7") as caught:
        top.push(np.array([[1.0, bad]]), np.array([3, 7]))
    assert caught.value.reason == "NON_FINITE_INFLUENCE"
    assert top.ranked(0) == []
