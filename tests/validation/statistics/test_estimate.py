"""Intervals."""

from __future__ import annotations

import numpy as np
import pytest

from whence_backends.validation.statistics.estimate import Estimate, Undetermined, around, student_quantile, wilson
from whence_backends.validation.statistics.normal import normal_cdf, normal_quantile
from whence_backends.validation.statistics.shares import share_estimate
from whence_backends.validation.statistics.slopes import median_estimate


@pytest.mark.parametrize(
    ("degrees", "quantile"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (5, 2.5706), (10, 2.2281), (30, 2.0423), (100, 1.9840)],
)
def test_quantiles_of_student_are_those_of_the_tables(degrees: int, quantile: float):
    assert student_quantile(degrees) == pytest.approx(quantile, abs=0.01)
    estimate = around(1.0, 2.0, degrees=degrees)
    assert (estimate.low, estimate.high) == pytest.approx((1 - 2 * quantile, 1 + 2 * quantile), abs=0.02)


def test_no_degrees_of_freedom_are_refused():
    with pytest.raises(ValueError, match="0 degrees"):
        student_quantile(0)


def test_the_normal_distribution_is_that_of_the_tables():
    np.testing.assert_allclose(normal_cdf(np.array([[-1.96, 0.0, 1.0]])), [[0.0249979, 0.5, 0.8413447]], atol=1e-6)
    shares = np.array([0.001, 0.3, 0.999])
    np.testing.assert_allclose(normal_cdf(normal_quantile(shares)), shares)


def test_twelve_of_twelve_is_not_certainty():
    estimate = share_estimate(np.ones(12, int), np.ones(12, int))
    assert isinstance(estimate, Estimate)
    assert (estimate.value, estimate.high) == (1, 1)
    assert estimate.low == pytest.approx(12 / (12 + 1.96**2), abs=1e-3)


def test_hits_of_a_query_that_agree_count_once(rng):
    together = share_estimate(np.array([10, 0] * 20), np.full(40, 10))
    apart = share_estimate(rng.binomial(10, 0.5, size=40), np.full(40, 10))
    assert isinstance(together, Estimate)
    assert isinstance(apart, Estimate)
    assert together.standard_error == pytest.approx(wilson(0.5, 40).standard_error, rel=0.03)
    assert apart.standard_error == pytest.approx(wilson(0.5, 400).standard_error, rel=0.3)


def test_intervals_of_shares_hold_the_truth(rng):
    inside = 0
    for _ in range(500):
        chances = rng.beta(7, 3, size=24)
        estimate = share_estimate(rng.binomial(5, chances), np.full(24, 5))
        assert isinstance(estimate, Estimate)
        inside += estimate.low <= 0.7 <= estimate.high
    assert 0.9 <= inside / 500 <= 0.98


def test_intervals_of_medians_hold_the_truth(rng):
    drawn = [median_estimate(rng.standard_cauchy(size=24) + 1) for _ in range(500)]
    assert 0.93 <= np.mean([row.low <= 1 <= row.high for row in drawn]) <= 0.995


def test_what_cannot_be_said_is_not_said():
    assert share_estimate(np.array([1, 0]), np.array([1, 0])) == Undetermined(
        reason="only 1 of 2 queries have such cases; an interval needs 2"
    )
    assert isinstance(share_estimate(np.array([], int), np.array([], int)), Undetermined)
    assert isinstance(median_estimate(np.ones(5)), Undetermined)
    assert isinstance(median_estimate(np.ones(6)), Estimate)
