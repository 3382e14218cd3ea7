"""The intervals that a validation holds against retraining are those that are served."""

from __future__ import annotations

import math

import numpy as np
import pytest

from whence_backends.validation.group_intervals import served_intervals
from whence_service.shrinkage.group_intervals import SignalSum, interval


def test_they_are_the_served_ones() -> None:
    """Broken by: errors that are added, not their squares; a share of another query's signal."""
    rng = np.random.default_rng(0)
    scores, errors = rng.normal(size=(3, 40)) + 0.3, np.abs(rng.normal(size=(3, 40)))
    members = np.zeros((2, 40))
    members[0, :30] = members[1, 30:] = 1
    told = served_intervals(members, scores, errors)
    for query in range(3):
        sums = [
            SignalSum(
                signal=float(scores[query, chosen].sum()),
                positive=float(scores[query, chosen].clip(min=0).sum()),
                squares=float((errors[query, chosen] ** 2).sum()),
            )
            for chosen in (slice(0, 30), slice(30, 40), slice(None))
        ]
        for group in range(2):
            expected = interval(sums[group], sums[2])
            assert told.low[group, query] == pytest.approx(expected.low)
            assert told.high[group, query] == pytest.approx(math.inf if expected.high is None else expected.high)
    assert np.isinf(told.high[0]).all()
    assert np.isfinite(told.high[1]).all()
