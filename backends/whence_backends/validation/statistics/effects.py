"""The measured effect of a training sequence on a query: what models that saw it say, less what the others say.

The in-out effect is the mean log-likelihood over runs that hold the sequence less that over runs that do not: of all
differences of means the one that random subsets make unbiased, whatever a method claims (Feldman and Zhang 2020 use it
for memorisation). It is an effect at the subsets' size: at half the data a copy weighs twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whence_backends.validation.statistics.correlation import FloatArray

# Runs on either side: fewer have no variance.
_FEWEST: Final = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Effects:
    """The effects of ``N`` sequences, or units of them, on ``Q`` queries.

    ``values`` and ``standard_errors`` are float64 [Q, N]; where ``known``, bool [N], is false, fewer than two runs
    hold the sequence or fewer than two lack it: the value is 0 and its error infinite.
    """

    members: NDArray[np.bool_]
    measured: FloatArray
    values: FloatArray
    standard_errors: FloatArray
    known: NDArray[np.bool_]

    def without(self, run: int) -> FloatArray:
        """Return the effects from all runs but one, float64 [Q, N]; 0 where they are not known."""
        kept = np.delete(np.arange(len(self.members)), run)
        return _difference(self.members[kept], self.measured[kept]) * self.known


def in_out(members: NDArray[np.bool_], measured: FloatArray) -> Effects:
    """Return the effects of sequences. Shapes: ``members`` bool [R, N], ``measured`` float64 [R, Q]."""
    inside = members.sum(axis=0)
    outside = len(members) - inside
    known = (inside >= _FEWEST) & (outside >= _FEWEST)
    # Without their mean, squares do not cancel.
    centred = measured - measured.mean(axis=0)
    errors = np.full((measured.shape[1], members.shape[1]), np.inf)
    variance = _variance_of_mean(members, centred) + _variance_of_mean(~members, centred)
    errors[:, known] = np.sqrt(variance[:, known])
    return Effects(
        members=members,
        measured=measured,
        values=_difference(members, centred) * known,
        standard_errors=errors,
        known=known,
    )


def _difference(members: NDArray[np.bool_], measured: FloatArray) -> FloatArray:
    return _mean(members, measured) - _mean(~members, measured)


def _mean(members: NDArray[np.bool_], measured: FloatArray) -> FloatArray:
    """Return the mean over the runs that hold each sequence, float64 [Q, N]; 0 where none does."""
    mean: FloatArray = measured.T @ members.astype(np.float64) / np.maximum(members.sum(axis=0), 1)
    return mean


def _variance_of_mean(members: NDArray[np.bool_], centred: FloatArray) -> FloatArray:
    count = members.sum(axis=0)
    spread = _mean(members, centred**2) - _mean(members, centred) ** 2
    variance: FloatArray = np.maximum(spread, 0) / np.maximum(count - 1, 1)
    return variance
