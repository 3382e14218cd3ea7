"""The gradients of queries: each is computed once, however many ask for it, and kept in the cache."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from whence.errors import InternalError
from whence_backends.contract import Engine, LayerGradient, QueryGradient, TokenSequence
from whence_backends.worker.gradients import codec
from whence_backends.worker.gradients.cache import GradientCache
from whence_backends.worker.gradients.codec import Undecodable
from whence_backends.worker.gradients.keys import GradientNamer, key_of
from whence_backends.worker.runtime.engine_thread import EngineThread
from whence_backends.worker.runtime.records import CacheOutcome, CacheRecord, WorkerObserver, ignore
from whence_service.rpc.stages import Stopwatch


@dataclass(frozen=True, kw_only=True)
class NamedGradient:
    """A query's gradient and its name in the cache."""

    key: str
    gradient: QueryGradient


def through_layers(named: NamedGradient, layers: Sequence[int]) -> NamedGradient:
    """Return the gradient with nothing in any layer but these, under a name of its own. No layers: as it is.

    Influence through some layers is that of the gradient which is 0 in all others.
    """
    if not layers:
        return named
    kept = set(layers)
    parts = tuple(
        part if index in kept else LayerGradient(left=0 * part.left[:1], right=0 * part.right[:1])
        for index, part in enumerate(named.gradient.layers)
    )
    name = f"{named.key}/layers={','.join(map(str, sorted(kept)))}"
    return NamedGradient(key=name, gradient=replace(named.gradient, layers=parts))


@dataclass(kw_only=True)
class _Flight:
    """One lookup or computation under way, and how many wait for it."""

    key: str
    task: asyncio.Task[NamedGradient]
    waiters: int = field(default=0)


class GradientStore:
    """Finds gradients in the cache or has the engine compute them.

    A query is computed alone, whatever else its request holds, so that its gradient has the same bits each
    time; and every gradient handed out went through the codec, so that it has the same bits whether it was
    cached or not.

    State: the flights by key and the puts under way. Owner: the event loop; nothing is awaited between
    looking at a flight and joining or leaving it.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        thread: EngineThread,
        cache: GradientCache,
        namer: GradientNamer,
        observe: WorkerObserver = ignore,
    ) -> None:
        self._engine = engine
        self._thread = thread
        self._cache = cache
        self._namer = namer
        self._observe = observe
        self._flights: dict[str, _Flight] = {}
        self._puts: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"GradientStore(flights={len(self._flights)}, puts={len(self._puts)}, {self._cache!r})"

    async def get(self, queries: Sequence[TokenSequence], stopwatch: Stopwatch) -> list[NamedGradient]:
        """Return each query's gradient, in order. Raises what the engine raised for the first that failed.

        A caller that is cancelled takes nothing from others that wait for the same gradient; what nobody
        waits for any more is dropped.
        """
        flights = [self._join(query, stopwatch) for query in queries]
        try:
            return [await asyncio.shield(flight.task) for flight in flights]
        finally:
            for flight in flights:
                self._leave(flight)

    async def close(self, *, timeout_s: float = 5.0) -> None:
        """Give the puts under way ``timeout_s`` to end, then cancel them."""
        if self._puts:
            _, late = await asyncio.wait(self._puts, timeout=timeout_s)
            for task in late:
                task.cancel()

    def _join(self, query: TokenSequence, stopwatch: Stopwatch) -> _Flight:
        material = self._namer.material(query)
        key = key_of(material)
        flight = self._flights.get(key)
        if flight is None:
            task = asyncio.create_task(self._fly(query, key, material, stopwatch))
            flight = self._flights[key] = _Flight(key=key, task=task)
            task.add_done_callback(lambda _: self._land(flight))
        flight.waiters += 1
        return flight

    def _leave(self, flight: _Flight) -> None:
        flight.waiters -= 1
        if flight.waiters == 0 and not flight.task.done():
            flight.task.cancel()
            self._forget(flight)

    def _land(self, flight: _Flight) -> None:
        self._forget(flight)
        if not flight.task.cancelled():
            flight.task.exception()  # seen: a request that failed early does not look at its other flights

    def _forget(self, flight: _Flight) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]

    async def _fly(self, query: TokenSequence, key: str, material: bytes, stopwatch: Stopwatch) -> NamedGradient:
        with stopwatch.stage("cache_get"):
            found = await self._look_up(key, material)
        if found is not None:
            return NamedGradient(key=key, gradient=found)
        computed = await self._thread.run(lambda: self._compute(query), stage="forward_backward", stopwatch=stopwatch)
        value = await asyncio.to_thread(codec.encode, computed, material)
        decoded = await asyncio.to_thread(codec.decode, value, material)
        assert isinstance(decoded, QueryGradient), decoded
        self._put_later(key, value)
        return NamedGradient(key=key, gradient=decoded)

    async def _look_up(self, key: str, material: bytes) -> QueryGradient | None:
        value = await self._cache.get(key)
        if value is None:
            return None
        decoded = await asyncio.to_thread(codec.decode, value, material)
        if isinstance(decoded, Undecodable):
            self._observe(
                CacheRecord(layer="gradient", operation="get", outcome=CacheOutcome.CORRUPT, key=key, why=decoded.why)
            )
            return None
        return decoded

    def _compute(self, query: TokenSequence) -> QueryGradient:
        [gradient] = self._engine.query_gradients([query])
        _require_finite(gradient)
        return gradient

    def _put_later(self, key: str, value: bytes) -> None:
        task = asyncio.create_task(self._cache.put(key, value))
        self._puts.add(task)
        task.add_done_callback(self._puts.discard)


def _require_finite(gradient: QueryGradient) -> None:
    arrays = (array for layer in gradient.layers for array in (layer.left, layer.right))
    if math.isfinite(gradient.log_likelihood) and all(np.isfinite(array).all() for array in arrays):
        return
    raise InternalError(
        "the gradient of a query has values that are not finite (log-likelihood "
        f"{gradient.log_likelihood}); the model overflows in this precision: try precision=float32 or "
        "bfloat16",
        reason="NON_FINITE_GRADIENT",
        log_likelihood=gradient.log_likelihood,
    )
