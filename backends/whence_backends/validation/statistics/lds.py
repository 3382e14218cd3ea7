"""The linear datamodeling score: do sums of influences rank subsets as retraining does?

Park et al. 2023, "TRAK", §2: for each query, the rank correlation over random subsets of the training set between
``Σ score[q, z]`` over the subset and the log-likelihood of a model that was trained on it; the mean over queries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whence_backends.validation.statistics.correlation import FloatArray, is_constant, spearman, spearman_without
from whence_backends.validation.statistics.estimate import Figure, Undetermined
from whence_backends.validation.statistics.jackknife import FEWEST_RUNS, joint_estimate, too_few

# Sums that differ by less than this share of Σ |score| are equal: rounding must not rank subsets.
_TIE: Final = 1e-12


@dataclass(frozen=True, kw_only=True, eq=False)
class Lds:
    """The score of a method by query, and with each run left out, from which errors are computed.

    ``by_query`` float64 [Q'], ``left_out`` float64 [R, Q'], ``queries`` int [Q'] are of the queries whose measurement
    varies with the subset, ``constant`` is the number of others. ``silent`` is the number of queries for which the
    method predicts the same of every subset; they count as 0.
    """

    by_query: FloatArray
    left_out: FloatArray
    queries: NDArray[np.intp]
    constant: int
    silent: int

    def estimate(self, among: NDArray[np.bool_] | None = None) -> Figure:
        """Return the mean over queries, or over those of the mask ``among``, bool [Q]."""
        return _estimate(self.by_query, self.left_out, self._chosen(among))

    def minus(self, other: Lds, among: NDArray[np.bool_] | None = None) -> Figure:
        """Return this method's score less another's on the same queries and runs: a paired difference."""
        if not np.array_equal(self.queries, other.queries) or self.left_out.shape != other.left_out.shape:
            return Undetermined(reason="the two methods were not measured on the same queries and runs")
        return _estimate(self.by_query - other.by_query, self.left_out - other.left_out, self._chosen(among))

    def _chosen(self, among: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        return np.ones(len(self.queries), bool) if among is None else among[self.queries]


def linear_datamodeling_score(
    members: NDArray[np.bool_], scores: FloatArray, measured: FloatArray
) -> Lds | Undetermined:
    """Return the score of a method.

    ``members`` bool [R, N] says which sequences a run was trained on, ``scores`` float64 [Q, N] is positive where a
    sequence raises a query's log-likelihood, ``measured`` float64 [R, Q] is that log-likelihood.
    """
    runs, total = measured.shape
    if runs < FEWEST_RUNS:
        return too_few(runs, total)
    queries = np.flatnonzero(~is_constant(measured.T))
    if not len(queries):
        return Undetermined(reason=f"none of the {total} queries has a log-likelihood that varies with the subset")
    predicted = predictions(members, scores[queries])
    outcome = np.ascontiguousarray(measured.T[queries])
    return Lds(
        by_query=spearman(predicted, outcome),
        left_out=spearman_without(predicted, outcome),
        queries=queries,
        constant=total - len(queries),
        silent=int(is_constant(predicted).sum()),
    )


def predictions(members: NDArray[np.bool_], scores: FloatArray) -> FloatArray:
    """Return the sum of scores of each run's sequences. Shapes: [R, N], [Q, N] → [Q, R]."""
    sums: FloatArray = scores @ members.T.astype(np.float64)
    step = np.abs(scores).sum(axis=1, keepdims=True) * _TIE
    steps: FloatArray = np.round(np.divide(sums, step, out=np.zeros_like(sums), where=step > 0))
    rounded: FloatArray = steps * step
    return rounded


def _estimate(by_query: FloatArray, left_out: FloatArray, chosen: NDArray[np.bool_]) -> Figure:
    return joint_estimate(by_query[chosen], left_out[:, chosen])
