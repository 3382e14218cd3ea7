"""The search by shared tokens: the tokens of queries, their frequency in the corpus, and the best matches."""

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

# The sum of larger weights might overflow.
_LARGEST_WEIGHT: Final = 1e30


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenCounts:
    """The distinct tokens of a query, ascending, their counts in it, and the number of sequences with each: [n]."""

    tokens: NDArray[np.integer]
    counts: NDArray[np.integer]
    sequences: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenWeights:
    """Tokens, and the weight of each in the score of a sequence that has it, [n]."""

    tokens: Int32Array
    weights: NDArray[np.float64]


class TokenSearch:
    """Searches the held shards of a corpus. The sequences with each token are counted once, at the first search."""

    def __init__(self, corpus: Corpus, *, vocabulary: int) -> None:
        self._corpus = corpus
        self._vocabulary = vocabulary

        @cache
        def frequencies(shard: str) -> NDArray[np.int64]:
            return document_frequencies(corpus.token_batches(shard), vocabulary)

        self._frequencies = frequencies

    def count(self, queries: Sequence[TokenizedQuery], shards: Sequence[str]) -> list[TokenCounts]:
        """Return the tokens of each query, with the number of sequences of the shards that have them."""
        frequencies = np.sum([self._frequencies(shard) for shard in shards], axis=0)
        counted = []
        for query in queries:
            tokens, counts = np.unique(query.tokens.token_ids, return_counts=True)
            counted.append(TokenCounts(tokens=tokens, counts=counts, sequences=frequencies[tokens]))
        return counted

    def match(
        self,
        queries: Sequence[TokenWeights],
        scope: Scope,
        k: int,
        check: Callable[[], None],
    ) -> tuple[TopK, int]:
        """Return the ``k`` sequences with the largest scores for each query, and the number of sequences searched.

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
        # A NaN fails this comparison, too.
        largest = float(np.abs(weights).max(initial=0.0))
        if len(tokens) != len(weights) or not known or not largest <= _LARGEST_WEIGHT:
            raise InvalidRequestError(
                f"{len(tokens)} tokens with {len(weights)} weights up to {largest:g}; expected one for each, at most "
                f"{_LARGEST_WEIGHT:g}, and tokens below {self._vocabulary}",
                reason=Reason.INVALID_TOKEN_WEIGHTS,
                field="queries",
            )
