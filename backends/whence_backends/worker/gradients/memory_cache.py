"""The cache of encoded gradients in the memory of this process."""

from __future__ import annotations

from whence_backends.worker.runtime.recently_used import RecentlyUsed
from whence_backends.worker.runtime.records import CacheOutcome, CacheRecord, WorkerObserver, ignore


class MemoryCache:
    """Keeps up to ``capacity_bytes`` of values, and evicts the least recently used. No method awaits anything."""

    def __init__(self, capacity_bytes: int, *, observe: WorkerObserver = ignore) -> None:
        self._values = RecentlyUsed[str, bytes](capacity_bytes)
        self._observe = observe

    def __repr__(self) -> str:
        return f"MemoryCache({self._values!r})"

    async def get(self, key: str) -> bytes | None:
        """Return the value and make it the most recently used."""
        value = self._values.get(key)
        if value is None:
            self._record("get", CacheOutcome.MISS, key)
        else:
            self._record("get", CacheOutcome.HIT, key, len(value))
        return value

    async def put(self, key: str, value: bytes) -> None:
        """Keep the value, and evict the least recently used ones where there is no room."""
        kept = self._values.put(key, value, len(value))
        self._record("put", CacheOutcome.STORED if kept else CacheOutcome.TOO_LARGE, key, len(value))

    async def close(self) -> None:
        """Drop every value."""
        self._values.clear()

    def _record(self, operation: str, outcome: CacheOutcome, key: str, size_bytes: int = 0) -> None:
        self._observe(CacheRecord(layer="memory", operation=operation, outcome=outcome, key=key, size_bytes=size_bytes))
