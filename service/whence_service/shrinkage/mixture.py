"""The distribution of what influences would be without noise: a mixture of normal ones about zero.

All in units of the noise's standard deviation. Stephens, "False discovery rates: a new deal", Biostatistics 18(2),
2017: the standard deviations are a fixed grid, and the weights maximize the likelihood of what was observed, with a
penalty that prefers a point mass at zero where the data do not tell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from whence_service.shrinkage.likelihood import most_likely_weights
from whence_service.shrinkage.observations import HIGHEST, Observed

# Standard deviations are 0 and the powers of 2 from this one to the largest observation.
_FIRST_POWER: Final = -1
_ROOT_TWO: Final = math.sqrt(2.0)


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """The standard deviation and the weight of each part; the first part is a point mass at zero."""

    deviations: tuple[float, ...]
    weights: tuple[float, ...]


def fit_mixture(observed: Sequence[Observed]) -> Mixture:
    """Return the mixture that fits observations of both signs with normal noise."""
    deviations = (0.0, *powers_to(observed[-1].high, first=_FIRST_POWER))
    columns = [[normal_probability(seen, deviation) for seen in observed] for deviation in deviations]
    weights = most_likely_weights(columns, [seen.weight for seen in observed])
    return Mixture(deviations=deviations, weights=tuple(weights))


def powers_to(largest: float, *, first: int) -> tuple[float, ...]:
    """Return the powers of 2 from the first to one that is as large as the largest observation."""
    last = math.ceil(math.log2(min(largest, HIGHEST)))
    return tuple(2.0**power for power in range(first, max(last, first) + 1))


def normal_probability(seen: Observed, deviation: float) -> float:
    """Return the probability of a size between two, of a normal variable of this deviation with unit noise."""
    spread = _ROOT_TWO * math.hypot(1.0, deviation)
    return math.erfc(seen.low / spread) - math.erfc(seen.high / spread)
