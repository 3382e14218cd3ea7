"""The shared cache against a real redis-server, and against servers that are none."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable

import pytest
from redis.asyncio import Redis

from whence_backends.worker.gradients.redis_cache import RedisCache
from whence_backends.worker.runtime.records import CacheOutcome, CacheRecord
from whence_service.rpc.circuit_breaker import CircuitBreaker
from worker.harness import RedisServer

Make = Callable[..., RedisCache]


@pytest.fixture
def records() -> list[CacheRecord]:
    return []


@pytest.fixture
async def make(records: list[CacheRecord]) -> AsyncIterator[Make]:
    made: list[RedisCache] = []

    def make(url: str, **changes: object) -> RedisCache:
        given = {"timeout_s": 10, "ttl_s": 60, "max_value_bytes": 1 << 20}
        made.append(RedisCache(url, observe=records.append, **{**given, **changes}))
        return made[-1]

    yield make
    for cache in made:
        await cache.close()


async def test_a_value_is_kept_for_its_time_to_live(make: Make, redis_server: RedisServer):
    cache = make(redis_server.url, ttl_s=77)
    await cache.put("wq1:a", b"\0\xffvalue")
    assert await cache.get("wq1:a") == b"\0\xffvalue"
    async with Redis.from_url(redis_server.url) as client:
        assert 70 < await client.ttl("whence:gradient:wq1:a") <= 77


async def test_what_is_not_there_is_a_miss(make: Make, redis_server: RedisServer, records: list[CacheRecord]):
    assert await make(redis_server.url).get("wq1:a") is None
    assert [record.outcome for record in records] == [CacheOutcome.MISS]


async def test_a_value_that_is_too_large_is_neither_stored_nor_loaded(make, redis_server, records):
    await make(redis_server.url).put("wq1:a", b"x" * 100)
    small = make(redis_server.url, max_value_bytes=99)
    assert await small.get("wq1:a") is None
    await small.put("wq1:b", b"x" * 100)
    assert await make(redis_server.url).get("wq1:b") is None
    outcomes = [record.outcome for record in records]
    assert outcomes == [
        CacheOutcome.STORED,
        CacheOutcome.TOO_LARGE,
        CacheOutcome.TOO_LARGE,
        CacheOutcome.MISS,
    ]


async def test_a_key_of_another_type_is_an_error_that_does_not_count_against_the_server(make, redis_server, records):
    async with Redis.from_url(redis_server.url) as client:
        await client.rpush("whence:gradient:wq1:a", "list")
    cache = make(redis_server.url, breaker=CircuitBreaker(failures=1))
    assert await cache.get("wq1:a") is None
    assert records[-1].outcome is CacheOutcome.ERROR
    assert "closed" in repr(cache)


async def test_a_refused_connection_is_an_error(make: Make, records: list[CacheRecord]):
    assert await make("redis://127.0.0.1:1").get("wq1:a") is None
    assert [record.outcome for record in records] == [CacheOutcome.ERROR]


async def test_a_silent_server_is_given_up_in_time(make: Make, silent_server: str, records: list[CacheRecord]):
    cache = make(silent_server, timeout_s=0.05)
    async with asyncio.timeout(5):  # the library's own patience is a minute
        assert await cache.get("wq1:a") is None
        await cache.put("wq1:a", b"value")
    assert [record.outcome for record in records] == [CacheOutcome.TIMEOUT] * 2


async def test_a_server_that_falls_silent_on_an_open_connection_is_given_up_in_time(make, redis_server, records):
    cache = make(redis_server.url, timeout_s=0.5, max_value_bytes=1 << 30)
    await cache.put("wq1:a", b"value")
    os.kill(redis_server.process.pid, signal.SIGSTOP)
    async with asyncio.timeout(5):
        assert await cache.get("wq1:a") is None
    os.kill(redis_server.process.pid, signal.SIGCONT)
    assert [record.outcome for record in records] == [CacheOutcome.STORED, CacheOutcome.TIMEOUT]


async def test_a_server_that_keeps_failing_is_left_alone(make: Make, records: list[CacheRecord]):
    cache = make("redis://127.0.0.1:1", breaker=CircuitBreaker(failures=2, open_s=60))
    for _ in range(4):
        assert await cache.get("wq1:a") is None
    outcomes = [record.outcome for record in records]
    assert outcomes == [CacheOutcome.ERROR] * 2 + [CacheOutcome.SKIPPED] * 2


async def test_a_server_that_comes_back_is_used_again(make: Make, redis_server: RedisServer):
    now = [0.0]
    breaker = CircuitBreaker(failures=1, open_s=5, clock=lambda: now[0])
    cache = make(redis_server.url, breaker=breaker, timeout_s=0.5)
    os.kill(redis_server.process.pid, signal.SIGSTOP)
    await cache.put("wq1:a", b"value")
    os.kill(redis_server.process.pid, signal.SIGCONT)
    assert breaker.state == "open"
    now[0] = 5.0
    await cache.put("wq1:a", b"value")
    assert await cache.get("wq1:a") == b"value"
    assert breaker.state == "closed"


async def test_a_cancelled_call_never_hands_its_answer_to_the_next(make: Make, redis_server: RedisServer):
    """Many calls are cancelled at many moments; every call that ends must have its own key's value."""
    cache = make(redis_server.url, breaker=CircuitBreaker(failures=10**6))
    keys = [f"wq1:{number}" for number in range(20)]
    cancelled: list[bool] = []
    for key in keys:
        await cache.put(key, key.encode() * 2000)

    async def get(number: int) -> None:
        key = keys[number % len(keys)]
        call = asyncio.create_task(cache.get(key))
        for _ in range(number % 13):
            await asyncio.sleep(0)
        if number % 3:
            call.cancel()
        [value] = await asyncio.gather(call, return_exceptions=True)
        assert call.cancelled() or value == key.encode() * 2000
        cancelled.append(call.cancelled())

    for start in range(0, 600, 6):
        await asyncio.gather(*(get(start + offset) for offset in range(6)))
    assert [await cache.get(key) for key in keys] == [key.encode() * 2000 for key in keys]
    assert {True, False} == set(cancelled)
