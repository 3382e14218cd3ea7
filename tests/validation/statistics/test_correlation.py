"""Ranks and correlations, against their definitions."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from whence_backends.validation.statistics.correlation import is_constant, pearson, ranks, spearman, spearman_without

ROWS = arrays(np.float64, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8), elements=st.integers(-3, 3))


@given(rows=ROWS)
def test_a_rank_counts_the_smaller_and_half_of_the_equal(rows: np.ndarray):
    smaller = (rows[:, None, :] < rows[:, :, None]).sum(axis=2)
    equal = (rows[:, None, :] == rows[:, :, None]).sum(axis=2)
    np.testing.assert_array_equal(ranks(rows), smaller + (equal + 1) / 2)


@given(rows=ROWS)
def test_only_the_order_matters_to_a_rank_correlation(rows: np.ndarray):
    other = np.roll(rows, 1, axis=1)
    np.testing.assert_allclose(spearman(np.exp(rows), other**3), spearman(rows, other), atol=1e-12)


@given(rows=ROWS)
def test_a_row_correlates_with_itself_unless_it_is_constant(rows: np.ndarray):
    np.testing.assert_allclose(spearman(rows, rows), np.where(is_constant(rows), 0, 1), atol=1e-12)
    np.testing.assert_allclose(pearson(rows, -rows), np.where(is_constant(rows), 0, -1), atol=1e-12)


def test_the_correlation_is_that_of_numpy(rng):
    left, right = rng.normal(size=(2, 5, 30))
    expected = [np.corrcoef(*rows)[0, 1] for rows in zip(left, right, strict=True)]
    np.testing.assert_allclose(pearson(left, right), expected)


@given(rows=arrays(np.float64, (2, 3, 6), elements=st.integers(-3, 3)))
def test_a_correlation_without_a_column_is_that_of_the_others(rows: np.ndarray):
    expected = [spearman(*np.delete(rows, column, axis=2)) for column in range(6)]
    np.testing.assert_allclose(spearman_without(*rows), expected, atol=1e-12)


def test_ranks_without_ties_are_spearmans_textbook_formula():
    rows = np.array([[1.0, 2.0, 3.0, 4.0, 5.0]])
    other = np.array([[2.0, 1.0, 4.0, 3.0, 5.0]])
    assert spearman(rows, other)[0] == 1 - 6 * 4 / (5 * 24)
