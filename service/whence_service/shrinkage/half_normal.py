"""The sizes of signals: half-normal distributions on a grid of deviations, in units of the noise's scale."""

from __future__ import annotations

import math
from typing import Final

from whence_service.shrinkage.observations import HIGHEST, Observed

_ROOT_TWO: Final = math.sqrt(2.0)


def powers_to(largest: float, *, first: int) -> tuple[float, ...]:
    """Return the powers of 2 from the first to one that is as large as the largest observation."""
    last = math.ceil(math.log2(min(largest, HIGHEST)))
    return tuple(2.0**power for power in range(first, max(last, first) + 1))


def normal_probability(seen: Observed, deviation: float) -> float:
    """Return the probability of a size between two, of a normal variable of this deviation with unit noise."""
    spread = _ROOT_TWO * math.hypot(1.0, deviation)
    return math.erfc(seen.low / spread) - math.erfc(seen.high / spread)
