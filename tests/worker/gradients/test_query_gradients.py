"""A gradient is computed once for all callers, and for those that stay when others leave."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from whence.errors import InternalError
from whence_backends.contract import LayerGradient, TokenSequence
from whence_backends.worker.gradients.cached import Cached
from whence_backends.worker.gradients.computed import Computed
from whence_backends.worker.gradients.keys import GradientNamer
from whence_backends.worker.gradients.memory_cache import MemoryCache
from whence_backends.worker.gradients.query_gradients import QueryGradients
from whence_backends.worker.gradients.single_flight import SingleFlight
from whence_backends.worker.gradients.source import NamedGradient
from whence_backends.worker.runtime.engine_thread import EngineThread
from whence_backends.worker.runtime.records import CacheOutcome, CacheRecord, WorkerRecord
from whence_service.rpc.stages import Stopwatch
from worker.harness import StubEngine, until


@dataclass(kw_only=True)
class Bench:
    """Gradients as a worker wires them; the engine waits at a gate, which stands open unless a test closes it."""

    engine: StubEngine
    thread: EngineThread
    cache: MemoryCache
    records: list[WorkerRecord]
    gradients: QueryGradients = field(init=False)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        cached = Cached(Computed(self.engine, self.thread), self.cache, observe=self.records.append)
        namer = GradientNamer(model_digest="m", factors_digest="f", precision="float64", query_rank=None)
        self.gradients = QueryGradients(namer, SingleFlight(cached))
        self.engine.before = lambda _: self.gate.wait()
        self.gate.set()

    def ask(self, *queries: TokenSequence) -> asyncio.Task[list[NamedGradient]]:
        return asyncio.create_task(self.gradients.get(queries, Stopwatch()))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench(engine=StubEngine("m", "f"), thread=EngineThread(), cache=MemoryCache(10_000), records=[])
    yield bench
    bench.gate.set()
    await bench.thread.close()


def query(*ids: int) -> TokenSequence:
    weights = np.ones(len(ids), np.float32)
    weights[0] = 0
    return TokenSequence(token_ids=np.array(ids, np.int32), weights=weights)


async def test_concurrent_identical_queries_are_computed_once(bench: Bench):
    bench.gate.clear()
    asked = [bench.ask(query(1, 2, 3)) for _ in range(8)]
    await until(lambda: bool(bench.engine.calls))
    bench.gate.set()
    answers = await asyncio.gather(*asked)
    assert bench.engine.count("query_gradients") == 1
    assert all(answer == answers[0] for answer in answers)


async def test_the_same_query_twice_in_one_request_is_computed_once(bench: Bench):
    first, second = await bench.ask(query(1, 2), query(1, 2))
    assert first == second
    assert bench.engine.count("query_gradients") == 1


async def test_gradients_come_in_the_order_of_the_queries(bench: Bench):
    first, second = query(1, 2, 3), query(4, 5)
    both = await bench.ask(first, second)
    assert [named.key for named in both] == [(await bench.ask(first))[0].key, (await bench.ask(second))[0].key]


async def test_a_waiter_that_leaves_takes_nothing_from_the_others(bench: Bench):
    bench.gate.clear()
    leaving, staying = bench.ask(query(1, 2)), bench.ask(query(1, 2))
    await until(lambda: bool(bench.engine.calls))
    leaving.cancel()
    bench.gate.set()
    assert (await staying)[0].gradient.log_likelihood == -2 / 7
    assert bench.engine.count("query_gradients") == 1


async def test_a_gradient_without_callers_is_not_computed(bench: Bench):
    bench.gate.clear()
    busy = bench.ask(query(9, 9))
    await until(lambda: bool(bench.engine.calls))
    abandoned = bench.ask(query(1, 2))
    await until(lambda: bench.thread.waiting == 2)
    abandoned.cancel()
    await until(lambda: bench.thread.waiting == 1)
    bench.gate.set()
    await busy
    await bench.thread.run(lambda: None)
    assert bench.engine.count("query_gradients") == 1


async def test_a_query_asked_again_after_everyone_left_is_computed_anew(bench: Bench):
    bench.gate.clear()
    abandoned = bench.ask(query(1, 2))
    await until(lambda: bool(bench.engine.calls))
    abandoned.cancel()
    await asyncio.gather(abandoned, return_exceptions=True)
    again = bench.ask(query(1, 2))
    bench.gate.set()
    assert len(await again) == 1


async def test_a_failure_reaches_every_waiter_and_is_not_kept(bench: Bench):
    bench.gate.clear()
    bench.engine.poisoned_token = 1
    asked = [bench.ask(query(1, 2)) for _ in range(3)]
    await until(lambda: bool(bench.engine.calls))
    bench.gate.set()
    failures = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(failure) for failure in failures] == [InternalError] * 3
    bench.engine.poisoned_token = None
    assert np.isfinite((await bench.ask(query(1, 2)))[0].gradient.layers[0].left).all()


async def test_a_gradient_that_is_not_finite_is_an_error(bench: Bench):
    bench.engine.poisoned_token = 5
    with pytest.raises(InternalError) as caught:
        await bench.ask(query(4, 5))
    assert caught.value.reason == "NON_FINITE_GRADIENT"


async def test_a_computed_gradient_is_found_in_the_cache_next_time(bench: Bench):
    [computed] = await bench.ask(query(1, 2))
    [cached] = await bench.ask(query(1, 2))
    assert bench.engine.count("query_gradients") == 1
    assert cached.gradient.layers[0].left.tobytes() == computed.gradient.layers[0].left.tobytes()


async def test_computed_gradients_lie_in_memory_as_cached_ones_do(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    [gradient] = bench.engine.query_gradients([query(1, 2, 3)])
    layers = tuple(LayerGradient(left=np.asfortranarray(part.left), right=part.right) for part in gradient.layers)
    monkeypatch.setattr(bench.engine, "query_gradients", lambda _: [replace(gradient, layers=layers)])
    [computed] = await bench.ask(query(1, 2, 3))
    assert computed.gradient.layers[0].left.flags.c_contiguous


async def test_a_value_that_cannot_be_read_is_reported_computed_again_and_replaced(bench: Bench):
    [computed] = await bench.ask(query(1, 2))
    await bench.cache.put(computed.key, b"garbage")
    [again] = await bench.ask(query(1, 2))
    assert bench.engine.count("query_gradients") == 2
    assert again.gradient.log_likelihood == computed.gradient.log_likelihood
    outcomes = [record.outcome for record in bench.records if isinstance(record, CacheRecord)]
    assert outcomes == [CacheOutcome.CORRUPT]
    await bench.ask(query(1, 2))
    assert bench.engine.count("query_gradients") == 2


async def test_when_one_query_fails_the_others_of_its_request_are_dropped(bench: Bench):
    bench.gate.clear()
    bench.engine.poisoned_token = 1
    failing = bench.ask(query(1, 2), query(3, 4), query(5, 6))
    await until(lambda: bench.thread.waiting == 3)
    bench.gate.set()
    with pytest.raises(InternalError):
        await failing
    assert "flights=0" in repr(bench.gradients)
