"""Batching policy: which sequences go through the engine together. The same lengths give the same plan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

IndexArray = NDArray[np.int64]


def plan_batches(lengths: Sequence[int] | NDArray[np.integer], token_budget: int) -> list[IndexArray]:
    """Return batches of indices into ``lengths``, each index in exactly one batch.

    Sequences of like length go together, longest first, so that little is spent on padding and a batch that
    does not fit into memory shows at once. A batch's padded size, its longest length times its count, is at
    most ``token_budget``; a sequence that is longer than the budget by itself is a batch of its own.
    """
    if token_budget < 1:
        raise ValueError(f"token_budget is {token_budget}; it must be at least 1")
    sizes = np.maximum(np.asarray(lengths, dtype=np.int64), 1)
    order = np.argsort(-sizes, kind="stable").astype(np.int64)
    batches: list[IndexArray] = []
    start = 0
    while start < len(order):
        longest = int(sizes[order[start]])
        count = max(1, token_budget // longest)
        batches.append(order[start : start + count])
        start += count
    return batches
