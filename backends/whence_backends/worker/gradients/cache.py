"""The cache of encoded query gradients: its interface, a cache in front of another, and writing in the background.

A cache is an accelerator, never a source of truth. Whatever goes wrong in it is a miss and a record.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

# How long closing waits for values that are being written.
_CLOSE_TIMEOUT_S: Final = 5.0


class GradientCache(Protocol):
    """Keeps bytes under a key, for a while, if it can. No method raises for a failure of the cache."""

    async def get(self, key: str) -> bytes | None:
        """Return the value under ``key``, which may be any bytes at all; ``None`` where there is none."""
        ...

    async def put(self, key: str, value: bytes) -> None:
        """Keep ``value`` under ``key`` if possible."""
        ...

    async def close(self) -> None:
        """Release connections and memory."""
        ...


class LayeredCache:
    """A near cache in front of a far one. New values go to both, values of the far one to the near one."""

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
        """Keep the value in both, in the near one first, which is immediate."""
        await self._near.put(key, value)
        await self._far.put(key, value)

    async def close(self) -> None:
        """Close both."""
        await self._near.close()
        await self._far.close()


class WriteBehind:
    """Writes to ``cache`` in the background, so that no answer waits for it.

    State: the writes under way. Owner: the event loop.
    """

    def __init__(self, cache: GradientCache) -> None:
        self._cache = cache
        self._writes: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"WriteBehind(writes={len(self._writes)}, {self._cache!r})"

    async def get(self, key: str) -> bytes | None:
        """Return the value; one that is still being written may be missing."""
        return await self._cache.get(key)

    async def put(self, key: str, value: bytes) -> None:
        """Begin to write the value."""
        write = asyncio.create_task(self._cache.put(key, value))
        self._writes.add(write)
        write.add_done_callback(self._writes.discard)

    async def close(self) -> None:
        """Give the writes under way some seconds to end, cancel the rest, and close the cache."""
        if self._writes:
            _, late = await asyncio.wait(self._writes, timeout=_CLOSE_TIMEOUT_S)
            for write in late:
                write.cancel()
        await self._cache.close()
