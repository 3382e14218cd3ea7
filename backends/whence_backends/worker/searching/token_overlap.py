"""The search for texts: the sequence of the held shards that has the most n-grams of a query."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.contract import Int32Array
from whence_backends.corpus import Corpus
from whence_backends.corpus.lexical import TokenBatch
from whence_backends.corpus.overlap import Overlap, find_overlaps
from whence_backends.worker.requests.tokenization import TokenizedQuery

# Runs of thousands of tokens are found by shorter n-grams, too; longer ones would only take memory.
_MOST: Final = 64


@dataclass(frozen=True, kw_only=True)
class PlacedOverlap:
    """The overlap of a query, and the position in the corpus of the nearest sequence; ``None`` for none."""

    overlap: Overlap
    position: int | None


class OverlapSearch:
    """Searches the held shards of a corpus. ``bos_id`` in front of a query is no part of its text."""

    def __init__(self, corpus: Corpus, *, bos_id: int | None) -> None:
        self._corpus = corpus
        self._bos_id = bos_id

    def find(
        self, queries: Sequence[TokenizedQuery], shards: Sequence[str], ngram: int, check: Callable[[], None]
    ) -> tuple[list[PlacedOverlap], int]:
        """Return the overlap of each query, and the number of sequences searched.

        ``check`` is called now and then and may raise. Raises :class:`~whence.errors.InvalidRequestError`
        (``INVALID_NGRAM``) for n-grams of fewer than 2 tokens or more than 64.
        """
        if not 2 <= ngram <= _MOST:
            raise InvalidRequestError(
                f"n-grams of {ngram} tokens; expected from 2 to {_MOST}", reason=Reason.INVALID_NGRAM, field="ngram"
            )
        positions = np.concatenate([np.asarray(self._corpus.positions(shard)) for shard in shards])

        def batches() -> Iterator[TokenBatch]:
            for shard in shards:
                yield from self._corpus.token_batches(shard)

        texts = [self._without_bos(query.tokens.token_ids) for query in queries]
        overlaps = find_overlaps(batches, texts, ngram, check)
        placed = [
            PlacedOverlap(overlap=overlap, position=None if overlap.row is None else int(positions[overlap.row]))
            for overlap in overlaps
        ]
        return placed, len(positions)

    def _without_bos(self, tokens: Int32Array) -> Int32Array:
        return tokens[1:] if tokens[0] == self._bos_id else tokens
