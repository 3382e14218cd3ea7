"""The weights of the parts of a mixture that make observations most likely."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul
from typing import Final

# λ₀ - 1 of Stephens 2017 (§3.1, "null-biased"): so many more observations of the first part than were made.
_NULL_BIAS: Final = 9.0
# The fit ends where three steps gain less log-likelihood than this, far less than matters, or after so many threes.
_GAIN: Final = 1e-2
_MOST: Final = 100


def most_likely_weights(columns: Sequence[Sequence[float]], counts: Sequence[float]) -> list[float]:
    """Return the weight of each part, in sum 1, from the probability of each observation in it, [parts][observations].

    ``counts`` are the weights of the observations. The first part, that of noise, is preferred where the observations
    do not tell. By EM with extrapolation (SQUAREM, Varadhan and Roland 2008, scheme S3).
    """
    fit = _Fit(columns, counts)
    weights, before = [1.0 / len(columns)] * len(columns), -math.inf
    for _ in range(_MOST):
        first, value = fit.step(weights)
        if value - before < _GAIN:
            break
        before = value
        second, value = fit.step(first)
        third, further = fit.step(_extrapolate(weights, first, second))
        weights = third if further > value else second
    return first


class _Fit:
    def __init__(self, columns: Sequence[Sequence[float]], counts: Sequence[float]) -> None:
        self._columns = columns
        self._rows = list(zip(*columns, strict=True))
        self._counts = counts

    def step(self, weights: Sequence[float]) -> tuple[list[float], float]:
        """Return better weights, and the penalized log-likelihood of the given ones."""
        likelihoods = [sum(map(mul, row, weights)) for row in self._rows]
        shares = [count / likelihood for count, likelihood in zip(self._counts, likelihoods, strict=True)]
        of_parts = [
            weight * sum(map(mul, shares, column)) for weight, column in zip(weights, self._columns, strict=True)
        ]
        of_parts[0] += _NULL_BIAS
        total = sum(of_parts)
        value = sum(map(mul, self._counts, map(math.log, likelihoods))) + _NULL_BIAS * math.log(weights[0])
        return [part / total for part in of_parts], value


def _extrapolate(start: Sequence[float], first: Sequence[float], second: Sequence[float]) -> list[float]:
    steps = [b - a for a, b in zip(start, first, strict=True)]
    bends = [c - b - step for b, c, step in zip(first, second, steps, strict=True)]
    bend = math.hypot(*bends)
    length = max(1.0, math.hypot(*steps) / bend) if bend else 1.0
    far = [
        max(1e-15, a + 2 * length * step + length * length * bend)
        for a, step, bend in zip(start, steps, bends, strict=True)
    ]
    total = sum(far)
    return [weight / total for weight in far]
