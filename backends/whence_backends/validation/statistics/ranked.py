"""The effect of sequences by their rank: predicted beside measured, best first, and the share of right signs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whence_backends.validation.statistics.correlation import FloatArray
from whence_backends.validation.statistics.effects import Effects
from whence_backends.validation.statistics.estimate import Figure, Undetermined
from whence_backends.validation.statistics.jackknife import joint_estimate, mean_estimate
from whence_backends.validation.statistics.shares import share_estimate

# First and last rank of each bucket; negative ranks count from the end, −1 being the most negative.
BUCKETS: Final = ((1, 1), (2, 3), (4, 10), (11, 30), (31, 100), (-100, -31), (-30, -11), (-10, -2), (-1, -1))
# So many hits at either end have their signs counted.
COUNTS: Final = (1, 3, 10)


@dataclass(frozen=True, kw_only=True)
class RankEffect:
    """Predicted and measured effect, in nats, of the hits of these ranks: means over queries of means over hits.

    ``right_signs`` is the share of them whose measured effect has the sign of their score, where that is not 0.
    """

    first: int
    last: int
    predicted: Figure
    measured: Figure
    right_signs: Figure


@dataclass(frozen=True, kw_only=True)
class SignShare:
    """The share of hits whose measured effect has the predicted sign; ``count`` is negative for the last hits.

    Chance is 0.5. Noise of the measurement pulls the share of even a perfect method towards it.
    """

    count: int
    share: Figure


def effects_by_rank(
    scores: FloatArray, effects: Effects, buckets: Sequence[tuple[int, int]] = BUCKETS
) -> tuple[RankEffect, ...]:
    """Return the effects of each bucket of ranks. ``scores`` float64 [Q, N], in nats, of the effects' sequences.

    Ranks are among the sequences whose effect is known; of equal scores the lower position is first. Buckets that
    reach beyond the middle of the ranking are left out: they would count sequences of the other end.
    """
    order = ranking(scores, effects.known)
    half = order.shape[1] // 2
    kept = [(first, last) for first, last in buckets if max(abs(first), abs(last)) <= max(half, 1)]
    chosen = [order[:, _columns(first, last, order.shape[1])] for first, last in kept]
    means = [_mean_of(effects.values, columns) for columns in chosen]
    left_out = np.zeros((len(kept), len(effects.members), len(scores)))
    for run in range(len(effects.members)):
        without = effects.without(run)
        left_out[:, run] = [_mean_of(without, columns) for columns in chosen]
    return tuple(
        RankEffect(
            first=first,
            last=last,
            predicted=mean_estimate(_mean_of(scores, columns)),
            measured=joint_estimate(mean, by_run),
            right_signs=_signs(scores, effects, columns),
        )
        for (first, last), columns, mean, by_run in zip(kept, chosen, means, left_out, strict=True)
    )


def right_signs(scores: FloatArray, effects: Effects, counts: Sequence[int] = COUNTS) -> tuple[SignShare, ...]:
    """Return the shares of right signs of the first and the last hits.

    Only hits that claim the sign of their end count: positive scores of the first, negative of the last.
    """
    order = ranking(scores, effects.known)
    shares = [(count, _signs(scores, effects, order[:, :count], end=1)) for count in counts if count <= order.shape[1]]
    shares += [
        (-count, _signs(scores, effects, order[:, -count:], end=-1)) for count in counts if count <= order.shape[1]
    ]
    return tuple(SignShare(count=count, share=share) for count, share in shares)


def ranking(scores: FloatArray, known: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the known sequences of each query, the most positive first, int [Q, known]."""
    places = np.flatnonzero(known)
    order: NDArray[np.intp] = places[np.argsort(-scores[:, places], axis=1, kind="stable")]
    return order


def _signs(scores: FloatArray, effects: Effects, hits: NDArray[np.intp], *, end: int = 0) -> Figure:
    """Return the share of hits with the right sign, of those that claim one or, with ``end``, that of the end."""
    claims = np.sign(np.take_along_axis(scores, hits, axis=1))
    counted = claims == end if end else claims != 0
    if not counted.any():
        kind = {1: "positive", -1: "negative", 0: "nonzero"}[end]
        return Undetermined(reason=f"the method gives none of these hits a {kind} score")
    right = (np.take_along_axis(effects.values, hits, axis=1) * claims > 0) & counted
    return share_estimate(right.sum(axis=1), counted.sum(axis=1))


def _columns(first: int, last: int, total: int) -> slice:
    return slice(first - 1, last) if first > 0 else slice(total + first, total + last + 1)


def _mean_of(values: FloatArray, columns: NDArray[np.intp]) -> FloatArray:
    mean: FloatArray = np.take_along_axis(values, columns, axis=1).mean(axis=1)
    return mean
