"""Sums of influence over groups: the index's estimates, corrected by an exact sample, with standard errors. Pure.

The index has an estimate e for every sequence; the exact influence x is known for a priority sample. The sum over a
group is estimated as b·Σe plus the sample's residuals x - b·e, each divided by its inclusion probability: a regression
estimator (Särndal, Swensson and Wretman 1992, §6), which is unbiased for any fixed b and more precise the closer b·e is
to x. Draws are nearly independent (Duffield, Lund and Thorup 2007), so variances add up over groups.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

# The weight, in sequences, of what all groups show in the variances of a group with few drawn sequences.
BORROWED: Final = 8.0


@dataclass(frozen=True, kw_only=True)
class GroupTotals:
    """The index's sums over a group: the number of sequences, Σ estimate, Σ scale, Σ scale².

    A scale is roughly the expected distance of an influence from its estimate.
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
    """The influence of a group, its standard error, and the number of its sequences that were scored."""

    name: str
    sequences: int
    influence: float
    standard_error: float
    sampled: int


@dataclass(kw_only=True)
class _Sampled:
    """The sums of the sample over a group."""

    count: int = 0  # all drawn
    uncertain: int = 0  # those drawn with a probability below 1
    influence: float = 0.0
    correction: float = 0.0
    variance: float = 0.0
    certain_scale: float = 0.0  # of those drawn with probability 1
    certain_square: float = 0.0


def estimate_groups(
    totals: Sequence[GroupTotals], whole: GroupTotals, sample: Sequence[Drawn], threshold: float | None
) -> list[GroupSum]:
    """Return the sum of each group, the most positive first, ties by name; and last that of the ``whole``.

    ``threshold`` is the smallest priority that was not drawn, ``None`` if every sequence was: sums are then exact, as
    is the sum of a group all of whose sequences were drawn. The sum of the whole is estimated like that of a group.
    """
    slope = _slope(sample, threshold)
    per_square = _residual_square(sample, slope, threshold)
    sampled, everything = {group.name: _Sampled() for group in totals}, _Sampled()
    for drawn in sample:
        for into in (everything, *(sampled[name] for name in drawn.groups)):
            _add(into, drawn, slope, threshold)
    sums = [_sum(group, sampled[group.name], slope, per_square, threshold) for group in totals]
    ordered = sorted(sums, key=lambda group: (-group.influence, group.name))
    return [*ordered, _sum(whole, everything, slope, per_square, threshold)]


def merge_totals(parts: Iterable[GroupTotals]) -> list[GroupTotals]:
    """Merge the totals of groups over shards, in the order of their names."""
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


def inclusion_probability(drawn: Drawn, threshold: float | None) -> float:
    """Return the probability with which a sequence of its scale is in the sample."""
    return 1.0 if threshold is None else min(1.0, drawn.scale * threshold)


def _slope(sample: Sequence[Drawn], threshold: float | None) -> float:
    """Return b: the regression of influences on estimates, weighted by the inverse of probability and squared scale."""
    weighted = [
        (drawn, 1 / inclusion_probability(drawn, threshold) / drawn.scale**2) for drawn in sample if drawn.scale > 0
    ]
    squares = math.fsum(weight * drawn.estimate**2 for drawn, weight in weighted)
    products = math.fsum(weight * drawn.estimate * drawn.influence for drawn, weight in weighted)
    return products / squares if squares > 0 else 1.0


def _residual_square(sample: Sequence[Drawn], slope: float, threshold: float | None) -> float:
    """Return the mean square of a residual at a scale of 1, over sequences drawn with a probability below 1."""
    squares = scales = 0.0
    for drawn in sample:
        probability = inclusion_probability(drawn, threshold)
        if probability < 1:
            squares += (drawn.influence - slope * drawn.estimate) ** 2 / probability
            scales += drawn.scale**2 / probability
    return squares / scales if scales > 0 else 0.0


def _add(into: _Sampled, drawn: Drawn, slope: float, threshold: float | None) -> None:
    probability = inclusion_probability(drawn, threshold)
    residual = drawn.influence - slope * drawn.estimate
    into.count += 1
    into.influence += drawn.influence
    into.correction += residual / probability
    if probability < 1:
        into.uncertain += 1
        into.variance += (1 - probability) * (residual / probability) ** 2
    else:
        into.certain_scale += drawn.scale
        into.certain_square += drawn.scale**2


def _sum(totals: GroupTotals, sampled: _Sampled, slope: float, per_square: float, threshold: float | None) -> GroupSum:
    if threshold is None or sampled.count == totals.sequences:
        influence, variance = sampled.influence, 0.0
    else:
        # Σ (1 - π)/π · E[residual²] over the rest, with π = scale · threshold and E[residual²] = per_square · scale².
        scale, square = totals.scale - sampled.certain_scale, totals.squared_scale - sampled.certain_square
        expected = max(0.0, per_square * (scale / threshold - square))
        influence = slope * totals.estimate + sampled.correction
        variance = (sampled.uncertain * sampled.variance + BORROWED * expected) / (sampled.uncertain + BORROWED)
    return GroupSum(
        name=totals.name,
        sequences=totals.sequences,
        influence=influence,
        standard_error=math.sqrt(variance),
        sampled=sampled.count,
    )
