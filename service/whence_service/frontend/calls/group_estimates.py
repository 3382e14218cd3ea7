"""Sums of influence over groups: what the index says, corrected by a sample, and how far off that may be. Pure.

For every sequence the index has an estimate e; of a sample drawn by priority sampling the exact influence x is known.
The sum over a group is taken as b·Σe plus the sample's residuals x - b·e, each over its probability of having been
drawn: a regression estimator (Särndal, Swensson and Wretman 1992, §6), unbiased for any fixed b and the better the
closer b·e comes to x. Draws are all but independent (Duffield, Lund and Thorup 2007): variances add up over groups.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

# A group of few drawn sequences takes its variance from all groups as if so many of its own had shown that.
_BORROWED: Final = 8.0


@dataclass(frozen=True, kw_only=True)
class GroupTotals:
    """What the index says of a group: how many sequences, Σ estimate, Σ scale, Σ scale².

    A scale is about how far an influence may be from what its estimate says.
    """

    name: str
    sequences: int
    estimate: float
    scale: float
    squared_scale: float


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A sequence of the sample, with its exact influence."""

    groups: tuple[str, ...]
    estimate: float
    scale: float
    influence: float


@dataclass(frozen=True, kw_only=True)
class GroupSum:
    """The influence of a group, its standard error, and how many of its sequences were scored."""

    name: str
    sequences: int
    influence: float
    standard_error: float
    sampled: int


@dataclass(kw_only=True)
class _Sampled:
    """What the sample says of a group, summed up."""

    count: int = 0  # all drawn
    uncertain: int = 0  # those that might not have been drawn
    influence: float = 0.0
    correction: float = 0.0
    variance: float = 0.0
    certain_scale: float = 0.0  # of those that were drawn for certain
    certain_square: float = 0.0


def estimate_groups(
    totals: Sequence[GroupTotals], whole: GroupTotals, sample: Sequence[Drawn], threshold: float | None
) -> list[GroupSum]:
    """Return the sum of each group, the most positive first, ties by name; and last that of the ``whole``.

    ``threshold`` is the smallest priority that was not drawn, ``None`` where every sequence was: then sums are exact.
    So is that of a group all of whose sequences were drawn. The sum of all is estimated by itself, as the groups' are.
    """
    slope = _slope(sample, threshold)
    per_square = _residual_square(sample, slope, threshold)
    sampled, everything = {each.name: _Sampled() for each in totals}, _Sampled()
    for one in sample:
        for into in (everything, *(sampled[group] for group in one.groups)):
            _add(into, one, slope, threshold)
    sums = [_sum(each, sampled[each.name], slope, per_square, threshold) for each in totals]
    ordered = sorted(sums, key=lambda each: (-each.influence, each.name))
    return [*ordered, _sum(whole, everything, slope, per_square, threshold)]


def merge_totals(parts: Iterable[GroupTotals]) -> list[GroupTotals]:
    """Return the totals of groups that several shards have a part of, in the order of their names."""
    merged: dict[str, GroupTotals] = {}
    for part in parts:
        known = merged.get(part.name)
        merged[part.name] = (
            part
            if known is None
            else replace(
                known,
                sequences=known.sequences + part.sequences,
                estimate=known.estimate + part.estimate,
                scale=known.scale + part.scale,
                squared_scale=known.squared_scale + part.squared_scale,
            )
        )
    return [merged[name] for name in sorted(merged)]


def _probability(one: Drawn, threshold: float | None) -> float:
    return 1.0 if threshold is None else min(1.0, one.scale * threshold)


def _slope(sample: Sequence[Drawn], threshold: float | None) -> float:
    """Return b: the regression of influences on estimates, each weighted by what it stands for and how exact it is."""
    weighted = [(one, 1 / _probability(one, threshold) / one.scale**2) for one in sample if one.scale > 0]
    squares = math.fsum(weight * one.estimate**2 for one, weight in weighted)
    products = math.fsum(weight * one.estimate * one.influence for one, weight in weighted)
    return products / squares if squares > 0 else 1.0


def _residual_square(sample: Sequence[Drawn], slope: float, threshold: float | None) -> float:
    """Return how large the square of a residual is for a scale of 1, over all that might not have been drawn."""
    squares = scales = 0.0
    for one in sample:
        probability = _probability(one, threshold)
        if probability < 1:
            squares += (one.influence - slope * one.estimate) ** 2 / probability
            scales += one.scale**2 / probability
    return squares / scales if scales > 0 else 0.0


def _add(into: _Sampled, one: Drawn, slope: float, threshold: float | None) -> None:
    probability = _probability(one, threshold)
    residual = one.influence - slope * one.estimate
    into.count += 1
    into.influence += one.influence
    into.correction += residual / probability
    if probability < 1:
        into.uncertain += 1
        into.variance += (1 - probability) * (residual / probability) ** 2
    else:
        into.certain_scale += one.scale
        into.certain_square += one.scale**2


def _sum(totals: GroupTotals, sampled: _Sampled, slope: float, per_square: float, threshold: float | None) -> GroupSum:
    if threshold is None or sampled.count == totals.sequences:
        influence, variance = sampled.influence, 0.0
    else:
        # Σ (1 - π)/π · E[residual²] over the rest, with π = scale · threshold and E[residual²] = per_square · scale².
        scale, square = totals.scale - sampled.certain_scale, totals.squared_scale - sampled.certain_square
        expected = max(0.0, per_square * (scale / threshold - square))
        influence = slope * totals.estimate + sampled.correction
        variance = (sampled.uncertain * sampled.variance + _BORROWED * expected) / (sampled.uncertain + _BORROWED)
    return GroupSum(
        name=totals.name,
        sequences=totals.sequences,
        influence=influence,
        standard_error=math.sqrt(variance),
        sampled=sampled.count,
    )
