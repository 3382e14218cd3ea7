"""Shrinkage where not all influences are known: of each sign only the large ones, and a sample that has the scale.

The influences of a sign that are larger than a size are known, or what weight of them there is. Of the others it is
known how many there are. They are taken to be noise: of a full scan's influences, too, most are, and those that are not
told from it. The tails are then those under which as many influences are as large as are known to be. They depend on
the scale, which a small sample has with an error of ten or twenty percent: where it is too large, tails seem to be too
light, and noise is taken for signal. So sizes are measured in a smaller unit, the lower quartile of what the scale may
be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from whence_service.shrinkage.bins import lower_edge
from whence_service.shrinkage.distribution import Distribution
from whence_service.shrinkage.noise import noise_scale
from whence_service.shrinkage.observations import SMALLEST, Observed, edge_above, observe, steps_to
from whence_service.shrinkage.shrinkage import Shrinkage, shrink
from whence_service.shrinkage.sureness import fit_sureness
from whence_service.shrinkage.tails import Tails, most_likely_tails

# The standard error of a scale from n influences, as a share of it, is this by √n; and the lower quartile of a normal
# distribution is so many standard errors below its middle.
_ERROR: Final = 1.17
_QUARTILE: Final = 0.6745


@dataclass(frozen=True, kw_only=True)
class LargeInfluences:
    """The influences of a sign that are at least ``least`` in size, each with the number that it stands for.

    Smaller ones in the ``distribution`` are left out, since others of their size are missing.
    """

    least: float
    distribution: Distribution


@dataclass(frozen=True, kw_only=True)
class SampledInfluences:
    """The influences of a query that are ``known``, each once, ``sampled`` of them for the noise alone.

    ``weighted`` has the weight of all that were searched, and tells the scale as well as ``worth`` influences drawn
    from them would. ``large`` are the large positive and negative ones; ``None`` where the known influences are taken
    as they are.
    """

    known: Distribution
    weighted: Distribution
    worth: float
    large: tuple[LargeInfluences, LargeInfluences] | None
    sampled: int

    def shrink(self) -> Shrinkage | None:
        """Return the shrinkage that they call for; ``None`` where they are too few to tell."""
        if self.large is None:
            shrinkage, scale = shrink(self.known), noise_scale(self.weighted)
            return shrinkage if shrinkage is None or scale is None else replace(shrinkage, scale=scale)
        return shrink_partly(self.weighted, *self.large, worth=self.worth)


@dataclass(frozen=True, kw_only=True)
class _Side:
    """Influences of one sign in units of the noise: those ``known``, and the weight of those ``below`` a size."""

    known: Sequence[Observed]
    below: float
    weight: float

    def log_likelihood(self, tails: Tails) -> float:
        others = self.weight * math.log(tails.below(self.below)) if self.weight else 0.0
        return tails.log_likelihood(self.known) + others

    def observed(self, tails: Tails) -> list[Observed]:
        """Return all influences, those that are not known as the noise that they are taken to be."""
        steps = steps_to(self.below)
        probabilities = [tails.probability(step) for step in steps]
        share = self.weight / math.fsum(probabilities)
        noise = (
            replace(step, weight=share * probability) for step, probability in zip(steps, probabilities, strict=True)
        )
        return [*noise, *self.known]


def shrink_partly(
    sample: Distribution, positive: LargeInfluences, negative: LargeInfluences, *, worth: float
) -> Shrinkage | None:
    """Return the shrinkage that a query's influences call for; ``None`` where they are too few to tell.

    ``sample`` has the weight of all influences, as well as ``worth`` influences drawn from all would. Half of the noise
    is of each sign.
    """
    scale = noise_scale(sample)
    if scale is None:
        return None
    unit = scale * max(0.5, 1 - _QUARTILE * _ERROR / math.sqrt(worth))
    of_a_sign = math.fsum(sample.magnitudes().values()) / 2
    sides = [_side(large, of_a_sign, unit) for large in (positive, negative)]
    tails = max((most_likely_tails(side.log_likelihood) for side in sides), key=lambda tails: tails.freedom)
    return Shrinkage(
        scale=scale,
        unit=unit,
        tails=tails,
        positive=fit_sureness(sides[0].observed(tails), tails),
        negative=fit_sureness(sides[1].observed(tails), tails),
    )


def _side(large: LargeInfluences, weight: float, unit: float) -> _Side:
    least = edge_above(max(large.least, SMALLEST * unit))
    magnitudes = {
        number: known for number, known in large.distribution.magnitudes().items() if lower_edge(number) >= least
    }
    return _Side(
        known=observe(magnitudes, unit)[1:],
        below=least / unit,
        weight=max(0.0, weight - math.fsum(magnitudes.values())),
    )
