"""The score that a perfect method would reach: retraining has noise of its own, which no method can predict.

Two models that were trained on the same subset with different seeds agree to a reliability ``r``: their rank
correlation over subsets, the mean over queries. If noise is independent of the subset, ``r`` is the share of the
variance of one run that the subset explains, so the subset's expected log-likelihood correlates with one run by √r and
with the mean of k runs by √(k r / (1 + (k − 1) r)) (Spearman 1910, Brown 1910). That is exact for values; for ranks of
normal variables it is within 0.01. Queries are taken together: the mean of roots is a little less than the root of the
mean (0.005 where the reliability scatters by 0.13 between queries).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from whence_backends.validation.statistics.correlation import FloatArray, is_constant, spearman, spearman_without
from whence_backends.validation.statistics.estimate import Estimate, Figure, Undetermined
from whence_backends.validation.statistics.jackknife import joint_estimate


def reliability(first: FloatArray, second: FloatArray) -> Figure:
    """Return the rank correlation over subsets between two seeds, the mean over queries, float64 [P, Q] each."""
    if not len(first):
        return Undetermined(reason="no subset was trained with a second seed, so the noise of training is not known")
    varied = ~(is_constant(first.T) | is_constant(second.T))
    left, right = first.T[varied], second.T[varied]
    return joint_estimate(spearman(left, right), spearman_without(left, right))


def ceiling(seeds: Figure, runs: Sequence[int]) -> Figure:
    """Return the score of a perfect method, from the reliability of one run.

    ``runs`` has the number of runs whose mean was measured, for each subset. The interval is that of the reliability.
    """
    if isinstance(seeds, Undetermined):
        return seeds
    if seeds.value <= 0:
        return Undetermined(
            reason=f"two seeds agree on the same subsets by {seeds.value:.2f}, no more than chance: what was measured "
            "is noise, which no method predicts; average over more seeds"
        )
    noise = float(np.mean([1 / count for count in runs]))
    low, value, high = (_ceiling(share, noise) for share in (seeds.low, seeds.value, seeds.high))
    # dc/dr, by the delta method.
    slope = 0.5 * value**3 * noise / seeds.value**2
    return Estimate(value=value, standard_error=slope * seeds.standard_error, low=low, high=high)


def _ceiling(share: float, noise: float) -> float:
    share = min(1.0, share)
    return math.sqrt(1 / (1 + (1 / share - 1) * noise)) if share > 0 else 0.0
