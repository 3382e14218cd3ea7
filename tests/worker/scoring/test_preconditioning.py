"""Preconditioned queries are kept within their bound of device memory; fewer fit whole than in a bounded rank."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from whence.errors import InvalidRequestError
from whence_backends.contract import QueryGradient, TokenSequence
from whence_backends.worker.gradients.source import NamedGradient, through_layers
from whence_backends.worker.runtime.engine_thread import EngineThread
from whence_backends.worker.scoring.preconditioning import PreconditionedCache, Preconditioner, Preconditioning
from whence_backends.worker.scoring.query_memory import QueryMemory
from whence_service.rpc.stages import Stopwatch
from worker.harness import LAYERS, StubEngine

WHOLE = Preconditioning(damping_factor=0.1)
BYTES = 8 * sum(layer.d_out * layer.d_in for layer in LAYERS)


class LowRankStub(StubEngine):
    """A stub that bounds the rank, and says that it cost a tenth."""

    def precondition_low_rank(
        self, gradients: Sequence[QueryGradient], damping_factor: float, rank: int
    ) -> tuple[Any, np.ndarray]:
        self._enter(f"rank {rank}")
        return self.precondition(gradients, damping_factor), np.full(len(gradients), 0.1)


@pytest.fixture
def engine() -> StubEngine:
    return StubEngine("m", "f")


def cache_of(engine: StubEngine, queries: int) -> PreconditionedCache:
    return PreconditionedCache(engine, QueryMemory(engine, limit_bytes=1 << 20), capacity_bytes=queries * BYTES)


def named(engine: StubEngine, token: int) -> NamedGradient:
    tokens = TokenSequence(token_ids=np.array([token, 1], np.int32), weights=np.array([0, 1], np.float32))
    return NamedGradient(key=f"q{token}", gradient=engine.query_gradients([tokens])[0])


def test_the_same_queries_and_damping_are_preconditioned_once(engine: StubEngine):
    cache = cache_of(engine, 10)
    first = cache.get([named(engine, 2)], WHOLE)
    assert cache.get([named(engine, 2)], WHOLE) is first
    assert engine.count("precondition") == 1
    assert first.truncation_errors == (0.0,)


@pytest.mark.parametrize(
    "other", [Preconditioning(damping_factor=0.5), Preconditioning(damping_factor=0.1, layers=(1,))]
)
def test_another_preconditioning_is_another_result(engine: StubEngine, other: Preconditioning):
    cache = cache_of(engine, 10)
    first = cache.get([named(engine, 2)], WHOLE)
    assert not np.array_equal(first.handle[0][0], cache.get([named(engine, 2)], other).handle[0][0])


def test_layers_that_do_not_count_have_nothing(engine: StubEngine):
    """Broken by: leaving out the layer that was asked for; a layer's index in the request taken for another's."""
    cache = cache_of(engine, 10)
    whole = cache.get([named(engine, 2)], WHOLE).handle[0]
    through = cache.get([named(engine, 2)], Preconditioning(damping_factor=0.1, layers=(1,))).handle[0]
    assert not through[0].any()
    assert np.array_equal(through[1], whole[1])


def test_a_gradient_through_some_layers_has_a_name_of_its_own(engine: StubEngine):
    """By which its sketch is kept. Broken by: finding that of the whole gradient under it."""
    whole = named(engine, 2)
    first, second = through_layers(whole, (0,)), through_layers(whole, (1,))
    assert len({whole.key, first.key, second.key}) == 3
    assert through_layers(whole, (1, 0)).key == through_layers(whole, (0, 1)).key
    assert through_layers(whole, ()) is whole
    sums = [
        a.left.T @ a.right + b.left.T @ b.right
        for a, b in zip(first.gradient.layers, second.gradient.layers, strict=True)
    ]
    for found, layer in zip(sums, whole.gradient.layers, strict=True):
        np.testing.assert_allclose(found, layer.left.T @ layer.right)


def test_the_least_recently_used_make_room(engine: StubEngine):
    cache = cache_of(engine, 2)
    for token in (2, 3, 2, 4):
        cache.get([named(engine, token)], WHOLE)
    assert repr(cache) == f"PreconditionedCache({2 * BYTES}/{2 * BYTES} bytes)"
    cache.get([named(engine, 2)], WHOLE)
    assert engine.count("precondition") == 3


async def test_kept_queries_do_not_wait_for_the_engine(engine: StubEngine):
    thread, cache, free = EngineThread(), cache_of(engine, 2), threading.Event()
    preconditioner, query = Preconditioner(cache, thread), named(engine, 2)
    first = await preconditioner.precondition([query], WHOLE, Stopwatch())
    busy = asyncio.create_task(thread.run(free.wait))
    await asyncio.sleep(0)  # until it has its turn
    try:
        async with asyncio.timeout(10):
            assert await preconditioner.precondition([query], WHOLE, Stopwatch()) is first
    finally:
        free.set()
        await busy
        await thread.close()


def test_more_queries_than_fit_are_answered_but_not_kept(engine: StubEngine):
    cache = cache_of(engine, 1)
    assert cache.get([named(engine, 2), named(engine, 3)], WHOLE).queries == 2
    assert repr(cache) == f"PreconditionedCache(0/{BYTES} bytes)"


def test_a_rank_is_the_engines_to_bound_and_what_it_cost_comes_with_it():
    engine = LowRankStub("m", "f")
    found = cache_of(engine, 4).get([named(engine, 2)], Preconditioning(damping_factor=0.1, rank=1))
    assert engine.count("rank 1") == 1
    assert found.truncation_errors == (0.1,)


def test_an_engine_that_knows_no_ranks_keeps_queries_whole(engine: StubEngine):
    found = cache_of(engine, 4).get([named(engine, 2)], Preconditioning(damping_factor=0.1, rank=1))
    assert found.truncation_errors == (0.0,)
    assert QueryMemory(engine, limit_bytes=BYTES).max_queries(1) == 1


def test_more_queries_fit_in_a_bounded_rank_and_more_than_fit_are_refused():
    memory = QueryMemory(LowRankStub("m", "f"), limit_bytes=10 * BYTES)
    rank_1 = 8 * sum(layer.d_out + layer.d_in for layer in LAYERS)
    assert memory.bytes_per_query(1) == rank_1
    assert memory.bytes_per_query(100) == BYTES  # no rank makes it more
    assert (memory.max_queries(), memory.max_queries(1)) == (10, 10 * BYTES // rank_1)
    memory.require(10)
    with pytest.raises(InvalidRequestError, match=r"11 queries at once.*holds 10 whole") as caught:
        memory.require(11)
    assert caught.value.reason == "TOO_MANY_QUERIES"
