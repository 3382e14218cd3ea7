"""Observations as the fits see them: influences in units of the noise, by size, the negligible ones together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from whence_service.shrinkage.bins import bin_of, lower_edge

# The largest size that is told from larger ones.
HIGHEST: Final = 2.0**20
# Observations below are as good as 0.
SMALLEST: Final = 0.125
# So many bins are taken together: fits are as good, and faster.
_TOGETHER: Final = 4
# The ratio of the ends of an interval in which densities are smooth.
_STEP: Final = 2**0.25


@dataclass(frozen=True, kw_only=True)
class Observed:
    """The weight of observations of a size from ``low`` to ``high``."""

    low: float
    high: float
    weight: float


def observe(magnitudes: Mapping[int, float], scale: float) -> list[Observed]:
    """Return observations in units of the scale, in ascending order, of their weights by bin of magnitude."""
    coarse: dict[int, float] = {}
    for number, weight in magnitudes.items():
        coarse[number // _TOGETHER] = coarse.get(number // _TOGETHER, 0) + weight
    negligible, others = 0.0, []
    for number, weight in coarse.items():
        low, high = (lower_edge(end * _TOGETHER) / scale for end in (number, number + 1))
        if high <= SMALLEST:
            negligible += weight
        elif low < HIGHEST:
            others.append(Observed(low=low, high=min(high, 2 * HIGHEST), weight=weight))
        else:
            others.append(Observed(low=HIGHEST, high=2 * HIGHEST, weight=weight))
    return [Observed(low=0.0, high=SMALLEST, weight=negligible), *others]


def edge_above(size: float) -> float:
    """Return the smallest size, from a given one that is not negative, at which :func:`observe` starts a bin."""
    together = -(-bin_of(size) // _TOGETHER) * _TOGETHER
    edge = lower_edge(together)
    return edge if edge >= size else lower_edge(together + _TOGETHER)


def steps_to(size: float) -> list[Observed]:
    """Return intervals from 0 to a size, in units of the scale, four for each doubling; they have no weight."""
    edges, edge = [0.0], SMALLEST
    while edge < size:
        edges.append(edge)
        edge *= _STEP
    return [Observed(low=low, high=high, weight=0.0) for low, high in pairwise((*edges, size))]
