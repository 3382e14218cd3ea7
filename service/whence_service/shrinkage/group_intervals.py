"""The interval in which the effect of a whole group of sequences lies, around the sum of their signals.

Three things make what is lost without a group differ from the sum. Each influence is noise or, with the chance that its
signal says, an effect that may be off by its own size: chance · influence² is its expected square. A sum that is
estimated from a sample has the sample's error. And effects of first order do not add up: what is left makes up for a
part of what is removed, so that without a group that has most of what speaks for an output more is lost than the sum
(Koh et al. 2019, section 4), tens of times as much where it was measured. Such a group has no upper end. Decision 0044
has the figures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

# The quantile of a normal distribution that leaves 2.5 % on either side.
_REACH: Final = 1.959963984540054
# From this share of the positive signal on, too little is left to make up for a group.
_MOST: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class SignalSum:
    """Sums over the sequences of a group, of one query: Σ signal, Σ of the positive signals, Σ signal · influence.

    The last has the square of the unit of the others, as ``variance`` has: that of Σ signal over samples, 0 where every
    sequence was scored.
    """

    signal: float
    positive: float
    squares: float
    variance: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An interval of 95 %. ``high`` is ``None`` where the effect may be any number of times as large as the sum."""

    low: float
    high: float | None


def interval(group: SignalSum, whole: SignalSum) -> Interval:
    """Return the interval of the effect of a group; ``whole`` are the sums over all sequences."""
    reach = _REACH * math.sqrt(group.squares + group.variance)
    dominates = whole.positive > 0 and group.positive >= _MOST * whole.positive
    return Interval(low=group.signal - reach, high=None if dominates else group.signal + reach)
