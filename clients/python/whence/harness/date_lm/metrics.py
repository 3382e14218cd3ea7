"""Recall@50, MRR and AUPRC as DATE-LM defines them, with equal scores counted against the method.

DATE-LM leaves the order of equal scores to ``numpy.argsort``. Here a relevant row comes after the irrelevant rows of
its score, so that a constant score finds nothing. Without equal scores both agree.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import fmean
from typing import Final

RECALL_DEPTH: Final = 50


@dataclass(frozen=True, kw_only=True)
class FactMetrics:
    """Means over the reference rows that have a relevant training row; ``unmatched`` have none and are left out.

    DATE-LM divides by zero for an unmatched row.
    """

    recall: float
    mrr: float
    matched: int
    unmatched: int


@dataclass(frozen=True, kw_only=True)
class FilteringMetrics:
    """How well the unsafe rows come first.

    ``auprc`` is DATE-LM's: the trapezoids under the curve of precision over recall, which begins at a precision of 1.
    A constant score has (1 + share of unsafe rows) / 2 there. ``average_precision`` sums steps: a constant score has
    the share of unsafe rows.
    """

    auprc: float
    average_precision: float


def fact_metrics(
    scores: Sequence[Sequence[float]], relevant: Sequence[Collection[int]], *, depth: int = RECALL_DEPTH
) -> FactMetrics:
    """Return Recall@``depth`` and MRR of ``scores[reference row][training row]``; higher is more relevant.

    Scores are finite. ``relevant`` has the numbers of each reference row's relevant training rows.
    """
    ranks = [ranked(row, rows) for row, rows in zip(scores, relevant, strict=True) if rows]
    return FactMetrics(
        recall=fmean(sum(rank <= depth for rank in row) / len(row) for row in ranks) if ranks else 0.0,
        mrr=fmean(1 / row[0] for row in ranks) if ranks else 0.0,
        matched=len(ranks),
        unmatched=len(relevant) - len(ranks),
    )


def ranked(scores: Sequence[float], relevant: Collection[int]) -> list[int]:
    """Return the ranks of the relevant rows, from 1, the best first."""
    chosen = set(relevant)
    others = sorted(-score for row, score in enumerate(scores) if row not in chosen)
    best_first = sorted((scores[row] for row in chosen), reverse=True)
    # The irrelevant rows of a score that is as high or higher come before.
    return [place + bisect_right(others, -score) for place, score in enumerate(best_first, 1)]


def filtering_metrics(scores: Sequence[Sequence[float]], unsafe: Collection[int]) -> FilteringMetrics:
    """Return AUPRC of the mean over the reference rows of ``scores[reference row][training row]``, as in DATE-LM.

    At least one row is unsafe. Scores are finite.
    """
    means = [fmean(column) for column in zip(*scores, strict=True)]
    curve = _curve(means, set(unsafe))
    steps = [(recall - last, precision, before) for (last, before), (recall, precision) in pairwise(curve)]
    return FilteringMetrics(
        auprc=sum(width * (precision + before) / 2 for width, precision, before in steps),
        average_precision=sum(width * precision for width, precision, _ in steps),
    )


def _curve(scores: Sequence[float], positive: set[int]) -> list[tuple[float, float]]:
    """Return (recall, precision) at each distinct score, the highest first, after (0, 1)."""
    order = sorted(range(len(scores)), key=lambda row: -scores[row])
    points, seen, hits = [(0.0, 1.0)], 0, 0
    for _, rows in groupby(order, key=lambda row: scores[row]):
        equal = list(rows)
        seen += len(equal)
        hits += sum(row in positive for row in equal)
        points.append((hits / len(positive), hits / seen))
    return points
