"""The methods that are held against retraining, each a score of every training sequence for every query. Pure.

Scores are positive where a method says that a sequence raises a query's log-likelihood. Shapes: ``Q`` queries, ``N``
training sequences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from whence_backends.contract import Float64Array
from whence_service.shrinkage.distribution import Distribution
from whence_service.shrinkage.shrinkage import shrink

EKFAC: Final = "EK-FAC"
SIGNAL: Final = "EK-FAC, signal"
POSITIVE: Final = "EK-FAC, positive"
NEGATIVE: Final = "EK-FAC, negative"
INDEX: Final = "index only"
DOT: Final = "dot product"
COSINE: Final = "cosine"
BM25: Final = "BM25"
WITH_BM25: Final = "EK-FAC + BM25"
RANDOM: Final = "random"


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """What is computed of a model and its corpus, from which the methods are made.

    ``influence`` float64 [Q, N] is that of EK-FAC in nats, as it is served; ``dampings`` has it for other damping
    factors, ``all_linear`` through all linear layers, ``index`` as the gradient index estimates it. ``dot`` float64
    [Q, N] are products of gradients, ``norms`` [N] the norms of training gradients, ``bm25`` [Q, N] lexical scores and
    ``self_influence`` [N] in nats. ``log_likelihoods`` [Q] are those of the queries, in nats.
    """

    influence: Float64Array
    dot: Float64Array
    norms: Float64Array
    bm25: Float64Array
    self_influence: Float64Array
    log_likelihoods: Float64Array
    dampings: Mapping[float, Float64Array] = field(default_factory=dict)
    all_linear: Float64Array | None = None
    index: Float64Array | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Denoised:
    """The signal of each influence, and its significance, both [Q, N]: see :mod:`whence_service.shrinkage`."""

    signal: Float64Array
    significance: Float64Array


def methods(scores: Scores, denoised: Denoised, *, seed: int = 0) -> dict[str, Float64Array]:
    """Return the scores of each method by its name, EK-FAC as it is served first."""
    influence = scores.influence
    table = {
        EKFAC: influence,
        SIGNAL: denoised.signal,
        POSITIVE: np.maximum(influence, 0),
        NEGATIVE: np.minimum(influence, 0),
        WITH_BM25: standardized(influence) + standardized(scores.bm25),
        BM25: scores.bm25,
        DOT: scores.dot,
        COSINE: scores.dot / np.maximum(scores.norms, np.finfo(float).tiny),
        RANDOM: np.random.default_rng(seed).normal(size=influence.shape),
    }
    table |= {f"{EKFAC}, damping {factor:g}": other for factor, other in scores.dampings.items()}
    if scores.all_linear is not None:
        table[f"{EKFAC}, all linear layers"] = scores.all_linear
    if scores.index is not None:
        table[INDEX] = scores.index
    return table


def denoise(influence: Float64Array) -> Denoised:
    """Return the signal and the significance of influences, as a full scan serves them.

    Where the sequences are too few to know the noise, the signal is the influence, and the significance NaN.
    """
    signal, significance = np.array(influence), np.full(influence.shape, np.nan)
    for query, row in enumerate(influence):
        shrinkage = shrink(Distribution.of(row.tolist()))
        if shrinkage is not None:
            signal[query] = [shrinkage.signal(value) for value in row.tolist()]
            significance[query] = [shrinkage.significance(value) for value in row.tolist()]
    return Denoised(signal=signal, significance=significance)


def standardized(scores: Float64Array) -> Float64Array:
    """Return each query's scores less their mean, in standard deviations; 0 where they are all equal."""
    deviation = scores.std(axis=1, keepdims=True)
    centred = scores - scores.mean(axis=1, keepdims=True)
    standard: Float64Array = np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0)
    return standard
