"""Self-influence against memorisation."""

from __future__ import annotations

import numpy as np
import pytest

from made_up_validations import halves
from whence_backends.validation.statistics.estimate import Undetermined
from whence_backends.validation.statistics.memorisation import Memorisation, memorisation


@pytest.fixture
def gained(rng) -> np.ndarray:
    """What each of 200 sequences gains by being trained on."""
    return rng.exponential(size=200)


def compared(rng, gained: np.ndarray, self_influence: np.ndarray, *, noise: float = 0.1) -> Memorisation:
    members = halves(rng, 40, 200)
    measured = -20 + members * gained + noise * rng.normal(size=members.shape)
    result = memorisation(members, measured, self_influence)
    assert isinstance(result, Memorisation)
    return result


def test_what_a_sequence_gains_by_training_is_measured(rng, gained):
    result = compared(rng, gained, gained)
    np.testing.assert_allclose(result.measured, gained, atol=0.2)
    assert result.spearman.value > 0.98
    assert result.pearson.value > 0.98
    assert result.overlap > 0.8
    assert result.overlap_by_chance == pytest.approx(0.1)


def test_intervals_hold_the_true_correlation(rng):
    inside = []
    for _ in range(300):
        predicted, gains = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=200).T
        result = compared(rng, gains, predicted, noise=0.0)
        # For normal variables (Pearson 1907).
        ranked = 6 / np.pi * np.arcsin(0.3)
        inside.append([result.pearson.low <= 0.6 <= result.pearson.high,
                       result.spearman.low <= ranked <= result.spearman.high])  # fmt: skip
    assert (np.mean(inside, axis=0) >= 0.91).all()
    assert (np.mean(inside, axis=0) <= 0.98).all()


def test_sequences_that_are_in_every_run_are_not_compared(rng, gained):
    members = halves(rng, 40, 200)
    members[:, 3] = True
    result = memorisation(members, -20 + members * gained, gained)
    assert isinstance(result, Memorisation)
    assert set(range(200)) - set(result.sequences.tolist()) == {3}


def test_what_cannot_be_said_is_not_said(rng, gained):
    few = memorisation(halves(rng, 3, 200), np.zeros((3, 200)), gained)
    assert few == Undetermined(reason="0 sequences are in two runs or more and absent from two; a comparison needs 20")
    assert isinstance(compared(rng, gained, np.ones(200)).spearman, Undetermined)
