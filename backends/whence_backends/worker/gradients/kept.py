"""Query gradients kept as they are handed out: most calls are about a query that was asked about before."""

from __future__ import annotations

from whence_backends.worker.gradients.source import GradientSource, NamedGradient, NamedQuery
from whence_backends.worker.runtime.recently_used import RecentlyUsed
from whence_backends.worker.runtime.records import CacheOutcome, CacheRecord, WorkerObserver, ignore
from whence_service.rpc.stages import Stopwatch


class Kept:
    """Keeps up to ``capacity_bytes`` of gradients of ``source``, which need neither a flight nor to be decoded.

    Such a one is a hit of the cache in memory; what is not kept is looked up there by ``source``, and recorded then.
    Nobody may change the arrays of a gradient.
    """

    def __init__(self, source: GradientSource, capacity_bytes: int, *, observe: WorkerObserver = ignore) -> None:
        self._source = source
        self._kept = RecentlyUsed[str, NamedGradient](capacity_bytes)
        self._observe = observe

    def __repr__(self) -> str:
        return f"Kept({self._kept!r}, {self._source!r})"

    async def get(self, query: NamedQuery, stopwatch: Stopwatch) -> NamedGradient:
        """Return the gradient that is kept, else the source's, which then is."""
        with stopwatch.stage("cache_get"):
            kept = self._kept.get(query.key)
        if kept is None:
            kept = await self._source.get(query, stopwatch)
            self._kept.put(query.key, kept, _size_bytes(kept))
        else:
            self._observe(CacheRecord(layer="memory", operation="get", outcome=CacheOutcome.HIT, key=query.key))
        return kept


def _size_bytes(named: NamedGradient) -> int:
    return sum(layer.left.nbytes + layer.right.nbytes for layer in named.gradient.layers)
