"""The agreement of two rankings of the same sequences, query by query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whence_backends.contract import Float64Array
from whence_backends.validation.statistics.correlation import spearman

TOP: Final = 10


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The distribution of a figure over queries, of which more is better."""

    median: float
    mean: float
    worst: float


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The agreement of two scores of the same ``sequences``.

    ``overlap`` is the share of the ``top_k`` first sequences that both have there, ``spearman`` the correlation of
    ranks over all sequences; ``overlaps`` and ``spearmans`` have them by query. ``first_changed`` counts the queries
    whose first sequence is another.
    """

    sequences: int
    top_k: int
    overlap: Spread
    spearman: Spread
    first_changed: int
    overlaps: tuple[float, ...]
    spearmans: tuple[float, ...]


def agreement(first: Float64Array, second: Float64Array) -> Agreement:
    """Return the agreement of two scores [Q, n]. Ties go to the lower position, as in a served ranking.

    ``top_k`` is 10, or half of fewer than 20 sequences: of all of them any two rankings have the same.
    """
    sequences = first.shape[1]
    top_k = max(1, min(TOP, sequences // 2))
    tops = [(best(a, top_k), best(b, top_k)) for a, b in zip(first, second, strict=True)]
    overlaps = tuple(len(np.intersect1d(a, b)) / top_k for a, b in tops)
    spearmans = tuple(spearman(first, second).tolist())
    return Agreement(
        sequences=sequences,
        top_k=top_k,
        overlap=_spread(overlaps),
        spearman=_spread(spearmans),
        first_changed=sum(int(a[0] != b[0]) for a, b in tops),
        overlaps=overlaps,
        spearmans=spearmans,
    )


def no_worse(judged: Agreement, yardstick: Agreement) -> bool:
    """Return whether an agreement is as good as another of the same queries, as far as can be told.

    It is not if overlap or Spearman is lower on average, by more than two standard errors of the paired differences.
    """
    pairs = ((judged.overlaps, yardstick.overlaps), (judged.spearmans, yardstick.spearmans))
    return all(_no_lower(np.array(a) - np.array(b)) for a, b in pairs)


def best(scores: Float64Array, k: int) -> NDArray[np.intp]:
    """Return the columns of the ``k`` largest of the scores [n], largest first, ties to the lower column."""
    return np.argsort(-scores, kind="stable")[:k]


def rank_of(scores: Float64Array, column: int) -> int:
    """Return the rank of a column among the scores [n], from 1; ties to the lower column."""
    larger, equal = scores > scores[column], scores[:column] == scores[column]
    return 1 + int(larger.sum()) + int(equal.sum())


def _spread(values: Sequence[float]) -> Spread:
    return Spread(median=float(np.median(values)), mean=float(np.mean(values)), worst=float(np.min(values)))


def _no_lower(differences: Float64Array) -> bool:
    error = float(differences.std(ddof=1)) / len(differences) ** 0.5 if len(differences) > 1 else 0.0
    return float(differences.mean()) >= -2 * error
