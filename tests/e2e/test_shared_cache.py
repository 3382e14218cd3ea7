"""Redis makes answers quicker and never different: up, down, silent or talking nonsense."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable

import pytest
from prometheus_client import CollectorRegistry
from redis import Redis

from e2e.conftest import Service
from e2e.harness import QUERY, Artefacts, Process, told, until
from whence import AsyncClient, Attribution, Query
from whence_backends.worker.config import WorkerSettings
from whence_backends.worker.runtime.records import CacheOutcome, CacheRecord, WorkerRecord
from whence_backends.worker.serving.server import Worker
from whence_service.frontend.config import FrontEndSettings
from whence_service.frontend.server import build_front_end


def computed(worker: Process) -> float:
    return worker.metrics().value("whence_engine_job_duration_seconds_count", stage="forward_backward")


def hits(worker: Process, layer: str) -> float:
    labels = {"operation": "get", "outcome": "hit", "layer": layer}
    return worker.metrics().value("whence_cache_operations_total", **labels)


def test_one_worker_computes_a_gradient_and_the_other_takes_it_from_redis(halves: Service, whole: Service):
    query = Query.text("the oil ", "salt")
    before = sum(map(computed, halves.workers)), sum(hits(worker, "redis") for worker in halves.workers)
    answer = halves.client.attribute(query)
    after = sum(map(computed, halves.workers)), sum(hits(worker, "redis") for worker in halves.workers)
    assert after == (before[0] + 1, before[1] + 1)
    assert told(answer) == told(whole.client.attribute(query))


def test_the_second_identical_query_is_served_from_the_cache_with_the_same_bits(halves: Service):
    query = Query.text("the fog ", "bell")
    first = halves.client.attribute(query)
    before = [computed(worker) for worker in halves.workers], sum(hits(worker, "memory") for worker in halves.workers)
    assert told(halves.clients[1].attribute(query)) == told(first)
    assert [computed(worker) for worker in halves.workers] == before[0]
    assert sum(hits(worker, "memory") for worker in halves.workers) > before[1]


def test_gradients_that_were_put_have_their_latency_on_the_page(halves: Service):
    halves.client.attribute(Query.text("the gull ", "wind"))

    def put() -> float:
        counts = (worker.metrics() for worker in halves.workers)
        return sum(page.value("whence_cache_duration_seconds_count", operation="put") for page in counts)

    assert until(put) >= 1


async def test_a_worker_that_comes_later_finds_what_was_computed_before(halves: Service, redis_url: str):
    expected = halves.client.attribute(QUERY)
    answer, outcomes = await ask_embedded(halves.artefacts, redis_url, patience_s=30)
    assert told(answer) == told(expected)
    assert "forward_backward" not in answer.timings
    assert outcomes == {CacheOutcome.HIT}


async def test_altered_gradients_are_not_believed(halves: Service, redis_url: str):
    expected = halves.client.attribute(QUERY)
    with Redis.from_url(redis_url) as redis:
        for number, key in enumerate(redis.keys("whence:gradient:*")):
            redis.set(key, (redis.get(key)[:-1] + b"\x01", os.urandom(200))[number % 2])
    answer, outcomes = await ask_embedded(halves.artefacts, redis_url, patience_s=30)
    assert told(answer) == told(expected)
    assert CacheOutcome.CORRUPT in outcomes


Reply = Callable[[bytes], bytes]
NONSENSE: dict[str, Reply | None] = {
    "silent": None,
    "speaking HTTP": lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "with an enormous size": lambda request: b":99999999999999\r\n" if b"STRLEN" in request else b"-ERR\r\n",
    "with random bytes": lambda _: os.urandom(64) + b"\r\n",
    "hanging up": lambda _: b"",
    "full": lambda request: b":0\r\n" if b"STRLEN" in request else b"-OOM command not allowed\r\n",
    "with the wrong value": lambda request: b":5\r\n" if b"STRLEN" in request else b"$5\r\nhello\r\n",
}


@pytest.fixture
async def unwell(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A server that is no Redis: it answers every message with what a rule makes of it."""
    reply: Reply | None = NONSENSE[request.param]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while said := await reader.read(65536):
            if reply is None:
                continue
            writer.write(reply(said))
            if not reply(said):
                break
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def ask_embedded(
    artefacts: Artefacts, redis_url: str, *, patience_s: float = 0.05
) -> tuple[Attribution, set[CacheOutcome]]:
    """Ask twice a service whose worker has nothing but this Redis to remember with; say how that ended, too.

    ``patience_s`` bounds an operation of Redis. A loaded machine takes long for one that would succeed.
    """
    settings = WorkerSettings(
        model=str(artefacts.model), factors=artefacts.factors, corpus=artefacts.corpus, name="tiny", engine="fake",
        address="127.0.0.1:0", drain_s=0, batch_tokens=256, memory_cache_bytes=0,
        redis_url=redis_url, redis_timeout_s=patience_s,
    )  # fmt: skip
    records: list[WorkerRecord] = []
    worker = Worker(settings, observe=records.append)
    front_settings = FrontEndSettings(
        workers=(await worker.start(),), address="127.0.0.1:0", drain_s=0, grace_s=1, reflection=False
    )
    await worker.wait_ready()
    front = await build_front_end(front_settings, CollectorRegistry())
    async with AsyncClient(await front.start(), retry=None, timeout_s=30) as client:
        first, again = await client.attribute(QUERY), await client.attribute(QUERY)
    await front.stop()
    await worker.stop()
    assert told(first) == told(again)
    shared = [one for one in records if isinstance(one, CacheRecord) and one.layer != "memory"]
    return first, {one.outcome for one in shared if one.operation == "get"}


@pytest.mark.parametrize("unwell", NONSENSE, indirect=True)
async def test_a_redis_that_is_unwell_changes_no_bit(whole: Service, unwell: str):
    answer, outcomes = await ask_embedded(whole.artefacts, unwell)
    assert told(answer) == told(whole.client.attribute(QUERY))
    assert outcomes != {CacheOutcome.HIT}


async def test_a_redis_that_is_down_changes_no_bit(whole: Service):
    answer, outcomes = await ask_embedded(whole.artefacts, "redis://127.0.0.1:1")
    assert told(answer) == told(whole.client.attribute(QUERY))
    assert CacheOutcome.ERROR in outcomes
