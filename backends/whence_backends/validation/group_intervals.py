"""The intervals of sums over groups as the service makes them, for scores of all sequences. Pure."""

from __future__ import annotations

import math

import numpy as np

from whence_backends.contract import Float64Array
from whence_backends.validation.statistics.groups import Intervals
from whence_service.shrinkage.group_intervals import Interval, SignalSum, interval


def served_intervals(members: Float64Array, scores: Float64Array, errors: Float64Array) -> Intervals:
    """Return the interval of each group and query, [G, Q], where every sequence was scored.

    ``members`` float64 [G, N] is 1 for the sequences of a group; ``scores`` float64 [Q, N] are summed, ``errors``
    float64 [Q, N] is how far each may be off.
    """
    signal, positive = members @ scores.T, members @ np.maximum(scores, 0).T
    squares = members @ np.square(errors).T
    wholes = [_whole(*of_query) for of_query in zip(scores, errors, strict=True)]
    intervals = [
        [
            interval(
                SignalSum(signal=signal[group, query], positive=positive[group, query], squares=squares[group, query]),
                whole,
            )
            for query, whole in enumerate(wholes)
        ]
        for group in range(len(members))
    ]
    return Intervals(
        low=np.array([[served.low for served in row] for row in intervals]),
        high=np.array([[_upper(served) for served in row] for row in intervals]),
    )


def _whole(scores: Float64Array, errors: Float64Array) -> SignalSum:
    return SignalSum(
        signal=float(scores.sum()),
        positive=float(np.maximum(scores, 0).sum()),
        squares=float(np.square(errors).sum()),
    )


def _upper(of: Interval) -> float:
    return math.inf if of.high is None else of.high
