"""Units: what retraining can tell apart. A document's sequences are in the same runs, so nothing separates them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whence_backends.validation.statistics.correlation import FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Units:
    """The sets of sequences that every run holds or lacks as a whole, in order of their first sequences.

    ``of_sequence`` int [N] is the unit of each sequence, ``members`` bool [R, U] says which units a run holds.
    """

    of_sequence: NDArray[np.intp]
    members: NDArray[np.bool_]

    def sums(self, scores: FloatArray) -> FloatArray:
        """Return scores, float64 [Q, N], summed over each unit's sequences, float64 [Q, U]."""
        order = np.argsort(self.of_sequence, kind="stable")
        starts = np.searchsorted(self.of_sequence[order], np.arange(self.members.shape[1]))
        sums: FloatArray = np.add.reduceat(scores[:, order], starts, axis=1)
        return sums


def units_of(members: NDArray[np.bool_]) -> Units:
    """Return the units of runs with these members, bool [R, N]."""
    packed = np.packbits(members, axis=0).T
    _, first, inverse = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    place = np.empty(len(first), np.intp)
    place[np.argsort(first)] = np.arange(len(first))
    return Units(of_sequence=place[inverse.reshape(-1)], members=members[:, np.sort(first)])
