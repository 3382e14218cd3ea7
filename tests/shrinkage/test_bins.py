"""Bins of influences: fixed, fine at every scale, and in order."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence_service.shrinkage.bins import bin_of, is_negative, lower_edge, magnitude

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(finite)
def test_a_bin_has_the_value_between_its_edges(value: float) -> None:
    number = magnitude(bin_of(value))
    assert lower_edge(number) <= abs(value) < lower_edge(number + 1)


@given(finite)
def test_a_bin_has_values_of_one_sign(value: float) -> None:
    assert is_negative(bin_of(value)) == (math.copysign(1, value) < 0)
    assert magnitude(bin_of(value)) == magnitude(bin_of(-value))


@given(finite, finite)
def test_bins_of_magnitudes_are_in_the_order_of_the_values(first: float, second: float) -> None:
    low, high = sorted((abs(first), abs(second)))
    assert bin_of(low) <= bin_of(high)


@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1.0, 7.7, 1e12, 1e300])
def test_no_bin_is_wider_than_a_sixteenth_of_its_values(scale: float) -> None:
    number = bin_of(scale)
    assert lower_edge(number + 1) <= lower_edge(number) * (1 + 1 / 16)


def test_the_largest_bin_of_finite_values_ends_at_infinity() -> None:
    assert lower_edge(bin_of(1.7976931348623157e308) + 1) == math.inf
