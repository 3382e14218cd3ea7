"""The noise of a query's influences: that of its answer or, without one, an estimate by the same rule.

Noise is a Student t distribution with the influences' median size. Its degrees of freedom are those of the sign that
has the lighter tails, with a prior density of ν⁻² (decision 0037): true influences are mostly of one sign, noise is of
both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

from whence.analysis.influences import Float64Array, Sign
from whence.results import Noise

_NORMAL_MEDIAN: Final = 0.6744897501960817
_FREEDOMS: Final = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0, 20.0, 50.0)
# With fewer influences of a sign the other sign's tails are taken.
_FEWEST: Final = 10


@dataclass(frozen=True, kw_only=True)
class NoiseFloor:
    """The noise of a query, in the unit of its influences.

    ``scale`` is the standard deviation of normal noise of the same median size. ``threshold`` is the smallest size of
    the sign studied that is told from noise, by the rule of answers: ``None`` where none is or, if not ``given``, where
    the noise was estimated from the influences, which says nothing of single ones.
    """

    scale: float
    degrees_of_freedom: float
    threshold: float | None
    given: bool

    @property
    def unit(self) -> float:
        """The size of the noise where a standard t variable has 1."""
        return float(self.scale * _NORMAL_MEDIAN / stats.t.ppf(0.75, self.degrees_of_freedom))

    def beyond(self, size: float) -> float:
        """Return the probability that noise is larger than a size, of either sign."""
        return float(2 * stats.t.sf(size / self.unit, self.degrees_of_freedom))

    def sizes(self, probabilities: Float64Array) -> Float64Array:
        """Return the sizes that noise is beyond with these probabilities, of the same shape."""
        sizes: Float64Array = self.unit * stats.t.isf(probabilities / 2, self.degrees_of_freedom)
        return sizes

    def draw(self, rng: np.random.Generator, count: int) -> Float64Array:
        """Return so many influences that are noise, of both signs."""
        drawn: Float64Array = self.unit * rng.standard_t(self.degrees_of_freedom, count)
        return drawn


def noise_floor(values: Float64Array, sign: Sign, noise: Noise | None) -> NoiseFloor:
    """Return the noise that an answer has stated or, without one, that of the influences, [N], themselves."""
    if noise is None:
        return _estimated(values[values != 0])
    return NoiseFloor(
        scale=noise.scale,
        degrees_of_freedom=noise.degrees_of_freedom,
        threshold=noise.positive_threshold if sign > 0 else noise.negative_threshold,
        given=True,
    )


def _estimated(values: Float64Array) -> NoiseFloor:
    scale = float(np.median(np.abs(values))) / _NORMAL_MEDIAN
    sizes = [size for size in (values[values > 0], -values[values < 0]) if size.size >= _FEWEST]
    freedom = max(_most_likely(size / scale) for size in sizes)
    return NoiseFloor(scale=scale, degrees_of_freedom=freedom, threshold=None, given=False)


def _most_likely(sizes: Float64Array) -> float:
    """Return the degrees of freedom of the largest posterior density, of sizes in units of the scale."""

    def posterior(freedom: float) -> float:
        unit = _NORMAL_MEDIAN / stats.t.ppf(0.75, freedom)
        return float(stats.t.logpdf(sizes / unit, freedom).sum() - sizes.size * np.log(unit) - 2 * np.log(freedom))

    return max(_FREEDOMS, key=posterior)
