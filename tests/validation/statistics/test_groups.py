"""Sums over groups against leaving groups out."""

from __future__ import annotations

import numpy as np
import pytest

from whence_backends.validation.statistics.estimate import Undetermined
from whence_backends.validation.statistics.groups import (
    GroupAgreement,
    Intervals,
    Losses,
    group_agreement,
    losses_without,
)


def drawn(rng, *, groups: int = 8, queries: int = 24, seeds: int = 2, noise: float = 1.0):
    """Draw true losses, float64 [G, Q], and runs that suffer them."""
    truth = rng.normal(size=(groups, queries)) * 3
    full = -10 + noise * rng.normal(size=(seeds, queries))
    places = np.repeat(np.arange(groups), seeds)
    return truth, losses_without(full, -10 - truth[places] + noise * rng.normal(size=(len(places), queries)), places)


def agreement(predicted: np.ndarray, errors: float, losses: Losses) -> GroupAgreement:
    result = group_agreement(predicted, Intervals.symmetric(predicted, np.full(predicted.shape, errors)), losses)
    assert isinstance(result, GroupAgreement)
    return result


def test_losses_are_those_that_were_put_in_and_their_error_that_of_the_seeds(rng):
    truth, losses = drawn(rng, queries=400)
    distance = (losses.values - truth) / losses.standard_errors
    assert losses.degrees == 9
    assert losses.standard_errors.mean() == pytest.approx(1.0, abs=0.05)
    assert distance.std() == pytest.approx(1.13, abs=0.12)


@pytest.mark.parametrize("error", [0.5, 2.0, 6.0])
def test_honest_intervals_cover(rng, error: float):
    truth, losses = drawn(rng, queries=200)
    result = agreement(truth + error * rng.normal(size=truth.shape), error, losses)
    assert 0.93 <= result.coverage.value <= 0.985


def test_intervals_that_are_too_narrow_do_not_cover(rng):
    truth, losses = drawn(rng, noise=0.1)
    result = agreement(truth + 2 * rng.normal(size=truth.shape), 0.2, losses)
    assert result.coverage.high < 0.6
    assert agreement(truth, 0.0, losses).without_noise.value == 0


def test_what_lies_beyond_either_end_is_told_apart_and_nothing_lies_beyond_an_open_one(rng):
    """Broken by: taking the ends for one another; an open interval without a lower end."""
    truth, losses = drawn(rng, noise=0.01)
    for shift, beyond, within in ((-9.0, "above", "below"), (9.0, "below", "above")):
        closed = agreement(truth + shift, 1.0, losses)
        assert (getattr(closed, beyond).value, getattr(closed, within).value, closed.coverage.value) == (1, 0, 0)
        ends = Intervals.symmetric(truth + shift, np.full(truth.shape, 1.0))
        opened = group_agreement(truth + shift, Intervals(low=ends.low, high=np.full(truth.shape, np.inf)), losses)
        assert isinstance(opened, GroupAgreement)
        assert (opened.above.value, opened.coverage.value) == (0, float(beyond == "above"))


def test_the_correlation_and_the_size_are_those_of_what_was_lost(rng):
    truth, losses = drawn(rng, noise=0.01)
    result = agreement(truth / 2, 1.0, losses)
    assert result.groups == 8
    assert result.spearman.value > 0.98
    assert result.pearson.value > 0.99
    assert result.slope.value == pytest.approx(2, abs=0.02)


def test_a_method_without_errors_claims_no_coverage(rng):
    truth, losses = drawn(rng)
    result = group_agreement(truth, None, losses)
    assert isinstance(result, GroupAgreement)
    assert result.coverage == Undetermined(reason="the method claims no error")


def test_what_cannot_be_said_is_not_said(rng):
    _, single = drawn(rng, seeds=1)
    assert single == Undetermined(
        reason="no set of documents was trained on with two seeds, so the noise of seeds is not known"
    )
    assert isinstance(losses_without(np.zeros((2, 3)), np.zeros((0, 3)), np.zeros(0, int)), Undetermined)
    truth, losses = drawn(rng, groups=3)
    assert group_agreement(truth, None, losses) == Undetermined(
        reason="3 groups were left out; a correlation over them needs 4"
    )
