"""Preconditioned queries are kept within their bound of device memory."""

from __future__ import annotations

import numpy as np
import pytest

from whence_backends.contract import TokenSequence
from whence_backends.worker.gradients import NamedGradient
from whence_backends.worker.preconditioned import PreconditionedCache
from worker.harness import StubEngine


@pytest.fixture
def engine() -> StubEngine:
    return StubEngine("m", "f")


def named(engine: StubEngine, token: int) -> NamedGradient:
    tokens = TokenSequence(token_ids=np.array([token, 1], np.int32), weights=np.array([0, 1], np.float32))
    return NamedGradient(key=f"q{token}", gradient=engine.query_gradients([tokens])[0])


def test_the_same_queries_and_damping_are_preconditioned_once(engine: StubEngine):
    cache = PreconditionedCache(engine, capacity_bytes=100, bytes_per_query=10)
    first = cache.get([named(engine, 2)], 0.1)
    assert cache.get([named(engine, 2)], 0.1) is first
    assert engine.count("precondition") == 1


def test_another_damping_is_another_result(engine: StubEngine):
    cache = PreconditionedCache(engine, capacity_bytes=100, bytes_per_query=10)
    first = cache.get([named(engine, 2)], 0.1)
    assert not np.array_equal(first[0][0], cache.get([named(engine, 2)], 0.5)[0][0])


def test_the_least_recently_used_make_room(engine: StubEngine):
    cache = PreconditionedCache(engine, capacity_bytes=20, bytes_per_query=10)
    for token in (2, 3, 2, 4):
        cache.get([named(engine, token)], 0.1)
    assert repr(cache) == "PreconditionedCache(2/2 queries)"
    cache.get([named(engine, 2)], 0.1)
    assert engine.count("precondition") == 3


def test_more_queries_than_fit_are_answered_but_not_kept(engine: StubEngine):
    cache = PreconditionedCache(engine, capacity_bytes=10, bytes_per_query=10)
    assert len(cache.get([named(engine, 2), named(engine, 3)], 0.1)) == 2
    assert repr(cache) == "PreconditionedCache(0/1 queries)"
