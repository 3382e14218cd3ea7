"""Shares of cases that come in clusters: the hits of a query share its noise, so they are not independent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whence_backends.validation.statistics.estimate import Figure, Undetermined, wilson
from whence_backends.validation.statistics.jackknife import FEWEST_QUERIES


def share_estimate(right: NDArray[np.int_], cases: NDArray[np.int_]) -> Figure:
    """Return the share ``Σ right / Σ cases`` over queries, int [Q] each, with an interval that knows of the clusters.

    The variance is that of a ratio of sums over queries (Cochran 1977, eq. 2.39). It gives the number of independent
    cases, from the number of queries to that of all cases, with which the interval is Wilson's.
    """
    having = cases > 0
    queries, total = int(having.sum()), int(cases.sum())
    if queries < FEWEST_QUERIES:
        return Undetermined(reason=f"only {queries} of {len(cases)} queries have such cases; an interval needs 2")
    share = float(right.sum()) / total
    rest = (right - share * cases)[having]
    variance = float((rest**2).sum()) * queries / (queries - 1) / total**2
    independent = share * (1 - share) / variance if variance > 0 else 0.0
    return wilson(share, float(np.clip(independent, queries, total)))
