"""Sums over groups held against retraining without a group: correlation, size, and whether intervals hold the truth."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from whence_backends.validation.statistics.correlation import FloatArray, is_constant, pearson, spearman
from whence_backends.validation.statistics.estimate import CONFIDENCE, Figure, Undetermined, student_quantile
from whence_backends.validation.statistics.jackknife import joint_estimate, leave_one_out
from whence_backends.validation.statistics.shares import share_estimate
from whence_backends.validation.statistics.slopes import median_estimate

# Fewer groups have no correlation that is worth a figure.
_FEWEST: Final = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Losses:
    """What is lost without each of ``G`` groups, in nats: mean of the full models less mean of those without it.

    ``values`` and ``standard_errors`` float64 [G, Q]. The error is that of the seeds, pooled over all models of a
    query, with ``degrees`` of freedom. As the full models are the same for all groups, a query's errors go together.
    """

    values: FloatArray
    standard_errors: FloatArray
    degrees: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Intervals:
    """The intervals of 95 % that a method claims for its sums, float64 [G, Q]; ``high`` is infinite where open."""

    low: FloatArray
    high: FloatArray

    @classmethod
    def symmetric(cls, predicted: FloatArray, errors: FloatArray) -> Self:
        """Return intervals of 1.96 standard errors on either side, both float64 [G, Q]."""
        reach = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) * errors
        return cls(low=predicted - reach, high=predicted + reach)


@dataclass(frozen=True, kw_only=True)
class GroupAgreement:
    """Predicted sums held against what is lost without a group.

    ``spearman`` and ``pearson`` are correlations over groups, means over queries; ``slope`` is the median over queries
    of measured on predicted, through 0; ``coverage`` is the share of the method's intervals of 95 % that hold the
    measured loss, where the noise of the seeds is counted in, and ``without_noise`` where it is not. ``below`` and
    ``above`` are the shares of losses that lie beyond the lower and the upper ends, with the noise counted in.
    """

    groups: int
    spearman: Figure
    pearson: Figure
    slope: Figure
    coverage: Figure
    without_noise: Figure
    below: Figure
    above: Figure


def losses_without(full: FloatArray, without: FloatArray, groups: NDArray[np.intp]) -> Losses | Undetermined:
    """Return the losses without each group.

    ``full`` float64 [F, Q] are runs on everything, ``without`` float64 [W, Q] runs that each lack the group of the same
    place of ``groups``, int [W], 0 to G − 1.
    """
    if not len(full) or not len(without):
        return Undetermined(
            reason=f"{len(full)} runs on everything and {len(without)} without a group; both are needed"
        )
    total = int(groups.max()) + 1
    assert set(groups.tolist()) == set(range(total)), "groups without runs"
    runs = np.bincount(groups, minlength=total)
    sets = [full, *(without[groups == group] for group in range(total))]
    degrees = sum(len(rows) - 1 for rows in sets if len(rows))
    if degrees < 1:
        return Undetermined(
            reason="no set of documents was trained on with two seeds, so the noise of seeds is not known"
        )
    squares = np.sum([((rows - rows.mean(axis=0)) ** 2).sum(axis=0) for rows in sets if len(rows)], axis=0)
    return Losses(
        values=np.stack([full.mean(axis=0) - rows.mean(axis=0) for rows in sets[1:]]),
        degrees=degrees,
        standard_errors=np.sqrt(squares / degrees * (1 / len(full) + 1 / runs)[:, None]),
    )


def group_agreement(
    predicted: FloatArray, intervals: Intervals | None, measured: Losses
) -> GroupAgreement | Undetermined:
    """Return the agreement of a method's sums, float64 [G, Q], in nats, with the intervals that it claims, if any."""
    groups = len(predicted)
    if groups < _FEWEST:
        return Undetermined(reason=f"{groups} groups were left out; a correlation over them needs {_FEWEST}")
    claims = ~is_constant(predicted.T)
    x, y = predicted.T[claims], measured.values.T[claims]
    noise = student_quantile(measured.degrees) * measured.standard_errors
    below, above = _missed(predicted, intervals, measured.values, noise)
    exactly_below, exactly_above = _missed(predicted, intervals, measured.values, np.zeros_like(noise))
    return GroupAgreement(
        groups=groups,
        spearman=_correlation(predicted.T, measured.values.T, ranked=True),
        pearson=_correlation(predicted.T, measured.values.T, ranked=False),
        slope=median_estimate((x * y).sum(axis=1) / (x * x).sum(axis=1)),
        coverage=_share(~(below | above), intervals),
        without_noise=_share(~(exactly_below | exactly_above), intervals),
        below=_share(below, intervals),
        above=_share(above, intervals),
    )


def _correlation(left: FloatArray, right: FloatArray, *, ranked: bool) -> Figure:
    correlate = spearman if ranked else pearson
    return joint_estimate(
        correlate(left, right),
        leave_one_out(lambda groups: correlate(left[:, groups], right[:, groups]), left.shape[1]),
    )


def _missed(
    predicted: FloatArray, intervals: Intervals | None, losses: FloatArray, noise: FloatArray
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the losses below and those above the intervals, with the noise counted in, as masks."""
    if intervals is None:
        return np.zeros(losses.shape, bool), np.zeros(losses.shape, bool)
    off = losses - predicted
    return off < -np.hypot(predicted - intervals.low, noise), off > np.hypot(intervals.high - predicted, noise)


def _share(hits: NDArray[np.bool_], intervals: Intervals | None) -> Figure:
    if intervals is None:
        return Undetermined(reason="the method claims no error")
    return share_estimate(hits.sum(axis=0), np.full(hits.shape[1], len(hits)))
