"""The scale of a query's noise: the standard deviation of the influence of a sequence that has none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from whence_service.shrinkage.bins import lower_edge
from whence_service.shrinkage.distribution import Distribution

# The standard deviation of a normal distribution with a median magnitude of 1.
_NORMAL: Final = 1.4826022185056018
# With fewer influences the scale is off by more than a fifth (it is by 1.17 / √n).
FEWEST: Final = 20


def noise_scale(distribution: Distribution) -> float | None:
    """Return the standard deviation of the noise, from the median magnitude of all influences about zero.

    The median is that of the noise as long as few sequences have an influence of their own; where many have, the scale
    is too large, and fewer are told from noise than could be. Influences of exactly 0 are those of sequences without a
    gradient, and say nothing. ``None`` where fewer than ``FEWEST`` others are known.
    """
    magnitudes = distribution.magnitudes()
    if distribution.known < FEWEST or sum(magnitudes.values()) < FEWEST:
        return None
    return _NORMAL * _median(magnitudes)


def _median(magnitudes: Mapping[int, float]) -> float:
    """Return the median of values that are spread evenly over each bin."""
    half, below = sum(magnitudes.values()) / 2, 0.0
    for number, weight in magnitudes.items():
        low, high = lower_edge(number), lower_edge(number + 1)
        if below + weight >= half:
            break
        below += weight
    return low + (high - low) * ((half - below) / weight)
