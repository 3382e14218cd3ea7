"""The normal distribution, of arrays."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from whence_backends.validation.statistics.correlation import FloatArray


def normal_cdf(values: FloatArray) -> FloatArray:
    """Return the probability that a standard normal variable is below each value."""
    flat = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in values.reshape(-1).tolist()], np.float64)
    return flat.reshape(values.shape)


def normal_quantile(shares: FloatArray) -> FloatArray:
    """Return the values below which a standard normal variable is with these probabilities, each between 0 and 1."""
    normal = NormalDist()
    flat = np.array([normal.inv_cdf(share) for share in shares.reshape(-1).tolist()], np.float64)
    return flat.reshape(shares.shape)
