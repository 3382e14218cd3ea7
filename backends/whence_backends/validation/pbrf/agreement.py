"""How well approximations agree with responses: correlation over training sequences, with bootstrap intervals.

Shapes: ``Q`` queries, ``M`` points (training sequences), ``D`` draws of the bootstrap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whence_backends.validation.pbrf.responses import FloatArray, PointResponses

METHODS: Final = ("ekfac", "dot_product", "gauss_newton")
FEWEST_POINTS: Final = 3
_DRAWS: Final = 1000
_COVERED: Final = 0.95
# Takes what is promised, what the dot product promises and what was measured, [D, Q, M] each; returns [D].
_Statistic = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure and the interval that holds 95 % of its bootstrap draws."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The agreement of one approximation with the responses to pulls of one size.

    ``pearson`` is the correlation over points, the mean over queries; ``slope`` the response for each nat that the
    approximation promises, least squares through 0 over all; ``over_dot_product`` the paired difference of the
    correlation to that of the dot product. ``points`` are those that converged. Intervals are drawn over points and
    queries together.
    """

    method: str
    copies: float
    points: int
    pearson: Interval
    slope: Interval
    over_dot_product: Interval


def agreements(points: Sequence[PointResponses], seed: int = 0) -> list[Agreement]:
    """Return the agreement of every method with every size of pull, over the points that converged for both.

    A size of which fewer than three points converged has none.
    """
    results = []
    for number, response in enumerate(points[0].responses if points else ()):
        for method in METHODS:
            rows = [point for point in points if _usable(point, number, method)]
            if len(rows) >= FEWEST_POINTS:
                results.append(_agreement(rows, number, method, response.copies, seed))
    return results


def _usable(point: PointResponses, number: int, method: str) -> bool:
    return point.responses[number].per_copy is not None and getattr(point, method) is not None


def _agreement(rows: Sequence[PointResponses], number: int, method: str, copies: float, seed: int) -> Agreement:
    promised: FloatArray = np.stack([getattr(row, method) for row in rows], axis=1)
    baseline = np.stack([row.dot_product for row in rows], axis=1)
    measured = np.stack([per_copy for row in rows if (per_copy := row.responses[number].per_copy) is not None], axis=1)
    Q, M = measured.shape
    rng = np.random.default_rng(seed)
    queries, columns = rng.integers(0, Q, (_DRAWS, Q, 1)), rng.integers(0, M, (_DRAWS, 1, M))
    drawn = [values[queries, columns] for values in (promised, baseline, measured)]  # [D, Q, M]
    whole = [values[np.newaxis] for values in (promised, baseline, measured)]

    def interval(statistic: _Statistic) -> Interval:
        low, high = np.nanquantile(statistic(*drawn), [(1 - _COVERED) / 2, (1 + _COVERED) / 2])
        return Interval(value=float(statistic(*whole)[0]), low=float(low), high=float(high))

    return Agreement(
        method=method,
        copies=copies,
        points=M,
        pearson=interval(lambda p, _, m: _pearson(p, m)),
        slope=interval(lambda p, _, m: (p * m).sum(axis=(1, 2)) / (p * p).sum(axis=(1, 2))),
        over_dot_product=interval(lambda p, b, m: _pearson(p, m) - _pearson(b, m)),
    )


def _pearson(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return the mean over queries of the correlation over points, [D, Q, M] → [D]; constant rows have 0."""
    left, right = (values - values.mean(axis=2, keepdims=True) for values in (left, right))
    norms = np.sqrt((left**2).sum(axis=2) * (right**2).sum(axis=2))
    products = (left * right).sum(axis=2)
    correlations: NDArray[np.float64] = np.divide(products, norms, out=np.zeros_like(norms), where=norms > 0)
    mean: FloatArray = correlations.mean(axis=1)
    return mean
