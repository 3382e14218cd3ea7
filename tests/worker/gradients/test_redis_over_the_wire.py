"""Whatever happens to Redis, the influences are the same, bit for bit."""

from __future__ import annotations

import asyncio
import threading

import pytest
from redis.asyncio import Redis

from whence_backends.worker.runtime.records import CacheOutcome
from worker.harness import RedisServer, Running, Serve, ask, until

PREFIX = "whence:gradient:"


async def influences(worker: Running) -> bytes:
    """The scan's whole answer without its timings."""
    result = await worker.scan(ask(), ask("a gull ", "at sea"), top_k=69)
    return b"".join(candidates.SerializeToString(deterministic=True) for candidates in result.candidates)


@pytest.fixture
async def expected(tiny: Running) -> bytes:
    """What a worker without Redis answers."""
    return await influences(tiny)


async def test_another_worker_uses_what_one_computed(serve: Serve, redis_server: RedisServer, expected: bytes):
    async with serve(redis_url=redis_server.url) as first:
        assert await influences(first) == expected
    async with serve(redis_url=redis_server.url) as second:
        assert await influences(second) == expected
        assert second.engine.count("query_gradients") == 0
        assert second.outcomes("redis") == [CacheOutcome.HIT] * 2


async def test_the_second_identical_query_comes_from_this_process(serve: Serve, redis_server: RedisServer):
    async with serve(redis_url=redis_server.url) as worker:
        first, second = await worker.prepare(ask()), await worker.prepare(ask())
        assert first.queries == second.queries
        assert worker.engine.count("query_gradients") == 1
        assert worker.outcomes("memory") == [CacheOutcome.MISS, CacheOutcome.HIT]
        assert worker.outcomes("redis") == [CacheOutcome.MISS]


async def test_a_worker_without_redis_keeps_gradients_in_memory(tiny: Running):
    assert (await tiny.prepare(ask())).queries == (await tiny.prepare(ask())).queries
    assert tiny.outcomes("memory") == [CacheOutcome.MISS, CacheOutcome.HIT]
    assert tiny.engine.count("query_gradients") == 1


async def test_redis_is_down(serve: Serve, expected: bytes):
    async with serve(redis_url="redis://127.0.0.1:1") as worker:
        assert await influences(worker) == expected
        assert worker.outcomes("redis") == [CacheOutcome.ERROR] * 2


async def test_redis_never_answers(serve: Serve, silent_server: str, expected: bytes):
    async with serve(redis_url=silent_server, redis_timeout_s=0.05) as worker, asyncio.timeout(10):
        assert await influences(worker) == expected
        assert worker.outcomes("redis") == [CacheOutcome.TIMEOUT] * 2


async def test_redis_dies_between_two_calls(serve: Serve, redis_server: RedisServer, expected: bytes):
    async with serve(redis_url=redis_server.url, memory_cache_bytes=0) as worker:
        assert await influences(worker) == expected
        redis_server.kill()
        assert await influences(worker) == expected
        assert worker.engine.count("query_gradients") == 4


async def test_redis_dies_in_the_middle_of_a_scan(serve: Serve, redis_server: RedisServer, expected: bytes):
    async with serve(redis_url=redis_server.url) as worker:
        begun, gate = threading.Event(), threading.Event()
        worker.engine.before = lambda _: (begun.set(), gate.wait(5))
        scan = asyncio.create_task(influences(worker))
        await asyncio.to_thread(begun.wait)
        redis_server.kill()
        gate.set()
        assert await scan == expected


def garbage(_value: bytes, _other: bytes) -> bytes:
    return b"not a gradient"


def truncated(value: bytes, _other: bytes) -> bytes:
    return value[:-1]


def one_bit_wrong(value: bytes, _other: bytes) -> bytes:
    return value[:-50] + bytes([value[-50] ^ 1]) + value[-49:]


def that_of_another_query(_value: bytes, other: bytes) -> bytes:
    return other


@pytest.mark.parametrize("tamper", [garbage, truncated, one_bit_wrong, that_of_another_query])
async def test_redis_has_a_wrong_value(serve: Serve, redis_server: RedisServer, expected: bytes, tamper):
    async with serve(redis_url=redis_server.url) as worker, Redis.from_url(redis_server.url) as redis:
        assert await influences(worker) == expected
        await until(lambda: worker.outcomes("redis", "put") == [CacheOutcome.STORED] * 2)
        first, second = await redis.keys(f"{PREFIX}*")
        good = {key: await redis.get(key) for key in (first, second)}
        await redis.set(first, tamper(good[first], good[second]))
    async with serve(redis_url=redis_server.url) as worker:
        assert await influences(worker) == expected
        assert worker.engine.count("query_gradients") == 1
        assert worker.outcomes("gradient") == [CacheOutcome.CORRUPT]


async def test_a_wrong_value_in_redis_is_replaced(serve: Serve, redis_server: RedisServer):
    async with serve(redis_url=redis_server.url) as worker, Redis.from_url(redis_server.url) as redis:
        [query] = (await worker.prepare(ask())).queries
        await until(lambda: len(worker.outcomes("redis", "put")) == 1)
        good = await redis.get(PREFIX + query.query_key)
        await redis.set(PREFIX + query.query_key, b"garbage")
    async with serve(redis_url=redis_server.url) as worker, Redis.from_url(redis_server.url) as redis:
        await worker.prepare(ask())
        await until(lambda: len(worker.outcomes("redis", "put")) == 1)
        assert await redis.get(PREFIX + query.query_key) == good


async def test_identical_queries_at_once_are_computed_once(tiny: Running):
    gate = threading.Event()
    tiny.engine.before = lambda _: gate.wait(5)
    asked = [asyncio.create_task(tiny.prepare(ask())) for _ in range(4)]
    await until(lambda: bool(tiny.engine.calls))
    gate.set()
    answers = await asyncio.gather(*asked)
    assert tiny.engine.count("query_gradients") == 1
    assert len({answer.queries[0].SerializeToString() for answer in answers}) == 1
