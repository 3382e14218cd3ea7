"""Query gradients that are looked up in a cache before they are asked of another source."""

from __future__ import annotations

import asyncio
from typing import Final

from whence_backends.contract import QueryGradient
from whence_backends.worker.gradients import codec
from whence_backends.worker.gradients.cache import GradientCache
from whence_backends.worker.gradients.codec import Undecodable
from whence_backends.worker.gradients.source import GradientSource, NamedGradient, NamedQuery
from whence_backends.worker.runtime.offload import offload
from whence_backends.worker.runtime.records import CacheOutcome, CacheRecord, WorkerObserver, ignore
from whence_service.rpc.stages import Stopwatch

# Encoded gradients of at most so many bytes are decoded at once.
_SMALL_BYTES: Final = 1 << 17


class Cached:
    """Keeps the gradients of ``source``, encoded, in ``cache``.

    Every gradient that is handed out went through the codec, so that cached and fresh ones are alike.
    """

    def __init__(self, source: GradientSource, cache: GradientCache, *, observe: WorkerObserver = ignore) -> None:
        self._source = source
        self._cache = cache
        self._observe = observe

    def __repr__(self) -> str:
        return f"Cached({self._source!r}, {self._cache!r})"

    async def get(self, query: NamedQuery, stopwatch: Stopwatch) -> NamedGradient:
        """Return the cached gradient, else the source's, which is then kept."""
        with stopwatch.stage("cache_get"):
            kept = await self._look_up(query)
        if kept is not None:
            return NamedGradient(key=query.key, gradient=kept)
        fresh = await self._source.get(query, stopwatch)
        value, gradient = await asyncio.to_thread(_round_trip, fresh.gradient, query.material)
        await self._cache.put(query.key, value)
        return NamedGradient(key=query.key, gradient=gradient)

    async def _look_up(self, query: NamedQuery) -> QueryGradient | None:
        value = await self._cache.get(query.key)
        if value is None:
            return None
        decoded = await offload(lambda: codec.decode(value, query.material), small=len(value) <= _SMALL_BYTES)
        if isinstance(decoded, Undecodable):
            outcome = CacheOutcome.CORRUPT
            self._observe(
                CacheRecord(layer="gradient", operation="get", outcome=outcome, key=query.key, why=decoded.why)
            )
            return None
        return decoded


def _round_trip(gradient: QueryGradient, material: bytes) -> tuple[bytes, QueryGradient]:
    value = codec.encode(gradient, material)
    decoded = codec.decode(value, material)
    assert isinstance(decoded, QueryGradient), decoded
    return value, decoded
