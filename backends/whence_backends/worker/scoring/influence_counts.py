"""How many influences are in each bin, as influences arrive.

A bin is the first 16 bits of a float64, as in :mod:`whence_service.shrinkage.bins`, which reads the counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

# Bits of a float64 that are not of its bin; and bits of a bin.
_SHIFT: Final = np.uint64(48)
_BIN_BITS: Final = 16
# So many influences are kept before they are counted.
_WAITING: Final = 1 << 16


@dataclass(frozen=True, kw_only=True, eq=False)
class BinCounts:
    """The bins that have an influence, ascending, and the number of influences in each, [bins]."""

    bins: NDArray[np.int64]
    counts: NDArray[np.int64]


class InfluenceCounts:
    """The counts of each of ``queries`` queries. The result does not depend on the order or the size of batches.

    State: the keys (query and bin) counted so far, ascending, with their counts; and the keys that wait. Only the
    scanning task touches it.
    """

    def __init__(self, queries: int) -> None:
        self._queries = np.arange(queries, dtype=np.int64)
        self._keys: NDArray[np.int64] = np.zeros(0, np.int64)
        self._counts: NDArray[np.int64] = np.zeros(0, np.int64)
        self._waiting: list[NDArray[np.int64]] = []

    def add(self, influence: NDArray[np.float64]) -> None:
        """Count the finite influences [Q, B] of a batch."""
        bins = (np.ascontiguousarray(influence, np.float64).view(np.uint64) >> _SHIFT).astype(np.int64)
        self._waiting.append((bins | (self._queries << _BIN_BITS)[:, None]).ravel())
        if sum(map(len, self._waiting)) >= _WAITING:
            self._settle()

    def of(self, query: int) -> BinCounts:
        """Return the counts of one query."""
        self._settle()
        first, last = np.searchsorted(self._keys, [query << _BIN_BITS, (query + 1) << _BIN_BITS])
        return BinCounts(bins=self._keys[first:last] - (query << _BIN_BITS), counts=self._counts[first:last])

    def _settle(self) -> None:
        if not self._waiting:
            return
        keys, counts = np.unique(np.concatenate(self._waiting), return_counts=True)
        self._waiting = []
        merged, places = np.unique(np.concatenate([self._keys, keys]), return_inverse=True)
        total = np.zeros(len(merged), np.int64)
        np.add.at(total, places, np.concatenate([self._counts, counts]))
        self._keys, self._counts = merged, total
