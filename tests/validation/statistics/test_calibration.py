"""The calibration of claimed significance, on claims that are true and on claims that are not."""

from __future__ import annotations

import numpy as np
import pytest

from made_up_validations import halves
from whence_backends.validation.statistics.calibration import Calibration, calibration
from whence_backends.validation.statistics.effects import Effects, in_out
from whence_backends.validation.statistics.estimate import Undetermined
from whence_backends.validation.statistics.normal import normal_cdf


def claimed(rng, *, noise: float = 3.0, size: float = 1.0) -> tuple[np.ndarray, np.ndarray, Effects]:
    """Draw claims that are true: a normal posterior from which each effect is drawn, and its measured effects."""
    members = halves(rng, 60, 120)
    deviation = 0.5
    mean = rng.standard_t(2, size=(40, 120)) * 0.5
    truth = size * (mean + deviation * rng.normal(size=mean.shape))
    measured = members @ truth.T + noise * rng.normal(size=(60, 40))
    return mean, normal_cdf(np.abs(mean) / deviation), in_out(members, measured)


def judged(signal: np.ndarray, significance: np.ndarray, effects: Effects) -> Calibration:
    result = calibration(signal, significance, effects)
    assert isinstance(result, Calibration)
    return result


@pytest.mark.parametrize("size", [1.0, 0.3])
def test_true_claims_are_measured_as_often_as_they_are_expected_to_be(rng, size: float):
    result = judged(*claimed(rng, size=size))
    assert result.size == pytest.approx(size, rel=0.15)
    assert sum(row.hits for row in result.bins) == 40 * 120
    for row in result.bins:
        assert row.low <= row.claimed <= row.high
        assert row.measured.value == pytest.approx(row.expected, abs=0.06)
    assert result.noise_effect.low < result.noise_claimed < result.noise_effect.high


def test_the_noise_of_the_measurement_is_in_what_is_expected(rng):
    loud, quiet = judged(*claimed(rng, noise=20.0)), judged(*claimed(rng, noise=0.1))
    assert loud.bins[-1].expected < quiet.bins[-1].expected - 0.05
    assert quiet.bins[-1].claimed > 0.99


def test_claims_that_are_too_sure_are_seen(rng):
    signal, significance, effects = claimed(rng)
    wrong = rng.random(signal.shape) < 0.3
    boasted = judged(np.where(wrong, -signal, signal), significance, effects)
    assert boasted.bins[-1].measured.high < boasted.bins[-1].expected - 0.1
    assert boasted.size == pytest.approx(1, rel=0.15)


def test_hits_without_any_effect_have_no_size(rng):
    signal, significance, effects = claimed(rng)
    assert judged(signal, significance, in_out(effects.members, rng.normal(size=(60, 40)))).size < 0.2


def test_truth_that_is_called_noise_is_seen(rng):
    signal, _, effects = claimed(rng)
    result = judged(np.sign(signal) * 1e-6, np.full(signal.shape, 0.6), effects)
    assert result.noise_hits == signal.size
    assert result.noise_effect.low > 0


def test_noise_that_is_called_noise_has_no_effect(rng):
    _, _, effects = claimed(rng)
    result = judged(rng.normal(size=effects.values.shape), np.full(effects.values.shape, 0.6), effects)
    assert result.noise_effect.low < 0 < result.noise_effect.high


def test_a_query_whose_noise_is_not_known_does_not_count(rng):
    signal, significance, effects = claimed(rng)
    significance[3] = np.nan
    result = judged(signal, significance, effects)
    assert sum(row.hits for row in result.bins) == 39 * 120
    assert isinstance(calibration(signal, np.full_like(signal, np.nan), effects), Undetermined)


def test_what_cannot_be_said_is_not_said(rng):
    signal, significance, effects = claimed(rng)
    assert isinstance(calibration(np.zeros_like(signal), significance, effects), Undetermined)
    sure = judged(signal, np.ones_like(signal), effects)
    assert [row.hits for row in sure.bins] == [0, 0, 0, 0, signal.size]
    assert isinstance(sure.bins[0].measured, Undetermined)
    assert isinstance(sure.noise_effect, Undetermined)
