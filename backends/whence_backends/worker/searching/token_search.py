"""The search by shared tokens as a worker makes it: what queries consist of, who has it, and who has most of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.contract import Int32Array
from whence_backends.corpus import Corpus
from whence_backends.corpus.lexical import document_frequencies, match_scores
from whence_backends.topk import Order, TopK
from whence_backends.worker.requests.scope import Scope
from whence_backends.worker.requests.tokenization import TokenizedQuery

# Larger weights than this might add up to what is no number.
_LARGEST_WEIGHT: Final = 1e30


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenCounts:
    """A query's distinct tokens, ascending, how often it has each, and how many sequences have it: [n] each."""

    tokens: NDArray[np.integer]
    counts: NDArray[np.integer]
    sequences: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenWeights:
    """What having each of these tokens counts, [n] each."""

    tokens: Int32Array
    weights: NDArray[np.float64]


class TokenSearch:
    """Searches the held shards of a corpus. How many sequences have each token is counted once, at the first search."""

    def __init__(self, corpus: Corpus, *, vocabulary: int) -> None:
        self._corpus = corpus
        self._vocabulary = vocabulary

        @cache
        def frequencies(shard: str) -> NDArray[np.int64]:
            return document_frequencies(corpus.token_batches(shard), vocabulary)

        self._frequencies = frequencies

    def count(self, queries: Sequence[TokenizedQuery], shards: Sequence[str]) -> list[TokenCounts]:
        """Return what the queries consist of, and how many sequences of the shards have each token."""
        frequencies = np.sum([self._frequencies(shard) for shard in shards], axis=0)
        found = []
        for query in queries:
            tokens, counts = np.unique(query.tokens.token_ids, return_counts=True)
            found.append(TokenCounts(tokens=tokens, counts=counts, sequences=frequencies[tokens]))
        return found

    def match(
        self,
        queries: Sequence[TokenWeights],
        scope: Scope,
        k: int,
        check: Callable[[], None],
    ) -> tuple[TopK, int]:
        """Return the ``k`` sequences with the largest scores for each query, and how many were looked at.

        ``check`` is called now and then and may raise. Raises :class:`~whence.errors.InvalidRequestError`
        (``INVALID_TOKEN_WEIGHTS``) for tokens that are not in the vocabulary, or weights that are not finite.
        """
        for query in queries:
            self._require_valid(query)
        sizes = {info.name: info.sequences for info in self._corpus.shards}
        top = TopK(min(k, sum(sizes[shard] for shard in scope.shards)), Order.HIGHEST, queries=len(queries))
        searched = 0
        for shard in scope.shards:
            rows = scope.rows(shard, sizes[shard])
            scores = [
                match_scores(self._corpus.token_batches(shard), query.tokens, query.weights, self._vocabulary, check)
                for query in queries
            ]
            top.push(np.stack(scores)[:, rows], rows + self._corpus.positions(shard).start)
            searched += len(rows)
        return top, searched

    def _require_valid(self, query: TokenWeights) -> None:
        tokens, weights = query.tokens, query.weights
        known = len(tokens) == 0 or (tokens.min() >= 0 and tokens.max() < self._vocabulary)
        # A NaN is not at most anything, and refused with the rest.
        largest = float(np.abs(weights).max(initial=0.0))
        if len(tokens) != len(weights) or not known or not largest <= _LARGEST_WEIGHT:
            raise InvalidRequestError(
                f"{len(tokens)} tokens with {len(weights)} weights up to {largest:g}; expected one for each, at most "
                f"{_LARGEST_WEIGHT:g}, and tokens below {self._vocabulary}",
                reason=Reason.INVALID_TOKEN_WEIGHTS,
                field="queries",
            )
