"""Adaptive shrinkage: what of an influence is signal, and how sure its sign is (Stephens 2017).

An observed influence is a true one plus normal noise. The true ones follow a mixture of normal distributions about
zero, fitted to all influences of the query. The *signal* is the mean of the true influence given the observed one, and
the *significance* the probability that the true one has the sign that is observed: one minus the local false sign rate.

For noise of one scale both rise with the size of the influence, whatever the mixture: the likelihood ratio is monotone
(Karlin and Rubin 1956), so a ranking by signal is the ranking by influence, and what is told from noise is its
beginning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from whence.significance import SIGNIFICANT
from whence_service.shrinkage.distribution import Distribution
from whence_service.shrinkage.mixture import Mixture, fit_mixture
from whence_service.shrinkage.noise import noise_scale

# Beyond so many standard deviations of the noise nothing changes.
_FAR: Final = 1e9
_BISECTIONS: Final = 60


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """The mean of the true influence as a share of the observed one, and the probability of the observed sign."""

    share: float
    significance: float


@dataclass(frozen=True)
class Shrinkage:
    """The shrinkage of a query's influences. ``scale`` is the standard deviation of their noise."""

    scale: float
    mixture: Mixture

    def signal(self, influence: float) -> float:
        """Return the mean of the true influence."""
        return influence * self._posterior(abs(influence)).share

    def significance(self, influence: float) -> float:
        """Return the probability, from 0 to 1, that the true influence has the sign of the observed one."""
        return self._posterior(abs(influence)).significance if influence else 0.0

    @cached_property
    def threshold(self) -> float | None:
        """The smallest size of an influence that is told from noise; ``None`` where no influence would be."""
        low, high = 0.0, _FAR
        if self._at(high).significance < SIGNIFICANT:
            return None
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            low, high = (low, middle) if self._at(middle).significance >= SIGNIFICANT else (middle, high)
        return high * self.scale

    def _posterior(self, size: float) -> Posterior:
        return self._at(min(size / self.scale, _FAR))

    def _at(self, size: float) -> Posterior:
        """Return the posterior of an influence of ``size`` standard deviations of the noise."""
        square = size * size / 2
        parts = [
            (math.log(weight) - square / (1 + deviation**2) - math.log1p(deviation**2) / 2, deviation)
            for deviation, weight in zip(self.mixture.deviations, self.mixture.weights, strict=True)
            if weight > 0
        ]
        most = max(log for log, _ in parts)
        odds = [(math.exp(log - most), deviation) for log, deviation in parts]
        total = sum(odd for odd, _ in odds)
        share = sum(odd * _share(deviation) for odd, deviation in odds) / total
        return Posterior(
            share=share, significance=sum(odd * _sureness(size, deviation) for odd, deviation in odds) / total
        )


def shrink(distribution: Distribution) -> Shrinkage | None:
    """Return the shrinkage that a query's influences call for; ``None`` where they are too few to tell."""
    scale = noise_scale(distribution)
    if scale is None:
        return None
    return Shrinkage(scale=scale, mixture=fit_mixture(distribution.magnitudes(), scale))


def _share(deviation: float) -> float:
    """Return the mean of a normal variable of this standard deviation, as a share of its value with unit noise."""
    return deviation**2 / (1 + deviation**2)


def _sureness(size: float, deviation: float) -> float:
    """Return the probability that a normal variable has the sign of its value with unit noise, of this size."""
    if not deviation:
        return 0.0
    return math.erfc(-size * deviation / math.hypot(1.0, deviation) / math.sqrt(2.0)) / 2
