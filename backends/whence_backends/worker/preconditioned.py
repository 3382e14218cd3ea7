"""Preconditioned queries, kept for a moment: the calls of one request use the same ones in turn."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from whence_backends.contract import Engine
from whence_backends.worker.gradients import NamedGradient

_Key = tuple[tuple[str, ...], float]


class PreconditionedCache:
    """The latest results of :meth:`~whence_backends.contract.Engine.precondition`, by queries and damping.

    They hold device memory: at most ``capacity_bytes``, where a query counts as ``bytes_per_query``. State:
    the results in order of use. Owner: the engine's thread, which alone calls :meth:`get`.
    """

    def __init__(self, engine: Engine, *, capacity_bytes: int, bytes_per_query: int) -> None:
        self._engine = engine
        self._capacity = capacity_bytes // max(1, bytes_per_query)
        self._results: OrderedDict[_Key, Any] = OrderedDict()

    def __repr__(self) -> str:
        return f"PreconditionedCache({self._size()}/{self._capacity} queries)"

    def get(self, queries: Sequence[NamedGradient], damping_factor: float) -> Any:  # noqa: ANN401
        """Return the preconditioned queries, in the engine's own form."""
        key = (tuple(query.key for query in queries), damping_factor)
        if key not in self._results:
            self._make_room(len(queries))
            result = self._engine.precondition([query.gradient for query in queries], damping_factor)
            if len(queries) > self._capacity:
                return result
            self._results[key] = result
        self._results.move_to_end(key)
        return self._results[key]

    def _make_room(self, queries: int) -> None:
        while self._results and self._size() + queries > self._capacity:
            self._results.popitem(last=False)

    def _size(self) -> int:
        return sum(len(keys) for keys, _ in self._results)
