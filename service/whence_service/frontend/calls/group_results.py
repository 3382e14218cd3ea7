"""The sums over each group, of influences and of signals with their intervals, in the order of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from whence_service.frontend.calls.group_estimates import Drawn, GroupSum, GroupTotals, estimate_groups
from whence_service.frontend.calls.group_signals import sample_distribution, sum_signals
from whence_service.shrinkage.group_intervals import Interval, SignalSum, interval
from whence_service.shrinkage.shrinkage import shrink


@dataclass(frozen=True, kw_only=True)
class GroupResult:
    """The sums over a group. Without ``signal`` and ``interval`` where the noise is unknown."""

    estimate: GroupSum
    signal: SignalSum | None = None
    interval: Interval | None = None

    @property
    def effect(self) -> float:
        """The sum that counts: of signals, where they are known."""
        return self.estimate.influence if self.signal is None else self.signal.signal


async def group_results(
    totals: Sequence[GroupTotals], whole: GroupTotals, sample: Sequence[Drawn], threshold: float | None
) -> list[GroupResult]:
    """Return the sums over each group, the most positive first, ties by name; and last those over the whole."""
    *estimates, total = estimate_groups(totals, whole, sample, threshold)
    # Some twenty milliseconds of plain Python, beside the event loop.
    shrinkage = await asyncio.to_thread(shrink, sample_distribution(sample, threshold))
    if shrinkage is None:
        return [GroupResult(estimate=estimate) for estimate in (*estimates, total)]
    signals, of_all = sum_signals(totals, whole, sample, threshold, shrinkage)
    groups = [
        GroupResult(estimate=estimate, signal=signals[estimate.name], interval=interval(signals[estimate.name], of_all))
        for estimate in estimates
    ]
    ordered = sorted(groups, key=lambda group: (-group.effect, group.estimate.name))
    return [*ordered, GroupResult(estimate=total, signal=of_all, interval=interval(of_all, of_all))]
