"""How sure it is that an influence of a given size is not noise.

Influences of one sign are noise, with the tails of :mod:`whence_service.shrinkage.tails`, or signals, whose sizes are a
mixture of half-normal distributions. Their shares maximize the likelihood of what was observed. This is the local false
discovery rate of Efron (2008, "Microarrays, empirical Bayes and the two-groups model"), with a null distribution that
is estimated from the influences of the other sign too; a larger influence is never less sure.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from whence.significance import SIGNIFICANT
from whence_service.shrinkage.half_normal import normal_probability, powers_to
from whence_service.shrinkage.likelihood import most_likely_weights
from whence_service.shrinkage.observations import SMALLEST, Observed
from whence_service.shrinkage.tails import Tails

# Sizes at which the chance is computed, for each doubling.
_STEPS: Final = 8


@dataclass(frozen=True, kw_only=True)
class Sureness:
    """The chance that an influence of a size is not noise, at ascending ``sizes`` in units of the noise."""

    sizes: tuple[float, ...]
    chances: tuple[float, ...]

    def significance(self, size: float) -> float:
        """Return the probability that the true influence has the sign of the observed one: half of noise has."""
        return (1 + self.chance(size)) / 2

    def chance(self, size: float) -> float:
        """Return the chance that an influence of a size, in units of the noise, is more than noise."""
        after = bisect_right(self.sizes, size)
        if after == 0 or after == len(self.sizes):
            return self.chances[max(0, after - 1)]
        low, high = self.sizes[after - 1 : after + 1]
        first, last = self.chances[after - 1 : after + 1]
        return first + (last - first) * (size - low) / (high - low)

    def threshold(self) -> float | None:
        """Return the smallest size that is told from noise, ``None`` where none of those observed is."""
        sure = 2 * SIGNIFICANT - 1
        above = next((number for number, chance in enumerate(self.chances) if chance >= sure), None)
        if not above:
            return None if above is None else self.sizes[0]
        low, high = self.sizes[above - 1 : above + 1]
        first, last = self.chances[above - 1 : above + 1]
        return low + (high - low) * (sure - first) / (last - first)


def fit_sureness(observed: Sequence[Observed], tails: Tails) -> Sureness:
    """Return the sureness of influences of one sign. Those larger than all observed are as sure as the largest."""
    deviations = powers_to(observed[-1].high, first=0)
    noise = [tails.probability(seen) for seen in observed]
    signals = [[normal_probability(seen, deviation) for seen in observed] for deviation in deviations]
    weights = most_likely_weights([noise, *signals], [seen.weight for seen in observed])
    sizes = tuple(_sizes(observed[-1].high))
    chances = accumulate((_chance(size, weights, deviations, tails) for size in sizes), max)
    return Sureness(sizes=sizes, chances=tuple(chances))


def _sizes(largest: float) -> Iterator[float]:
    size = SMALLEST
    while size <= largest:
        yield size
        size *= 2 ** (1 / _STEPS)


def _chance(size: float, weights: Sequence[float], deviations: Sequence[float], tails: Tails) -> float:
    noise = weights[0] * tails.density(size)
    signal = sum(
        weight * _half_normal(size, 1 + deviation**2) for weight, deviation in zip(weights[1:], deviations, strict=True)
    )
    return signal / (signal + noise)


def _half_normal(size: float, variance: float) -> float:
    return 2 * math.exp(-size * size / variance / 2) / math.sqrt(2 * math.pi * variance)
