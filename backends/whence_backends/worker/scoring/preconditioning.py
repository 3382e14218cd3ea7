"""Preconditioned queries, kept for a moment: the calls of one request use the same ones in turn."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.contract import Engine, LowRankEngine
from whence_backends.worker.gradients.source import NamedGradient, through_layers

# The rank of a batch's queries where they are too many to be kept whole, after Grosse et al. 2023.
DEFAULT_RANK: Final = 32


@dataclass(frozen=True, kw_only=True)
class Preconditioning:
    """What is made of gradients: λ as a multiple of each layer's mean(Λ), the layers that count (none named: all).

    ``rank`` bounds the rank that each layer is kept in; 0: whole.
    """

    damping_factor: float
    layers: tuple[int, ...] = ()
    rank: int = 0


@dataclass(frozen=True, kw_only=True)
class Preconditioned:
    """Preconditioned queries in the engine's own form, and what a bounded rank cost each of them."""

    handle: Any
    truncation_errors: tuple[float, ...]

    @property
    def queries(self) -> int:
        """How many they are."""
        return len(self.truncation_errors)


class QueryMemory:
    """How much device memory preconditioned queries take, and how many at once may."""

    def __init__(self, engine: Engine, *, limit_bytes: int) -> None:
        info = engine.info
        self._shapes = [(layer.d_out, layer.d_in) for layer in info.layers]
        self._itemsize = 8 if info.precision == "float64" else 4
        self._low_rank = isinstance(engine, LowRankEngine)
        self._limit_bytes = limit_bytes

    def bytes_per_query(self, rank: int = 0) -> int:
        """Return what one query takes, kept in a rank or (0) whole. An engine may know no ranks."""
        whole = (D_out * D_in for D_out, D_in in self._shapes)
        if not rank or not self._low_rank:
            return self._itemsize * sum(whole)
        return self._itemsize * sum(min(D_out * D_in, rank * (D_out + D_in)) for D_out, D_in in self._shapes)

    def max_queries(self, rank: int = 0) -> int:
        """Return how many queries may be kept at once: at least one."""
        return max(1, self._limit_bytes // max(1, self.bytes_per_query(rank)))

    def require(self, queries: int, rank: int = 0) -> None:
        """Raise :class:`~whence.errors.InvalidRequestError` (``TOO_MANY_QUERIES``) where they are too many."""
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


_Key = tuple[tuple[str, ...], Preconditioning]


class PreconditionedCache:
    """The latest results of :meth:`~whence_backends.contract.Engine.precondition`, by queries and preconditioning.

    They hold device memory: at most ``capacity_bytes``. State: the results in order of use, with their sizes. Owner:
    the engine's thread, which alone calls :meth:`get`.
    """

    def __init__(self, engine: Engine, memory: QueryMemory, *, capacity_bytes: int) -> None:
        self._engine = engine
        self._memory = memory
        self._capacity_bytes = capacity_bytes
        self._results: OrderedDict[_Key, tuple[Preconditioned, int]] = OrderedDict()

    def __repr__(self) -> str:
        return f"PreconditionedCache({self._size_bytes()}/{self._capacity_bytes} bytes)"

    def get(self, queries: Sequence[NamedGradient], how: Preconditioning) -> Preconditioned:
        """Return the preconditioned queries."""
        key = (tuple(query.key for query in queries), how)
        if key not in self._results:
            size_bytes = len(queries) * self._memory.bytes_per_query(how.rank)
            while self._results and self._size_bytes() + size_bytes > self._capacity_bytes:
                self._results.popitem(last=False)
            result = self._precondition(queries, how)
            if size_bytes > self._capacity_bytes:
                return result
            self._results[key] = result, size_bytes
        self._results.move_to_end(key)
        return self._results[key][0]

    def _precondition(self, queries: Sequence[NamedGradient], how: Preconditioning) -> Preconditioned:
        gradients = [through_layers(query, how.layers).gradient for query in queries]
        if how.rank and isinstance(self._engine, LowRankEngine):
            handle, errors = self._engine.precondition_low_rank(gradients, how.damping_factor, how.rank)
            return Preconditioned(handle=handle, truncation_errors=tuple(errors.tolist()))
        handle = self._engine.precondition(gradients, how.damping_factor)
        return Preconditioned(handle=handle, truncation_errors=(0.0,) * len(gradients))

    def _size_bytes(self) -> int:
        return sum(size_bytes for _, size_bytes in self._results.values())
