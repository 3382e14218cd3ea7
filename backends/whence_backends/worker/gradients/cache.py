"""The cache of encoded query gradients: in this process, and in front of a shared one.

A cache is an accelerator, never a source of truth. Whatever goes wrong in it is a miss and a record.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

from whence_backends.worker.runtime.records import CacheOutcome, CacheRecord, WorkerObserver, ignore


class GradientCache(Protocol):
    """Keeps bytes under a key, for a while, if it can. No method raises for a reason of the cache's own."""

    async def get(self, key: str) -> bytes | None:
        """Return what is kept under ``key``, which may be anything; ``None`` where nothing is."""
        ...

    async def put(self, key: str, value: bytes) -> None:
        """Keep ``value`` under ``key`` if possible."""
        ...

    async def close(self) -> None:
        """Let go of connections and memory."""
        ...


class MemoryCache:
    """The least recently used values of this process, up to ``capacity_bytes``.

    State: the values in order of use, and their size. Owner: the event loop; no method awaits anything.
    """

    def __init__(self, capacity_bytes: int, *, observe: WorkerObserver = ignore) -> None:
        self._capacity_bytes = capacity_bytes
        self._observe = observe
        self._values: OrderedDict[str, bytes] = OrderedDict()
        self._size_bytes = 0

    def __repr__(self) -> str:
        return f"MemoryCache({len(self._values)} values, {self._size_bytes}/{self._capacity_bytes} bytes)"

    async def get(self, key: str) -> bytes | None:
        """Return the value and make it the most recently used."""
        value = self._values.get(key)
        if value is None:
            self._record("get", CacheOutcome.MISS, key)
            return None
        self._values.move_to_end(key)
        self._record("get", CacheOutcome.HIT, key, len(value))
        return value

    async def put(self, key: str, value: bytes) -> None:
        """Keep the value, at the cost of the least recently used ones."""
        self._forget(key)
        if len(value) > self._capacity_bytes:
            self._record("put", CacheOutcome.TOO_LARGE, key, len(value))
            return
        self._values[key] = value
        self._size_bytes += len(value)
        while self._size_bytes > self._capacity_bytes:
            self._forget(next(iter(self._values)))
        self._record("put", CacheOutcome.STORED, key, len(value))

    async def close(self) -> None:
        """Forget every value."""
        self._values.clear()
        self._size_bytes = 0

    def _forget(self, key: str) -> None:
        self._size_bytes -= len(self._values.pop(key, b""))

    def _record(self, operation: str, outcome: CacheOutcome, key: str, size_bytes: int = 0) -> None:
        self._observe(CacheRecord(layer="memory", operation=operation, outcome=outcome, key=key, size_bytes=size_bytes))


class LayeredCache:
    """A near cache in front of a far one. What the far one has is kept near; both are told of new values."""

    def __init__(self, near: GradientCache, far: GradientCache) -> None:
        self._near = near
        self._far = far

    def __repr__(self) -> str:
        return f"LayeredCache({self._near!r}, {self._far!r})"

    async def get(self, key: str) -> bytes | None:
        """Return the near value, else the far one."""
        value = await self._near.get(key)
        if value is None:
            value = await self._far.get(key)
            if value is not None:
                await self._near.put(key, value)
        return value

    async def put(self, key: str, value: bytes) -> None:
        """Keep the value near first, since that is immediate."""
        await self._near.put(key, value)
        await self._far.put(key, value)

    async def close(self) -> None:
        """Close both."""
        await self._near.close()
        await self._far.close()
