"""The cache in the memory of this process."""

from __future__ import annotations

from whence_backends.worker.gradients.memory_cache import MemoryCache
from whence_backends.worker.runtime.records import CacheOutcome, WorkerRecord


async def test_a_value_that_was_put_is_found():
    cache = MemoryCache(100)
    await cache.put("a", b"123")
    assert await cache.get("a") == b"123"
    assert await cache.get("b") is None


async def test_the_least_recently_used_values_make_room():
    cache = MemoryCache(10)
    for key in "abc":
        await cache.put(key, b"123")
    await cache.get("a")
    await cache.put("d", b"123")
    assert [key for key in "abcd" if await cache.get(key)] == ["a", "c", "d"]


async def test_putting_a_key_again_replaces_its_value_and_its_size():
    cache = MemoryCache(10)
    await cache.put("a", b"12345678")
    await cache.put("a", b"12")
    await cache.put("b", b"12345678")
    assert (await cache.get("a"), await cache.get("b")) == (b"12", b"12345678")
    assert "10/10 bytes" in repr(cache)


async def test_a_value_larger_than_the_cache_is_not_kept_and_moves_nothing_out():
    records: list[WorkerRecord] = []
    cache = MemoryCache(4, observe=records.append)
    await cache.put("a", b"1234")
    await cache.put("b", b"12345")
    assert await cache.get("a") == b"1234"
    assert records[1].outcome is CacheOutcome.TOO_LARGE
