"""The cache of encoded gradients in the memory of this process."""

from __future__ import annotations

from collections import OrderedDict

from whence_backends.worker.runtime.records import CacheOutcome, CacheRecord, WorkerObserver, ignore


class MemoryCache:
    """Keeps up to ``capacity_bytes`` of values, and evicts the least recently used.

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
        """Keep the value, and evict the least recently used ones where there is no room."""
        self._drop(key)
        if len(value) > self._capacity_bytes:
            self._record("put", CacheOutcome.TOO_LARGE, key, len(value))
            return
        self._values[key] = value
        self._size_bytes += len(value)
        while self._size_bytes > self._capacity_bytes:
            self._drop(next(iter(self._values)))
        self._record("put", CacheOutcome.STORED, key, len(value))

    async def close(self) -> None:
        """Drop every value."""
        self._values.clear()
        self._size_bytes = 0

    def _drop(self, key: str) -> None:
        self._size_bytes -= len(self._values.pop(key, b""))

    def _record(self, operation: str, outcome: CacheOutcome, key: str, size_bytes: int = 0) -> None:
        self._observe(CacheRecord(layer="memory", operation=operation, outcome=outcome, key=key, size_bytes=size_bytes))
