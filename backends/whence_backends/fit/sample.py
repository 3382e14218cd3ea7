"""The sequences of a corpus that a fit reads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fitted_positions(count: int, most: int | None, seed: int) -> NDArray[np.int64]:
    """Return the positions in a corpus of ``count`` sequences to fit on, ascending: all, or a random ``most`` of them.

    A function of its arguments: the number of fitted sequences and the seed on a card give the positions again.
    """
    if most is None or most >= count:
        return np.arange(count, dtype=np.int64)
    chosen = np.random.Generator(np.random.Philox(key=seed)).permutation(count)[:most]
    return np.sort(chosen).astype(np.int64)
