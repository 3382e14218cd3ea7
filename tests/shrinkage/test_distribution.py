"""The distribution of influences: the same however the sequences are split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence_service.shrinkage.distribution import Distribution, merge

influences = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=60)


@given(st.lists(influences, max_size=5), st.randoms())
def test_it_does_not_depend_on_how_the_sequences_are_split_or_ordered(parts: list[list[float]], rng) -> None:
    everything = [influence for part in parts for influence in part]
    rng.shuffle(everything)
    assert merge(map(Distribution.of, parts)) == Distribution.of(everything)


@given(influences)
def test_a_weight_counts_each_influence_so_often(values: list[float]) -> None:
    weighted, repeated = Distribution.of(values, weight=3), Distribution.of(values * 3)
    assert weighted.weights == repeated.weights
    assert weighted.known == len(values)


@given(st.lists(st.tuples(st.floats(-1e9, 1e9), st.floats(0.5, 100)), max_size=60), st.randoms())
def test_weights_of_a_sample_add_up_whatever_their_order(pairs: list[tuple[float, float]], rng) -> None:
    distribution = Distribution.weighted(pairs)
    assert sum(distribution.weights.values()) == pytest.approx(sum(weight for _, weight in pairs))
    assert distribution.known == len(pairs)
    rng.shuffle(pairs)
    assert Distribution.weighted(pairs) == distribution


@given(influences)
def test_a_sample_of_equal_weights_is_a_distribution_of_that_weight(values: list[float]) -> None:
    assert Distribution.weighted((value, 3.0) for value in values) == Distribution.of(values, weight=3)


@given(influences)
def test_magnitudes_forget_signs_and_leave_zeros_out(values: list[float]) -> None:
    folded = Distribution.of(values).magnitudes()
    assert folded == Distribution.of([-value for value in values]).magnitudes()
    assert sum(folded.values()) == sum(abs(value) >= 2.0**-1026 for value in values)


@given(influences)
def test_magnitudes_of_a_sign_are_those_of_its_influences(values: list[float]) -> None:
    distribution = Distribution.of(values)
    for sign in (1, -1):
        alone = Distribution.of([value for value in values if sign * value > 0])
        assert distribution.magnitudes(sign) == alone.magnitudes()


@pytest.mark.parametrize("threshold", [0.5, 1.0, 1.01, 3.0])
def test_what_lies_beyond_a_threshold_is_counted_by_sign(threshold: float) -> None:
    values = [number / 1000 for number in range(-2000, 4000)]
    distribution = Distribution.of(values)
    for sign in (1, -1):
        true = sum(sign * value >= threshold for value in values)
        assert distribution.beyond(threshold, sign=sign) == pytest.approx(true, abs=3)
