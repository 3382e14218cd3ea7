"""The interval around a sum of signals: as wide as influences and sample are uncertain, open where it is most of it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence_service.shrinkage.group_intervals import SignalSum, interval

WHOLE = SignalSum(signal=90.0, positive=100.0, squares=400.0)
sums = st.builds(
    SignalSum,
    signal=st.floats(-50, 50), positive=st.floats(0, 100), squares=st.floats(0, 1e4), variance=st.floats(0, 1e4),
)  # fmt: skip


def test_each_influence_may_be_off_by_its_own_size_and_the_sum_by_what_the_sample_may_be():
    """Broken by: adding sizes where squares add; an interval of the sample's error alone."""
    told = interval(SignalSum(signal=10.0, positive=20.0, squares=9.0, variance=16.0), WHOLE)
    assert (told.low, told.high) == pytest.approx((10 - 1.96 * 5, 10 + 1.96 * 5), abs=1e-3)


@pytest.mark.parametrize(("positive", "is_open"), [(49.9, False), (50.0, True), (100.0, True)])
def test_a_group_with_most_of_the_positive_signal_has_no_upper_end(positive: float, is_open: bool):
    told = interval(SignalSum(signal=positive, positive=positive, squares=9.0), WHOLE)
    assert (told.high is None) == is_open
    assert told.low == pytest.approx(positive - 1.96 * 3, rel=1e-4)


def test_without_any_positive_signal_no_group_has_most_of_it():
    nothing = SignalSum(signal=-3.0, positive=0.0, squares=9.0)
    assert interval(nothing, nothing).high is not None


@given(sums, st.floats(1e-3, 1e3))
def test_it_has_the_sum_in_it_and_goes_with_the_unit(group: SignalSum, unit: float):
    def in_unit(of: SignalSum) -> SignalSum:
        squared = unit * unit
        return SignalSum(
            signal=of.signal * unit, positive=of.positive * unit, squares=of.squares * squared,
            variance=of.variance * squared,
        )  # fmt: skip

    told, scaled = interval(group, WHOLE), interval(in_unit(group), in_unit(WHOLE))
    assert told.low <= group.signal <= (math.inf if told.high is None else told.high)
    assert scaled.low == pytest.approx(told.low * unit, rel=1e-9, abs=1e-9 * unit * 100)
