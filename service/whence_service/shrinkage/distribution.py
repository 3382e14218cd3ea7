"""The distribution of a query's influences over all sequences: how many, or what weight of them, are in each bin."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce

from whence_service.shrinkage.bins import bin_of, is_negative, lower_edge, magnitude


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """The weight of the influences in each bin of :mod:`whence_service.shrinkage.bins`.

    A weight is a number of sequences or, in a sample, the number of sequences that those drawn stand for. Whole numbers
    add up exactly, whatever the order. ``known`` is the number of influences behind the weights.
    """

    weights: Mapping[int, float] = field(default_factory=dict)
    known: int = 0

    @classmethod
    def of(cls, influences: Iterable[float], weight: float = 1) -> Distribution:
        """Return the distribution of finite influences, each of the same ``weight``."""
        counts = Counter(map(bin_of, influences))
        return cls(weights={number: weight * counts[number] for number in sorted(counts)}, known=counts.total())

    @classmethod
    def weighted(cls, influences: Iterable[tuple[float, float]]) -> Distribution:
        """Return the distribution of pairs of a finite influence and its weight, whatever their order."""
        bins: dict[int, list[float]] = {}
        for influence, weight in influences:
            bins.setdefault(bin_of(influence), []).append(weight)
        return cls(
            weights={number: math.fsum(bins[number]) for number in sorted(bins)}, known=sum(map(len, bins.values()))
        )

    def __add__(self, other: Distribution) -> Distribution:
        both = {*self.weights, *other.weights}
        return Distribution(
            weights={number: self.weights.get(number, 0) + other.weights.get(number, 0) for number in sorted(both)},
            known=self.known + other.known,
        )

    def magnitudes(self, sign: int = 0) -> dict[int, float]:
        """Return the weight of each bin of absolute values, the smallest first, without those of zero.

        Of the influences of a sign, 1 or -1, alone if one is given.
        """
        folded: dict[int, float] = {}
        for number, weight in self.weights.items():
            if sign and is_negative(number) != (sign < 0):
                continue
            folded[magnitude(number)] = folded.get(magnitude(number), 0) + weight
        folded.pop(0, None)
        return dict(sorted(folded.items()))

    def beyond(self, threshold: float, *, sign: int) -> float:
        """Return the weight of the influences of a sign that are at least ``threshold`` (positive) in size.

        The influences of the bin that the threshold is in are taken to be spread evenly over it.
        """
        return sum(
            weight * _share_above(magnitude(number), threshold)
            for number, weight in self.weights.items()
            if magnitude(number) and is_negative(number) == (sign < 0)
        )


def merge(parts: Iterable[Distribution]) -> Distribution:
    """Return the distribution of the influences of all parts."""
    return reduce(Distribution.__add__, parts, Distribution())


def _share_above(number: int, threshold: float) -> float:
    low, high = lower_edge(number), lower_edge(number + 1)
    if threshold <= low:
        return 1.0
    return max(0.0, (high - threshold) / (high - low))
