"""The joint error, on means whose variance is known."""

from __future__ import annotations

import numpy as np
import pytest

from made_up_validations import coverage
from whence_backends.validation.statistics.jackknife import joint_estimate, leave_one_out


@pytest.mark.parametrize(
    ("shared", "of_query", "own"), [(1.0, 0.1, 0.1), (0.1, 1.0, 0.1), (0.1, 0.1, 5.0), (1.0, 1.0, 5.0)]
)
def test_what_runs_share_what_queries_are_and_what_is_noise_are_counted_once(rng, shared, of_query, own):
    runs, queries, drawn = 20, 30, []
    for _ in range(400):
        values = shared * rng.normal(size=(runs, 1)) + of_query * rng.normal(size=queries)
        values += own * rng.normal(size=(runs, queries))
        left_out = leave_one_out(lambda rows, values=values: values[rows].mean(axis=0), runs)
        drawn.append(joint_estimate(values.mean(axis=0), left_out))
    variance = shared**2 / runs + of_query**2 / queries + own**2 / (runs * queries)
    assert np.mean([row.standard_error for row in drawn]) == pytest.approx(variance**0.5, rel=0.15)
    assert 0.92 <= coverage(drawn, 0.0) <= 0.985
