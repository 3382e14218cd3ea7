"""What a value says, set against those of items that are known to be clean. Pure.

The share of clean items with a value as large is a conformal p-value: of clean items, whatever their distribution, at
most a share p gets a p-value of p or less, as long as those that are known are drawn as the others are (Vovk et al.
2005; Bates et al. 2023, arXiv 2104.08279).
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

# Of a normal distribution, the point that leaves so much on each side of an interval of 95 %.
_SIDE: Final = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, kw_only=True)
class Tail:
    """How far a value lies among those of clean items: small for one that few clean items reach.

    ``p`` is the conformal p-value. ``low`` to ``high`` is an interval of 95 % for the share of all clean items that
    have a value as large: it is wide where few are known.
    """

    p: float
    low: float
    high: float


class CleanValues:
    """The values of the items that are known to be clean."""

    def __init__(self, values: Sequence[float]) -> None:
        self._values = sorted(values)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def largest(self) -> float:
        """The largest of them; infinite where there is none, so that nothing is larger."""
        return self._values[-1] if self._values else math.inf

    def tail(self, value: float, *, own: bool = False) -> Tail | None:
        """Return the tail that a value is in; ``own``: it is one of these itself, which is then left out.

        None where there is no clean item to compare it with.
        """
        clean = len(self._values) - own
        if not clean:
            return None
        reached = len(self._values) - bisect.bisect_left(self._values, value) - own
        low, high = wilson(reached, clean)
        return Tail(p=(1 + reached) / (1 + clean), low=low, high=high)


def wilson(count: int, of: int) -> tuple[float, float]:
    """Return an interval of 95 % for a share of which ``count`` of ``of`` draws are known (Wilson 1927)."""
    share, square = count / of, _SIDE**2
    centre = (share + square / (2 * of)) / (1 + square / of)
    half = _SIDE * math.sqrt(share * (1 - share) / of + square / (4 * of**2)) / (1 + square / of)
    # At the ends exact, whatever is rounded.
    return centre - half if count else 0.0, centre + half if count < of else 1.0
