"""Batching: which sequences go through the engine together, and how they are laid out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from whence_backends.contract import Float64Array, TokenSequence

IndexArray = NDArray[np.int64]


class Padded(NamedTuple):
    """Sequences padded on the right with token 0 and weight 0, both [B, T] with T at least 2."""

    token_ids: IndexArray
    weights: Float64Array


def pad(sequences: Sequence[TokenSequence]) -> Padded:
    """Return ``sequences`` as one array each of tokens and weights; one of a single token becomes all padding."""
    length = max(2, *(len(sequence.token_ids) for sequence in sequences))
    token_ids = np.zeros((len(sequences), length), dtype=np.int64)
    weights = np.zeros((len(sequences), length), dtype=np.float64)
    for row, sequence in enumerate(sequences):
        token_ids[row, : len(sequence.token_ids)] = sequence.token_ids
        weights[row, : len(sequence.weights)] = sequence.weights
    return Padded(token_ids, weights)


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
