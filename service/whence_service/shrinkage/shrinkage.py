"""Adaptive shrinkage: what of an influence is signal, and how sure its sign is (Stephens 2017).

An observed influence is noise, or a true influence plus noise. The tails of the noise are heavier than normal, and how
sure it is that an influence is not all noise is estimated by :mod:`whence_service.shrinkage.sureness`. The
*significance* is the probability that the true influence has the sign of the observed one, one minus the local false
sign rate. The *signal* is the mean of the true influence given the observed one: that of an influence which is not all
noise, times the chance that it is none. For that mean the noise is normal, and the true influences follow a mixture of
normal distributions about zero; it rises with the influence whatever the mixture, since the likelihood ratio of normal
noise is monotone (Karlin and Rubin 1956). Signal and significance follow the order of the influences, so what is told
from noise is the beginning of a ranking.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from whence_service.shrinkage.distribution import Distribution
from whence_service.shrinkage.mixture import Mixture, fit_mixture
from whence_service.shrinkage.noise import noise_scale
from whence_service.shrinkage.observations import observe
from whence_service.shrinkage.sureness import Sureness, fit_sureness
from whence_service.shrinkage.tails import Tails, fit_tails

# Beyond so many standard deviations of the noise nothing changes.
_FAR: Final = 1e9
# Of an influence of noise alone every other has the sign of the true one, however small that is.
_NO_SIGN: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class Shrinkage:
    """The shrinkage of a query's influences. ``scale`` is the standard deviation of normal noise of its median size."""

    scale: float
    mixture: Mixture
    tails: Tails
    positive: Sureness
    negative: Sureness

    def signal(self, influence: float) -> float:
        """Return the mean of the true influence."""
        if not influence:
            return 0.0
        size = self._size(influence)
        return influence * self._sureness(influence).chance(size) * self._share(size)

    def significance(self, influence: float) -> float:
        """Return the probability, from 0.5 to 1, that the true influence has the sign of the observed one."""
        if not influence:
            return _NO_SIGN
        return self._sureness(influence).significance(self._size(influence))

    def threshold(self, sign: int) -> float | None:
        """Return the smallest size of an influence of a sign that is told from noise, ``None`` where none is."""
        threshold = self._sureness(sign).threshold()
        return None if threshold is None else threshold * self.scale

    def _size(self, influence: float) -> float:
        return min(abs(influence) / self.scale, _FAR)

    def _sureness(self, sign: float) -> Sureness:
        return self.positive if sign > 0 else self.negative

    def _share(self, size: float) -> float:
        """Return the mean of the true influence as a share of an observed one of ``size`` units of the noise."""
        square = size * size / 2
        logs = {
            deviation: math.log(weight) - square / (1 + deviation**2) - math.log1p(deviation**2) / 2
            for deviation, weight in zip(self.mixture.deviations, self.mixture.weights, strict=True)
            if weight > 0
        }
        most = max(logs.values())
        odds = {deviation: math.exp(log - most) for deviation, log in logs.items()}
        kept = sum(odd * deviation**2 / (1 + deviation**2) for deviation, odd in odds.items())
        return kept / sum(odds.values())


def shrink(distribution: Distribution) -> Shrinkage | None:
    """Return the shrinkage that a query's influences call for; ``None`` where they are too few to tell."""
    scale = noise_scale(distribution)
    if scale is None:
        return None
    positive, negative = (observe(distribution.magnitudes(sign), scale) for sign in (1, -1))
    tails = fit_tails(positive, negative)
    return Shrinkage(
        scale=scale,
        mixture=fit_mixture(observe(distribution.magnitudes(), scale)),
        tails=tails,
        positive=fit_sureness(positive, tails),
        negative=fit_sureness(negative, tails),
    )
