"""Batching: grouping sequences that pass through the engine together, and their layout in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from whence_backends.contract import Float64Array, TokenSequence

IndexArray = NDArray[np.int64]


# Lengths of the probing sequences, in tokens, and the number of masked targets of each.
_PROBES: Final = ((13, 0), (8, 2))


def probe_sequences(vocabulary: int, max_tokens: int) -> list[TokenSequence]:
    """Return the two fixed random sequences of a model's self-check, of different lengths.

    Their weights differ in size; some targets of the second are masked.
    """
    rng = np.random.default_rng(0)
    sequences = []
    for length, masked in ((max(2, min(length, max_tokens)), masked) for length, masked in _PROBES):
        weights = rng.uniform(0.5, 1.5, length).astype(np.float32)
        weights[: 1 + min(masked, length - 2)] = 0
        sequences.append(TokenSequence(token_ids=rng.integers(0, vocabulary, length).astype(np.int32), weights=weights))
    return sequences


class Padded(NamedTuple):
    """Sequences padded on the right with token 0 and weight 0, both [B, T] with T at least 2."""

    token_ids: IndexArray
    weights: Float64Array


def pad(sequences: Sequence[TokenSequence]) -> Padded:
    """Return ``sequences`` as one array each of tokens and weights; a sequence of a single token becomes padding."""
    length = max(2, *(len(sequence.token_ids) for sequence in sequences))
    token_ids = np.zeros((len(sequences), length), dtype=np.int64)
    weights = np.zeros((len(sequences), length), dtype=np.float64)
    for row, sequence in enumerate(sequences):
        token_ids[row, : len(sequence.token_ids)] = sequence.token_ids
        weights[row, : len(sequence.weights)] = sequence.weights
    return Padded(token_ids, weights)


def plan_batches(lengths: Sequence[int] | NDArray[np.integer], token_budget: int) -> list[IndexArray]:
    """Return batches of indices into ``lengths``, each index in exactly one batch.

    Sequences of similar length are batched together, longest first, which saves padding and shows at once a batch
    that does not fit into memory. A batch's padded size, its longest length times its count, is at
    most ``token_budget``; a sequence longer than the budget forms a batch by itself.
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


def apart(lengths: Sequence[int] | NDArray[np.integer], bounds: Sequence[int]) -> list[IndexArray]:
    """Return arrays of indices into ``lengths`` of sequences that may share a batch, each index in exactly one.

    ``bounds`` are numbers of inputs, one less than a sequence's tokens. Two sequences may share a batch if no bound
    lies between them.
    """
    side = np.searchsorted(np.asarray(bounds, dtype=np.int64), np.asarray(lengths, dtype=np.int64) - 1)
    return [np.flatnonzero(side == number).astype(np.int64) for number in np.unique(side)]
