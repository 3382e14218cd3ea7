"""A cache in front of another, and writing in the background."""

from __future__ import annotations

import asyncio

from whence_backends.worker.gradients.cache import LayeredCache, WriteBehind
from whence_backends.worker.gradients.memory_cache import MemoryCache
from worker.harness import until


async def test_what_the_far_cache_has_is_kept_near():
    near, far = MemoryCache(100), MemoryCache(100)
    await far.put("a", b"1")
    assert await LayeredCache(near, far).get("a") == b"1"
    assert await near.get("a") == b"1"


async def test_both_layers_are_told_of_a_new_value():
    near, far = MemoryCache(100), MemoryCache(100)
    await LayeredCache(near, far).put("a", b"1")
    assert (await near.get("a"), await far.get("a")) == (b"1", b"1")


class SlowCache(MemoryCache):
    """A cache that stores a value only once its gate is open."""

    def __init__(self) -> None:
        super().__init__(100)
        self.gate = asyncio.Event()
        self.stored: list[str] = []

    async def put(self, key: str, value: bytes) -> None:
        await self.gate.wait()
        self.stored.append(key)


async def test_no_caller_waits_for_a_write():
    slow = SlowCache()
    cache = WriteBehind(slow)
    await cache.put("a", b"1")
    assert "writes=1" in repr(cache)
    slow.gate.set()
    await until(lambda: slow.stored == ["a"])
    assert "writes=0" in repr(cache)


async def test_closing_waits_for_the_writes_under_way():
    slow = SlowCache()
    cache = WriteBehind(slow)
    await cache.put("a", b"1")
    closing = asyncio.create_task(cache.close())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not closing.done()
    slow.gate.set()
    await closing
    assert slow.stored == ["a"]
