"""Sums of signal over groups, from the exact sample alone. Pure.

The signal of a sequence needs its exact influence, and the noise of the query. Both come from the sample: each sequence
in it stands for the inverse of its inclusion probability (Horvitz and Thompson 1952). The index's estimates decide who
is drawn and do not enter the sums. What is signal is large and therefore drawn, mostly with certainty, so that these
sums are known better than those of influences, to which all sequences contribute.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from whence_service.frontend.calls.group_estimates import BORROWED, Drawn, GroupTotals, inclusion_probability
from whence_service.shrinkage.distribution import Distribution
from whence_service.shrinkage.group_intervals import SignalSum
from whence_service.shrinkage.shrinkage import Shrinkage


@dataclass(frozen=True, kw_only=True)
class _Scored:
    influence: float
    signal: float
    probability: float
    scale: float


def sample_distribution(sample: Sequence[Drawn], threshold: float | None) -> Distribution:
    """Return the distribution of all influences, as the sample shows it.

    Its weights sum to the number of sequences that a sample with equal weights would need to say as much (Kish 1965,
    "Survey Sampling", section 11.7): so much and no more is known of the noise. That of all sequences is theirs.
    """
    weights = [1 / inclusion_probability(drawn, threshold) for drawn in sample]
    worth = math.fsum(weights) / math.fsum(weight**2 for weight in weights)
    return Distribution.weighted(
        (drawn.influence, worth * weight) for drawn, weight in zip(sample, weights, strict=True)
    )


def sum_signals(
    totals: Sequence[GroupTotals],
    whole: GroupTotals,
    sample: Sequence[Drawn],
    threshold: float | None,
    shrinkage: Shrinkage,
) -> tuple[dict[str, SignalSum], SignalSum]:
    """Return the sums over each group, by its name, and over all sequences, in the unit of the influences.

    Exact for groups all of whose sequences were drawn, otherwise unbiased for the given shrinkage. ``threshold`` as for
    :func:`~whence_service.frontend.calls.group_estimates.estimate_groups`.
    """
    everything: list[_Scored] = []
    of_group: dict[str, list[_Scored]] = {group.name: [] for group in totals}
    for drawn in sample:
        scored = _Scored(
            influence=drawn.influence,
            signal=shrinkage.signal(drawn.influence),
            probability=inclusion_probability(drawn, threshold),
            scale=drawn.scale,
        )
        for members in (everything, *(of_group[name] for name in drawn.groups)):
            members.append(scored)
    per_square = _square_per_scale(everything)
    sums = {group.name: _sum(group, of_group[group.name], per_square) for group in totals}
    return sums, _sum(whole, everything, per_square)


def _sum(totals: GroupTotals, scored: Sequence[_Scored], per_square: float) -> SignalSum:
    if len(scored) == totals.sequences:
        return SignalSum(
            signal=math.fsum(member.signal for member in scored),
            positive=math.fsum(max(0.0, member.signal) for member in scored),
            squares=math.fsum(member.influence * member.signal for member in scored),
        )
    return SignalSum(
        signal=math.fsum(member.signal / member.probability for member in scored),
        positive=math.fsum(max(0.0, member.signal) / member.probability for member in scored),
        squares=_squares(totals, scored, per_square),
        variance=math.fsum((1 - member.probability) * (member.signal / member.probability) ** 2 for member in scored),
    )


def _squares(totals: GroupTotals, scored: Sequence[_Scored], per_square: float) -> float:
    """Return Σ signal · influence. A group of which few were drawn borrows from what the others show of its scales."""
    certain = [member for member in scored if member.probability == 1]
    others = [member for member in scored if member.probability < 1]
    seen = math.fsum(member.influence * member.signal / member.probability for member in others)
    rest = totals.squared_scale - math.fsum(member.scale**2 for member in certain)
    expected = max(0.0, per_square * rest)
    of_others = (len(others) * seen + BORROWED * expected) / (len(others) + BORROWED)
    return math.fsum(member.influence * member.signal for member in certain) + of_others


def _square_per_scale(scored: Sequence[_Scored]) -> float:
    """Return the mean of signal · influence at a scale of 1, over sequences drawn with a probability below 1."""
    others = [member for member in scored if member.probability < 1]
    scales = math.fsum(member.scale**2 / member.probability for member in others)
    return (
        math.fsum(member.influence * member.signal / member.probability for member in others) / scales
        if scales > 0
        else 0.0
    )
