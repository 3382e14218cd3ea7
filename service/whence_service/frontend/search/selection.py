"""Which sequences the candidates of an index are: from which size of influence on they are most there are. Pure.

A sequence is a candidate if its estimate is above the cut. The estimate of an influence x is about b·x, with an error
that is known and a spread in proportion to x (:mod:`whence_service.frontend.search.recall`, where both are fitted).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from whence_service.frontend.search.candidates import Candidate
from whence_service.frontend.search.recall import Pair, fit_estimates

# Influences count as known from the size on whose expected estimate is so many deviations above the cut: 69 % of the
# sequences with them are candidates, and more of those with larger ones.
_ABOVE: Final = 0.5
_FEWEST: Final = 3
_ROOT_TWO: Final = math.sqrt(2.0)


@dataclass(frozen=True, kw_only=True)
class Estimates:
    """How a query's estimates depend on its influences: ``share`` is b, ``spread`` that of an influence of 1."""

    share: float
    spread: float


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What selected the candidates of a sign at ``positions``: estimates of at least ``cut`` in size.

    ``error`` is the standard deviation of an estimate, but for its spread.
    """

    estimates: Estimates
    error: float
    cut: float
    positions: tuple[int, ...]

    def chance(self, size: float) -> float:
        """Return the probability that a sequence with an influence of a size is a candidate."""
        deviation = math.hypot(self.error, self.estimates.spread * size)
        return math.erfc((self.cut - self.estimates.share * size) / deviation / _ROOT_TWO) / 2

    def least(self) -> float | None:
        """Return the size from which influences count as known; ``None`` where estimates say too little for any."""
        share, spread = self.estimates.share, self.estimates.spread
        square = share**2 - (_ABOVE * spread) ** 2
        if share <= 0 or square <= 0:
            return None
        # The larger root of share · x - cut = _ABOVE · hypot(error, spread · x).
        root = _ABOVE * math.sqrt(self.error**2 * square + (spread * self.cut) ** 2)
        return max(0.0, (share * self.cut + root) / square)


def estimates_of(ranking: Sequence[Candidate], exact: Mapping[int, float], sign: int) -> Estimates | None:
    """Return the estimates of scored candidates by their influences; ``None`` where these are too few."""
    cut, above = _above_cut(ranking, exact, sign)
    if len(above) < _FEWEST:
        return None
    pairs = [
        Pair(estimate=sign * candidate.estimate, error=candidate.error, influence=sign * exact[candidate.position])
        for candidate in above
    ]
    share, spread = fit_estimates(pairs, cut)
    return Estimates(share=share, spread=spread)


def selection_of(
    ranking: Sequence[Candidate], exact: Mapping[int, float], estimates: Estimates, sign: int
) -> Selection | None:
    """Return the selection of the scored candidates of a sign; ``None`` where there are none with an estimate."""
    cut, above = _above_cut(ranking, exact, sign)
    if not above:
        return None
    errors = sorted(candidate.error for candidate in above)
    positions = tuple(candidate.position for candidate in above)
    return Selection(estimates=estimates, error=errors[len(errors) // 2], cut=cut, positions=positions)


def _above_cut(ranking: Sequence[Candidate], exact: Mapping[int, float], sign: int) -> tuple[float, list[Candidate]]:
    """Return the cut, and the scored candidates whose estimates are above it.

    The cut is the size of the best estimate that was not scored or, if all were, of the last one. What a first round
    taught may have made the estimates of its candidates smaller: they are no longer above the cut.
    """
    estimated = [candidate for candidate in ranking if candidate.error > 0]
    unscored = [sign * candidate.estimate for candidate in estimated if candidate.position not in exact]
    cut = max(unscored, default=sign * estimated[-1].estimate if estimated else 0.0)
    scored = (candidate for candidate in estimated if candidate.position in exact)
    return cut, [candidate for candidate in scored if sign * candidate.estimate >= cut]
