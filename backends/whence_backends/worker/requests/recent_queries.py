"""Queries that were asked lately, as tokens: each worker call of one request has the same queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from whence.v1 import query_pb2
from whence_backends.worker.requests.tokenization import QueryTokenizer, TokenizedQuery
from whence_backends.worker.runtime.offload import offload
from whence_backends.worker.runtime.recently_used import RecentlyUsed

# Queries of at most so many bytes altogether are tokenized at once; a chat's template may take longer.
_SMALL_BYTES: Final = 1024
_CAPACITY_BYTES: Final = 1 << 24

# The place in the request, which warnings name, and the query as bytes.
_Key = tuple[int, bytes]


class RecentQueries:
    """Tokenizes the queries of a request as ``tokenizer`` does, but for those that are kept. No error is kept."""

    def __init__(self, tokenizer: QueryTokenizer, *, capacity_bytes: int = _CAPACITY_BYTES) -> None:
        self._tokenizer = tokenizer
        self._kept = RecentlyUsed[_Key, TokenizedQuery](capacity_bytes)

    def __repr__(self) -> str:
        return f"RecentQueries({self._kept!r})"

    async def tokenize(self, queries: Sequence[query_pb2.Query]) -> list[TokenizedQuery]:
        """Return the tokens of the queries; :class:`~whence.errors.InvalidRequestError` for the first bad one."""
        keys = [(number, query.SerializeToString(deterministic=True)) for number, query in enumerate(queries)]
        tokenized = {key: kept for key in keys if (kept := self._kept.get(key)) is not None}
        fresh = [key for key in keys if key not in tokenized]
        if fresh:
            asked = [(queries[number], f"queries[{number}]") for number, _ in fresh]
            tokens = await offload(
                lambda: [self._tokenizer.tokenize(query, field) for query, field in asked],
                small=_small([query for query, _ in asked]),
            )
            for key, query in zip(fresh, tokens, strict=True):
                tokenized[key] = query
                self._kept.put(key, query, _size_bytes(key, query))
        return [tokenized[key] for key in keys]


def _small(queries: Sequence[query_pb2.Query]) -> bool:
    return sum(query.ByteSize() for query in queries) <= _SMALL_BYTES and not any(
        query.HasField("chat") for query in queries
    )


def _size_bytes(key: _Key, query: TokenizedQuery) -> int:
    warnings = sum(warning.ByteSize() for warning in query.warnings)
    return len(key[1]) + query.tokens.token_ids.nbytes + query.tokens.weights.nbytes + warnings
