"""The device memory that preconditioned queries take."""

from __future__ import annotations

from typing import Final

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.contract import Engine, LowRankEngine

# The rank of queries that are too many to be kept whole, after Grosse et al. 2023.
DEFAULT_RANK: Final = 32


class QueryMemory:
    """The device memory of preconditioned queries, and the limit for those of one call."""

    def __init__(self, engine: Engine, *, limit_bytes: int) -> None:
        info = engine.info
        self._shapes = [(layer.d_out, layer.d_in) for layer in info.layers]
        self._itemsize = 8 if info.precision == "float64" else 4
        self._low_rank = isinstance(engine, LowRankEngine)
        self._limit_bytes = limit_bytes

    def bytes_per_query(self, rank: int = 0) -> int:
        """Return the bytes of one query in a bounded ``rank``; whole for 0, or where the engine bounds no rank."""
        whole = (D_out * D_in for D_out, D_in in self._shapes)
        if not rank or not self._low_rank:
            return self._itemsize * sum(whole)
        return self._itemsize * sum(min(D_out * D_in, rank * (D_out + D_in)) for D_out, D_in in self._shapes)

    def max_queries(self, rank: int = 0) -> int:
        """Return the largest number of queries at once: at least one."""
        return max(1, self._limit_bytes // max(1, self.bytes_per_query(rank)))

    def require(self, queries: int, rank: int = 0) -> None:
        """Raise :class:`~whence.errors.InvalidRequestError` (``TOO_MANY_QUERIES``) where they do not fit."""
        most = self.max_queries(rank)
        if queries > most:
            ranked = self.max_queries(DEFAULT_RANK)
            raise InvalidRequestError(
                f"{queries} queries at once; the memory that this worker gives to queries of this model holds {most}"
                f"{f' in rank {rank}' if rank else ' whole'}; send fewer at a time, ask for a lower rank ({ranked} fit "
                f"in rank {DEFAULT_RANK}), or raise its query_memory_bytes",
                reason=Reason.TOO_MANY_QUERIES,
                field="queries",
                max_queries=most,
            )
