"""Streaming selection of the most influential sequences, independent of the order in which they are scored."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from whence.errors import InternalError
from whence.reasons import Reason

Float64Array = NDArray[np.float64]
FloatArray = NDArray[np.floating[Any]]
Int64Array = NDArray[np.int64]

_NO_POSITION: Final = np.iinfo(np.int64).max


class Order(Enum):
    """The end of the ranking that is kept."""

    HIGHEST = "highest"
    LOWEST = "lowest"


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A sequence's position in the corpus and its raw influence."""

    position: int
    influence: float


class TopK:
    """The ``k`` best sequences of each of ``queries`` queries. Ties go to the lower position.

    State: two arrays [Q, k], sorted best first and padded with infinite keys. Only the scanning task touches it. The
    result does not depend on the order of pushes; each position is pushed once.
    """

    def __init__(self, k: int, order: Order, *, queries: int) -> None:
        self._k = k
        self._sign = -1.0 if order is Order.HIGHEST else 1.0
        self._keys: Float64Array = np.full((queries, k), np.inf)  # [Q, k], ascending: the best has the smallest key
        self._positions: Int64Array = np.full((queries, k), _NO_POSITION, dtype=np.int64)  # [Q, k]

    def push(self, influence: FloatArray, positions: Int64Array) -> None:
        """Add the influences [Q, B] of the sequences at ``positions`` [B].

        Raises :class:`~whence.errors.InternalError` (``NON_FINITE_INFLUENCE``) for NaN or infinity.
        """
        require_finite(influence, positions)
        if self._k == 0:
            return
        for query, row in enumerate(influence):
            keys = self._sign * row
            # Only influences at least as good as the worst so far are sorted, which excludes most of a long row.
            rivals = np.flatnonzero(keys <= self._keys[query, -1])
            if len(rivals):
                self._merge(query, keys[rivals], positions[rivals])

    def _merge(self, query: int, keys: FloatArray, positions: Int64Array) -> None:
        if len(keys) > 2 * self._k:
            threshold = np.partition(keys, self._k - 1)[self._k - 1]
            within = keys <= threshold
            keys, positions = keys[within], positions[within]
        all_keys = np.concatenate([self._keys[query], keys])
        all_positions = np.concatenate([self._positions[query], positions])
        best = np.lexsort((all_positions, all_keys))[: self._k]
        self._keys[query], self._positions[query] = all_keys[best], all_positions[best]

    def arrays(self, query: int) -> tuple[Int64Array, Float64Array]:
        """Return the positions and influences of one query's best so far, best first."""
        count = int(np.searchsorted(self._keys[query], np.inf))
        return self._positions[query, :count], self._sign * self._keys[query, :count]

    def ranked(self, query: int) -> list[Ranked]:
        """Return the best so far of one query, best first; fewer than ``k`` if fewer were pushed."""
        positions, influences = self.arrays(query)
        pairs = zip(positions.tolist(), influences.tolist(), strict=True)
        return [Ranked(position=position, influence=influence) for position, influence in pairs]


def require_finite(influence: FloatArray, positions: Int64Array) -> None:
    """Raise :class:`~whence.errors.InternalError` if an influence [Q, B, ...] is NaN or infinite."""
    finite = np.isfinite(influence)
    if finite.all():
        return
    where = np.argwhere(~finite)[0]
    query, position = int(where[0]), int(positions[where[1]])
    raise InternalError(
        f"the influence of the sequence at position {position} on query {query} is "
        f"{influence[tuple(where)]}; expected a finite number. The model overflows in this precision: try "
        "precision=float32 or bfloat16, or a larger damping",
        reason=Reason.NON_FINITE_INFLUENCE,
        position=position,
        query=query,
    )
