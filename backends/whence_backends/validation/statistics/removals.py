"""What is lost without the first hits: runs without them against runs on everything, and against random removals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from whence_backends.validation.statistics.correlation import FloatArray
from whence_backends.validation.statistics.estimate import Figure, Undetermined, around
from whence_backends.validation.statistics.jackknife import mean_estimate

# A method, and how many documents were removed.
Cell = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class RemovalEffect:
    """What the removal of a method's first ``count`` documents does to ``queries`` queries, in nats.

    ``change`` is the mean log-likelihood of a query without them, less that of the runs on everything: negative where
    they are missed. ``beyond_random`` is the same less the change without as many random documents, paired by query.
    ``lost`` is the share of the queries that lose more than without random ones.
    """

    method: str
    count: int
    queries: int
    change: Figure
    beyond_random: Figure
    lost: float | None


def removal_effects(
    full: FloatArray, removed: Mapping[Cell, Mapping[int, FloatArray]], control: str
) -> tuple[RemovalEffect, ...]:
    """Return the effect of each method and number of documents.

    ``full`` float64 [F, Q] are runs on everything. ``removed`` has, by the column of a query, its log-likelihoods in
    the runs without its hits, float64 [seeds]. ``control`` is the method of random documents.
    """
    return tuple(
        _effect(cell, full, values, removed.get((control, cell[1]), {}), is_control=cell[0] == control)
        for cell, values in removed.items()
    )


def _effect(
    cell: Cell,
    full: FloatArray,
    values: Mapping[int, FloatArray],
    control: Mapping[int, FloatArray],
    *,
    is_control: bool,
) -> RemovalEffect:
    columns = np.array(list(values), np.intp)
    means = np.array([rows.mean() for rows in values.values()])
    paired = [column for column in values if column in control]
    differences = np.array([values[column].mean() - control[column].mean() for column in paired])
    return RemovalEffect(
        method=cell[0],
        count=cell[1],
        queries=len(columns),
        change=_change(means, full[:, columns]),
        beyond_random=Undetermined(reason="it is what the others are compared with") if is_control
        else mean_estimate(differences),
        lost=None if is_control or not len(differences) else float((differences < 0).mean()),
    )  # fmt: skip


def _change(means: FloatArray, full: FloatArray) -> Figure:
    """Return the mean over queries of ``means`` [k] less the mean of the runs on everything, [F, k].

    The scatter between queries has all that is a query's own. What a run on everything gives all queries alike is not
    in it, and is added: the variance of the runs' means, less what of it is the queries' own.
    """
    runs, queries = full.shape
    if not runs:
        return Undetermined(reason="no run on everything is measured")
    estimate = mean_estimate(means - full.mean(axis=0))
    if isinstance(estimate, Undetermined) or runs < 2:
        return estimate
    of_run = full.mean(axis=1)
    rest = full - of_run[:, None] - full.mean(axis=0) + full.mean()
    own = float((rest**2).sum()) / ((runs - 1) * (queries - 1) * queries)
    shared = max(0.0, float(of_run.var(ddof=1)) - own) / runs
    return around(estimate.value, math.hypot(estimate.standard_error, math.sqrt(shared)), degrees=queries - 1)
