"""Self-influence held against memorisation: does it find the sequences that a model knows from having seen them?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whence_backends.validation.statistics.correlation import FloatArray, is_constant, pearson, spearman
from whence_backends.validation.statistics.estimate import CONFIDENCE, Estimate, Figure, Undetermined

_FEWEST: Final = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class Memorisation:
    """Self-influence against the in-out effect of sequences on themselves (Feldman and Zhang 2020).

    ``measured`` and ``predicted`` float64 [N'] are of the ``sequences``, int [N'], that some runs hold and others lack.
    ``overlap`` is the share of the ``top`` by self-influence that are among as many most memorised.
    """

    sequences: NDArray[np.intp]
    predicted: FloatArray
    measured: FloatArray
    spearman: Figure
    pearson: Figure
    top: int
    overlap: float
    overlap_by_chance: float


def memorisation(
    members: NDArray[np.bool_], measured: FloatArray, self_influence: FloatArray, *, top: int = 20
) -> Memorisation | Undetermined:
    """Return both, compared. Shapes: ``members`` bool [R, N], ``measured`` float64 [R, N], ``self_influence`` [N].

    ``measured`` has each run's log-likelihoods of the training sequences, whether it was trained on them or not.
    """
    inside = members.sum(axis=0)
    sequences = np.flatnonzero((inside > 1) & (inside < len(members) - 1))
    if len(sequences) < max(_FEWEST, top):
        return Undetermined(
            reason=f"{len(sequences)} sequences are in two runs or more and absent from two; "
            f"a comparison needs {max(_FEWEST, top)}"
        )
    of_members, of_measured = members[:, sequences], measured[:, sequences]
    mean_inside = (of_measured * of_members).sum(axis=0) / inside[sequences]
    mean_outside = (of_measured * ~of_members).sum(axis=0) / (len(members) - inside[sequences])
    effect, predicted = mean_inside - mean_outside, self_influence[sequences]
    best = set(np.argsort(-predicted, kind="stable")[:top]) & set(np.argsort(-effect, kind="stable")[:top])
    return Memorisation(
        sequences=sequences,
        predicted=predicted,
        measured=effect,
        spearman=_correlation(predicted, effect, ranked=True),
        pearson=_correlation(predicted, effect, ranked=False),
        top=top,
        overlap=len(best) / top,
        overlap_by_chance=top / len(sequences),
    )


def _correlation(left: FloatArray, right: FloatArray, *, ranked: bool) -> Figure:
    """Return a correlation with its interval by Fisher's z (of ranks: with the variance of Bonett and Wright 2000)."""
    if is_constant(left[None])[0] or is_constant(right[None])[0]:
        return Undetermined(reason="all sequences have the same value, so nothing correlates with it")
    value = float((spearman if ranked else pearson)(left[None], right[None])[0])
    error = math.sqrt((1 + (value**2 / 2 if ranked else 0)) / (len(left) - 3))
    reach = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) * error
    middle = math.atanh(max(-1 + 1e-12, min(1 - 1e-12, value)))
    return Estimate(
        value=value,
        standard_error=(1 - value**2) * error,
        low=math.tanh(middle - reach),
        high=math.tanh(middle + reach),
    )
