"""Lexical search: BM25 scores of sequences for the tokens of a query, by one pass over the memory-mapped tokens.

There is no inverted index: it would take several times the memory of the tokens, and the pass is cheap beside the
re-ranking that follows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from whence.errors import CorruptArtefactError
from whence.reasons import Reason
from whence_backends.contract import Int32Array
from whence_backends.corpus.compiled import compiled

# The start of each sequence's tokens, int32 [sequences + 1], and the tokens, int32.
TokenBatch = tuple[Int32Array, Int32Array]

# k1 of BM25: the saturation of a token's frequency, as in Grosse et al. 2023.
K1: Final = 1.5


def document_frequencies(batches: Iterable[TokenBatch], vocabulary: int) -> NDArray[np.int64]:
    """Return the number of sequences that contain each token, int64 [vocabulary]."""
    counts, last = np.zeros(vocabulary, np.int64), np.full(vocabulary, -1, np.int64)
    first = 0
    for starts, tokens in batches:
        _require_known(tokens, vocabulary)
        _count_rows(starts, tokens, first, last, counts)
        first += len(starts) - 1
    return counts


def match_scores(
    batches: Iterable[TokenBatch],
    tokens: Int32Array,
    weights: NDArray[np.float64],
    vocabulary: int,
    on_batch: Callable[[], None] = lambda: None,
) -> NDArray[np.float64]:
    """Return the score of each sequence, float64 [sequences]: Σ_t weight · f (k1 + 1) / (f + k1).

    f is the number of times that the sequence contains the token t. ``on_batch`` is called for each batch and may
    raise, to cancel the pass. Raises :class:`~whence.errors.CorruptArtefactError` for a token outside the vocabulary.
    """
    places = np.full(vocabulary, -1, np.int32)
    places[tokens] = np.arange(len(tokens), dtype=np.int32)
    counts, parts = np.zeros(len(tokens), np.int64), [np.zeros(0)]
    for starts, batch in batches:
        on_batch()
        _require_known(batch, vocabulary)
        parts.append(np.empty(len(starts) - 1))
        _score_rows(starts, batch, places, weights, counts, parts[-1])
    return np.concatenate(parts)


def _require_known(tokens: Int32Array, vocabulary: int) -> None:
    """Check the token ids, since the compiled kernels do not check bounds."""
    if len(tokens) and not (tokens.min() >= 0 and tokens.max() < vocabulary):
        raise CorruptArtefactError(
            f"the corpus has token ids from {tokens.min()} to {tokens.max()}, and the vocabulary {vocabulary}; make "
            "the corpus again with the model's own tokenizer",
            reason=Reason.CORRUPT_ARTEFACT,
        )


@compiled
def _count_rows(starts: Any, tokens: Any, first: Any, last: Any, counts: Any) -> None:  # noqa: ANN401
    """Add 1 to ``counts[token]`` for each row that contains the token; ``last[token]`` is the last such row."""
    for row in range(len(starts) - 1):
        for place in range(starts[row], starts[row + 1]):
            token = tokens[place]
            if last[token] != first + row:
                last[token] = first + row
                counts[token] += 1


@compiled
def _score_rows(starts: Any, tokens: Any, places: Any, weights: Any, counts: Any, out: Any) -> None:  # noqa: ANN401
    """Write the score of each row to ``out``; ``counts`` is all zeros before and after."""
    for row in range(len(starts) - 1):
        for place in range(starts[row], starts[row + 1]):
            at = places[tokens[place]]
            if at >= 0:
                counts[at] += 1
        total = 0.0
        for place in range(starts[row], starts[row + 1]):
            at = places[tokens[place]]
            if at >= 0 and counts[at] > 0:
                total += weights[at] * counts[at] * (K1 + 1) / (counts[at] + K1)
                counts[at] = 0
        out[row] = total
