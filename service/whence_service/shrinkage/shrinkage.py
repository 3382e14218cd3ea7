"""Shrinkage: what of an influence is signal, and how sure its sign is.

A query's influences are noise, with tails that are estimated (:mod:`whence_service.shrinkage.tails`), or more than
noise; the chance of the latter rises with the size (:mod:`whence_service.shrinkage.sureness`). The *signal* is the
influence times this chance: an influence that is more than noise is taken as it is. The *significance* is the
probability that the influence has the right sign: that of noise has it every other time. Both follow the order of the
influences, so what is told from noise is the beginning of a ranking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from whence_service.shrinkage.distribution import Distribution
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
    """The shrinkage of a query's influences. ``scale`` is the standard deviation of normal noise of its median size.

    Sizes are measured in the ``unit``: the scale or, where that is uncertain, a smaller one.
    """

    scale: float
    unit: float
    tails: Tails
    positive: Sureness
    negative: Sureness

    def signal(self, influence: float) -> float:
        """Return the influence times the chance that it is more than noise."""
        return influence * self._sureness(influence).chance(self._size(influence))

    def significance(self, influence: float) -> float:
        """Return the probability, from 0.5 to 1, that the true influence has the sign of the observed one."""
        if not influence:
            return _NO_SIGN
        return self._sureness(influence).significance(self._size(influence))

    def threshold(self, sign: int) -> float | None:
        """Return the smallest size of an influence of a sign that is told from noise, ``None`` where none is."""
        threshold = self._sureness(sign).threshold()
        return None if threshold is None else threshold * self.unit

    def _size(self, influence: float) -> float:
        return min(abs(influence) / self.unit, _FAR)

    def _sureness(self, sign: float) -> Sureness:
        return self.positive if sign > 0 else self.negative


def shrink(distribution: Distribution) -> Shrinkage | None:
    """Return the shrinkage that a query's influences call for; ``None`` where they are too few to tell."""
    scale = noise_scale(distribution)
    if scale is None:
        return None
    positive, negative = (observe(distribution.magnitudes(sign), scale) for sign in (1, -1))
    tails = fit_tails(positive, negative)
    return Shrinkage(
        scale=scale,
        unit=scale,
        tails=tails,
        positive=fit_sureness(positive, tails),
        negative=fit_sureness(negative, tails),
    )
