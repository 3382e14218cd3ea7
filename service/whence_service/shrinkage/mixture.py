"""The distribution of what influences would be without noise: a mixture of normal ones about zero.

All in units of the noise's standard deviation. Stephens, "False discovery rates: a new deal", Biostatistics 18(2),
2017: the standard deviations are a fixed grid, and the weights maximize the likelihood of what was observed, with a
penalty that prefers a point mass at zero where the data do not tell (his §3.1 and λ₀ = 10). The penalty counts as nine
more observations of nothing but noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import mul
from typing import Final

from whence_service.shrinkage.bins import lower_edge

# Standard deviations are 0 and the powers of 2 from this one to the largest observation.
_FIRST_POWER: Final = -1
_HIGHEST: Final = 2.0**20
# λ₀ - 1
_NULL_BIAS: Final = 9.0
# Observations below are as good as 0.
_SMALLEST: Final = 0.125
# So many bins are taken together: the fit is as good, and faster.
_TOGETHER: Final = 2
# The fit ends where three steps gain less log-likelihood than this, far less than matters, or after so many threes.
_GAIN: Final = 1e-3
_MOST: Final = 100
_ROOT_TWO: Final = math.sqrt(2.0)


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """The standard deviation and the weight of each part; the first part is a point mass at zero."""

    deviations: tuple[float, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class _Observed:
    """Observations of a size from ``low`` to ``high``."""

    low: float
    high: float
    weight: float


def fit_mixture(magnitudes: Mapping[int, float], scale: float) -> Mixture:
    """Return the mixture that fits the magnitudes of noisy observations, by bin. ``scale`` is the noise's."""
    observed = _observed(magnitudes, scale)
    deviations = _grid(observed[-1].high)
    columns = [[_probability(seen, deviation) for seen in observed] for deviation in deviations]
    weights = _Fit(columns, [seen.weight for seen in observed]).weights()
    return Mixture(deviations=deviations, weights=tuple(weights))


def _observed(magnitudes: Mapping[int, float], scale: float) -> list[_Observed]:
    """Return the observations in units of the scale, in ascending order, with the negligible ones in one bin."""
    coarse: dict[int, float] = {}
    for number, weight in magnitudes.items():
        coarse[number // _TOGETHER] = coarse.get(number // _TOGETHER, 0) + weight
    negligible, others = 0.0, []
    for number, weight in coarse.items():
        low, high = (lower_edge(end * _TOGETHER) / scale for end in (number, number + 1))
        if high <= _SMALLEST:
            negligible += weight
        elif low < _HIGHEST:
            others.append(_Observed(low=low, high=high, weight=weight))
        else:
            others.append(_Observed(low=_HIGHEST, high=2 * _HIGHEST, weight=weight))
    return [_Observed(low=0.0, high=_SMALLEST, weight=negligible), *others]


def _grid(largest: float) -> tuple[float, ...]:
    """Return 0 and the standard deviations from the smallest to one as large as the largest observation."""
    last = math.ceil(math.log2(min(largest, _HIGHEST)))
    return (0.0, *(2.0**power for power in range(_FIRST_POWER, max(last, _FIRST_POWER) + 1)))


def _probability(seen: _Observed, deviation: float) -> float:
    """Return the probability of an observation in a bin, where what is observed has this standard deviation."""
    spread = _ROOT_TWO * math.hypot(1.0, deviation)
    return math.erfc(seen.low / spread) - math.erfc(seen.high / spread)


class _Fit:
    """The maximization, by EM with extrapolation (SQUAREM, Varadhan and Roland 2008, scheme S3)."""

    def __init__(self, columns: Sequence[Sequence[float]], counts: Sequence[float]) -> None:
        self._columns = columns  # [parts][bins]: the probability of each bin in each part
        self._rows = list(zip(*columns, strict=True))
        self._counts = counts

    def weights(self) -> list[float]:
        parts = len(self._columns)
        weights, before = [1.0 / parts] * parts, -math.inf
        for _ in range(_MOST):
            first, value = self._step(weights)
            if value - before < _GAIN:
                break
            before = value
            second, value = self._step(first)
            third, further = self._step(_extrapolate(weights, first, second))
            weights = third if further > value else second
        return first

    def _step(self, weights: Sequence[float]) -> tuple[list[float], float]:
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
