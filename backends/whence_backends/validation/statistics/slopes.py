"""The size of influences: the slope of what retraining measures on what a method predicts."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whence_backends.validation.statistics.correlation import FloatArray, is_constant
from whence_backends.validation.statistics.estimate import CONFIDENCE, Estimate, Figure, Undetermined
from whence_backends.validation.statistics.lds import predictions

# Fewer queries have no order statistics whose interval is of 95 %.
_FEWEST: Final = 6


def median_slope(members: NDArray[np.bool_], scores: FloatArray, measured: FloatArray) -> Figure:
    """Return the median over queries of the slope, over runs, of measured on predicted. 1 is what "nats" promises.

    Shapes: [R, N], [Q, N], [R, Q]. Queries for which the method predicts the same of every run have no slope.
    Noise of the prediction makes the slope smaller than the effect of what is truly predicted.
    """
    predicted = predictions(members, scores)
    having = ~is_constant(predicted)
    x, y = (rows - rows.mean(axis=1, keepdims=True) for rows in (predicted[having], measured.T[having]))
    return median_estimate((x * y).sum(axis=1) / (x * x).sum(axis=1))


def median_estimate(values: FloatArray) -> Figure:
    """Return the median with the interval between two order statistics that holds it whatever the distribution.

    The standard error is the interval's half width over that of a normal's. Shape: [Q].
    """
    count = len(values)
    if count < _FEWEST:
        return Undetermined(reason=f"{count} queries have a slope; the median's interval needs {_FEWEST}")
    ordered = np.sort(values)
    outside, cut = 0.0, 0
    while outside + math.comb(count, cut) / 2**count <= (1 - CONFIDENCE) / 2:
        outside += math.comb(count, cut) / 2**count
        cut += 1
    low, high = float(ordered[cut - 1]), float(ordered[count - cut])
    return Estimate(value=float(np.median(values)), standard_error=(high - low) / 3.92, low=low, high=high)
