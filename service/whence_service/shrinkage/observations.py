"""Observations as the fits see them: influences in units of the noise, by size, the negligible ones together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from whence_service.shrinkage.bins import lower_edge

# The largest size that is told from larger ones.
HIGHEST: Final = 2.0**20
# Observations below are as good as 0.
SMALLEST: Final = 0.125
# So many bins are taken together: fits are as good, and faster.
_TOGETHER: Final = 4


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
