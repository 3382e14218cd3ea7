"""Preconditioned queries, kept for a moment: the calls of one request use the same ones in turn."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from whence_backends.contract import Engine, LowRankEngine
from whence_backends.worker.gradients.source import NamedGradient, through_layers
from whence_backends.worker.runtime.engine_thread import EngineThread
from whence_backends.worker.scoring.query_memory import QueryMemory
from whence_service.rpc.stages import Stopwatch


@dataclass(frozen=True, kw_only=True)
class Preconditioning:
    """How gradients are preconditioned: λ as a multiple of each layer's mean(Λ), and the layers that count.

    No ``layers`` stand for all of them. ``rank`` bounds the rank that each layer is kept in; 0: whole.
    """

    damping_factor: float
    layers: tuple[int, ...] = ()
    rank: int = 0


@dataclass(frozen=True, kw_only=True)
class PreconditionedQueries:
    """Preconditioned queries in the engine's own form, and the truncation error that a bounded rank cost each."""

    handle: Any
    truncation_errors: tuple[float, ...]

    @property
    def queries(self) -> int:
        """The number of queries."""
        return len(self.truncation_errors)


_Key = tuple[tuple[str, ...], Preconditioning]


class PreconditionedCache:
    """The latest results of :meth:`~whence_backends.contract.Engine.precondition`, by queries and preconditioning.

    They take at most ``capacity_bytes`` of device memory. State: the results in order of use, with their sizes, under a
    lock: the engine's thread adds and drops results, and the event loop reads them.
    """

    def __init__(self, engine: Engine, memory: QueryMemory, *, capacity_bytes: int) -> None:
        self._engine = engine
        self._memory = memory
        self._capacity_bytes = capacity_bytes
        self._results: OrderedDict[_Key, tuple[PreconditionedQueries, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"PreconditionedCache({self._size_bytes()}/{self._capacity_bytes} bytes)"

    def held(self, queries: Sequence[NamedGradient], preconditioning: Preconditioning) -> PreconditionedQueries | None:
        """Return the preconditioned queries if they are kept, from any thread."""
        key = _key(queries, preconditioning)
        with self._lock:
            if key not in self._results:
                return None
            self._results.move_to_end(key)
            return self._results[key][0]

    def get(self, queries: Sequence[NamedGradient], preconditioning: Preconditioning) -> PreconditionedQueries:
        """Return the preconditioned queries. Only the engine's thread may call it."""
        result = self.held(queries, preconditioning)
        if result is not None:
            return result
        size_bytes = len(queries) * self._memory.bytes_per_query(preconditioning.rank)
        with self._lock:
            while self._results and self._size_bytes() + size_bytes > self._capacity_bytes:
                self._results.popitem(last=False)
        result = self._precondition(queries, preconditioning)
        if size_bytes <= self._capacity_bytes:
            with self._lock:
                self._results[_key(queries, preconditioning)] = result, size_bytes
        return result

    def _precondition(
        self, queries: Sequence[NamedGradient], preconditioning: Preconditioning
    ) -> PreconditionedQueries:
        gradients = [through_layers(query, preconditioning.layers).gradient for query in queries]
        damping_factor, rank = preconditioning.damping_factor, preconditioning.rank
        if rank and isinstance(self._engine, LowRankEngine):
            handle, errors = self._engine.precondition_low_rank(gradients, damping_factor, rank)
            return PreconditionedQueries(handle=handle, truncation_errors=tuple(errors.tolist()))
        handle = self._engine.precondition(gradients, damping_factor)
        return PreconditionedQueries(handle=handle, truncation_errors=(0.0,) * len(gradients))

    def _size_bytes(self) -> int:
        return sum(size_bytes for _, size_bytes in self._results.values())


def _key(queries: Sequence[NamedGradient], preconditioning: Preconditioning) -> _Key:
    return tuple(query.key for query in queries), preconditioning


class Preconditioner:
    """Preconditions queries on the engine's thread, which those that are kept do not wait for."""

    def __init__(self, cache: PreconditionedCache, thread: EngineThread) -> None:
        self._cache = cache
        self._thread = thread

    async def precondition(
        self, queries: Sequence[NamedGradient], preconditioning: Preconditioning, stopwatch: Stopwatch
    ) -> PreconditionedQueries:
        """Return the preconditioned queries."""
        with stopwatch.stage("precondition"):
            held = self._cache.held(queries, preconditioning)
        if held is not None:
            return held
        return await self._thread.run(
            lambda: self._cache.get(queries, preconditioning), stage="precondition", stopwatch=stopwatch
        )
