"""The ceiling, against what a method that knows the true effects reaches."""

from __future__ import annotations

import numpy as np
import pytest

from made_up_validations import world
from whence_backends.validation.statistics.ceiling import ceiling, reliability
from whence_backends.validation.statistics.estimate import Estimate, Undetermined, around
from whence_backends.validation.statistics.lds import Lds, linear_datamodeling_score


def seeds(rng: np.random.Generator, *, runs: int, queries: int, noise: float):
    """Draw a validation whose runs all have a second seed: the world, and the other seed's log-likelihoods."""
    drawn = world(rng, runs=runs, queries=queries, noise=noise)
    return drawn, drawn.members @ drawn.truth.T + noise * rng.normal(size=drawn.measured.shape)


@pytest.mark.parametrize("noise", [1.0, 3.0, 6.0])
def test_the_ceiling_is_what_the_truth_scores(rng, noise: float):
    drawn, again = seeds(rng, runs=200, queries=60, noise=noise)
    agreement = reliability(drawn.measured, again)
    for measured, runs in ((drawn.measured, [1]), ((drawn.measured + again) / 2, [2])):
        perfect = linear_datamodeling_score(drawn.members, drawn.truth, measured)
        top = ceiling(agreement, runs)
        assert isinstance(perfect, Lds)
        assert isinstance(top, Estimate)
        assert top.value == pytest.approx(perfect.by_query.mean(), abs=0.02)
        assert top.low < top.value < top.high


def test_the_ceiling_of_some_repeated_subsets_is_between(rng):
    agreement = around(0.645, 0.05, degrees=20)
    values = [ceiling(agreement, runs).value for runs in ([1, 1], [1, 2], [2, 2])]
    assert values[0] == pytest.approx(0.645**0.5)
    assert values[2] == pytest.approx((2 * 0.645 / 1.645) ** 0.5)
    assert values[0] < values[1] < values[2]


def test_intervals_hold_the_true_ceiling(rng):
    drawn, again = seeds(rng, runs=250, queries=200, noise=3.0)
    truth = ceiling(reliability(drawn.measured, again), [1]).value
    inside = []
    for _ in range(200):
        few, repeated = seeds(rng, runs=16, queries=24, noise=3.0)
        top = ceiling(reliability(few.measured, repeated), [1])
        inside.append(top.low <= truth <= top.high)
    assert 0.90 <= np.mean(inside) <= 0.99


def test_the_error_is_the_slope_times_that_of_the_reliability():
    low, high = (ceiling(around(share, 0.0, degrees=9), [1, 2]).value for share in (0.599, 0.601))
    error = ceiling(around(0.6, 0.01, degrees=9), [1, 2]).standard_error
    assert error == pytest.approx(0.01 * (high - low) / 0.002, rel=1e-3)


def test_what_cannot_be_said_is_not_said(rng):
    none = reliability(np.zeros((0, 5)), np.zeros((0, 5)))
    assert none == Undetermined(
        reason="no subset was trained with a second seed, so the noise of training is not known"
    )
    assert ceiling(none, [1]) == none
    assert isinstance(reliability(*rng.normal(size=(2, 2, 5))), Undetermined)
    assert isinstance(reliability(np.ones((8, 5)), np.ones((8, 5))), Undetermined)
    unlike = ceiling(around(-0.1, 0.1, degrees=9), [1])
    assert "no more than chance" in unlike.reason
    assert ceiling(around(0.9, 0.4, degrees=9), [1]).high == 1
