"""Gradients that are kept as they are handed out."""

from __future__ import annotations

import numpy as np

from whence_backends.contract import LayerGradient, QueryGradient, TokenSequence
from whence_backends.worker.gradients.kept import Kept
from whence_backends.worker.gradients.source import NamedGradient, NamedQuery
from whence_backends.worker.runtime.records import CacheOutcome, CacheRecord, WorkerRecord
from whence_service.rpc.stages import Stopwatch

GRADIENT = QueryGradient(layers=(LayerGradient(left=np.ones((2, 3)), right=np.ones((2, 4))),), log_likelihood=-1.0)
SIZE_BYTES = 8 * (2 * 3 + 2 * 4)


class Source:
    def __init__(self) -> None:
        self.asked: list[str] = []

    async def get(self, query: NamedQuery, stopwatch: Stopwatch) -> NamedGradient:
        self.asked.append(query.key)
        return NamedGradient(key=query.key, gradient=GRADIENT)


async def ask(kept: Kept, *keys: str) -> list[NamedGradient]:
    tokens = TokenSequence(token_ids=np.zeros(2, np.int32), weights=np.ones(2, np.float32))
    return [await kept.get(NamedQuery(tokens=tokens, key=key, material=b""), Stopwatch()) for key in keys]


async def test_a_gradient_that_is_kept_is_a_hit_and_the_source_is_not_asked():
    source, records = Source(), list[WorkerRecord]()
    first, again = await ask(Kept(source, SIZE_BYTES, observe=records.append), "a", "a")
    assert again is first
    assert source.asked == ["a"]
    assert records == [CacheRecord(layer="memory", operation="get", outcome=CacheOutcome.HIT, key="a")]


async def test_the_least_recently_used_gradients_make_room():
    source = Source()
    await ask(Kept(source, 2 * SIZE_BYTES), "a", "b", "a", "c", "a", "b")
    assert source.asked == ["a", "b", "c", "b"]


async def test_nothing_is_kept_without_memory():
    source = Source()
    await ask(Kept(source, 0), "a", "a")
    assert source.asked == ["a", "a"]
