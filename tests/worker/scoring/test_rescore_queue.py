"""Re-ranks that are under way together share batches: what is planned, and what each of them gets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from whence import tensors
from whence.errors import DeadlineError
from whence.worker.v1 import worker_service_pb2 as pb
from whence_backends.contract import Detail, QueryGradient
from whence_backends.corpus import Corpus
from whence_backends.worker.gradients.source import NamedGradient
from whence_backends.worker.runtime.context import CallContext
from whence_backends.worker.scoring.pending_rescore import PendingRescore
from whence_backends.worker.scoring.preconditioning import Preconditioning
from whence_backends.worker.scoring.shared_batch import SharedBatch, plan_shared
from whence_service.rpc.deadlines import Deadline
from whence_service.rpc.identity import ANYONE, enter
from worker.harness import LAYERS, Running, Serve, ask, failure, until

PRECONDITIONING = Preconditioning(damping_factor=0.1)


def pending(
    name: str,
    *batches: list[int],
    preconditioning: Preconditioning = PRECONDITIONING,
    expires_at_s: float = 100.0,
    queries: int = 1,
    tenant: str = "",
) -> PendingRescore:
    enter(replace(ANYONE, tenant=tenant))
    gradient = QueryGradient(layers=(), log_likelihood=0.0)
    named = [NamedGradient(key=f"{name}{number}", gradient=gradient) for number in range(queries)]
    held = [np.array(batch) for batch in batches]
    return PendingRescore(named, preconditioning, held, CallContext(deadline=Deadline(expires_at_s=expires_at_s)))


def plan(
    *waiting: PendingRescore, now_s: float = 0.0, budget: int = 4, most: int = 10, share: bool = True
) -> SharedBatch:
    """Plan with sequences of one token each."""
    return plan_shared(waiting, now_s, padded_tokens=len, token_budget=budget, max_queries=lambda _: most, share=share)


def test_one_by_itself_has_its_own_batches():
    alone = pending("a", [5, 3], [9])
    batch = plan(alone)
    assert (batch.chosen, batch.positions.tolist()) == ((alone,), [5, 3])


def test_a_batch_is_filled_up_with_what_others_want_next():
    a, b = pending("a", [5, 3]), pending("b", [7, 8], [1, 2])
    batch = plan(a, b)
    assert (batch.chosen, batch.positions.tolist()) == ((a, b), [5, 3, 7, 8])


def test_what_does_not_fit_waits_for_its_turn():
    a, b, c = pending("a", [5, 3, 4]), pending("b", [7, 8]), pending("c", [6])
    batch = plan(a, b, c)
    assert (batch.chosen, batch.positions.tolist()) == ((a, c), [5, 3, 4, 6])
    assert batch.waiting == (b, a, c)


def test_a_call_that_wants_a_sequence_of_a_full_batch_takes_part():
    """Broken by: scoring the same sequence once for each call."""
    a, b = pending("a", [1, 2, 3, 4]), pending("b", [7, 8, 9], [3])
    batch = plan(a, b)
    assert (batch.chosen, batch.positions.tolist()) == ((a, b), [1, 2, 3, 4])
    assert batch.positions[b.wanted(batch.positions)].tolist() == [3]
    b.drop(batch.positions)
    assert (b.next_batch().tolist(), b.left) == ([7, 8, 9], 3)
    b.drop(np.array([7, 8, 9]))
    assert (b.next_batch().tolist(), b.left) == ([], 0)


def test_only_those_that_are_preconditioned_alike_share():
    a, b = pending("a", [1]), pending("b", [1, 2], preconditioning=Preconditioning(damping_factor=0.2))
    assert plan(a, b).chosen == (a,)
    assert plan(a, b, share=False).chosen == plan(a, pending("c", [1]), share=False).chosen == (a,)


def test_no_more_queries_share_than_fit_into_memory():
    a, b, c = pending("a", [1], queries=2), pending("b", [2], queries=2), pending("c", [3])
    batch = plan(a, b, c, most=3)
    assert batch.chosen == batch.group == (a, c)
    assert plan(a, b, most=1).chosen == (a,)  # by itself it was let in before


def test_an_expired_or_abandoned_call_is_in_no_batch():
    late, gone, able = pending("late", [1], expires_at_s=5.0), pending("gone", [1]), pending("able", [1])
    gone.abandoned = True
    batch = plan(late, gone, able, now_s=5.0)
    assert (batch.chosen, batch.expired, batch.waiting) == ((able,), (late,), (able,))


def test_tenants_take_turns_however_many_calls_each_has():
    waiting = tuple(pending(name, [1], [2], [3], tenant=name[0]) for name in ("a1", "a2", "b1", "c1"))
    order = []
    for _ in range(6):
        batch = plan(*waiting, share=False)
        waiting = batch.waiting
        order.append(batch.chosen[0].gradients[0].key[:2])
    assert order == ["a1", "b1", "c1", "a2", "b1", "c1"]


def test_every_call_gets_its_turn():
    """Broken by: beginning with the same call each time."""
    a, b = pending("a", [1, 2, 3, 4], [5, 6, 7, 8]), pending("b", [11, 12, 13, 14])
    first = plan(a, b)
    first.chosen[0].drop(first.positions)
    second = plan(*first.waiting)
    assert (first.chosen, second.chosen) == ((a,), (b,))


def rescore(worker: Running, query: object, positions: list[int]) -> pb.RescoreRequest:
    return pb.RescoreRequest(
        generation=worker.generation,
        queries=[query],
        positions=positions,
        preconditioning=pb.Preconditioning(damping_factor=0.1),
    )


@pytest.mark.parametrize("progress", [False, True])
async def test_sequences_are_named_where_progress_is_followed(serve: Serve, queries, artefacts, progress: bool):
    corpus = Corpus.open(artefacts.corpus)
    async with serve() as worker:
        request = rescore(worker, queries[0], [40, 3, 17])
        request.progress = progress
        parts = [part async for part in worker.stub.Rescore(request)]
    for part in parts:
        expected = [corpus.record(position).sequence_id for position in part.positions]
        assert [sequence.sequence_id for sequence in part.sequences] == (expected if progress else [])
        assert not any(sequence.text for sequence in part.sequences)
    assert sum(len(part.positions) for part in parts) == 3


async def influences(worker: Running, query: object, positions: list[int]) -> dict[int, float]:
    scores: dict[int, float] = {}
    async for answer in worker.stub.Rescore(rescore(worker, query, positions)):
        if answer.positions:
            [row] = tensors.rows(answer.raw_influence)
            new = dict(zip(answer.positions, row, strict=True))
            assert not scores.keys() & new.keys()
            scores |= new
    return scores


class Gate:
    """Holds the engine before its first score until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, call: str) -> None:
        if call == "score":
            self.reached.set()
            assert self.opened.wait(20)


@pytest.fixture
def queries() -> list[object]:
    return [ask(), ask("", "storm"), ask("a gull ", "over the sea")]


async def together(worker: Running, calls: list[Callable[[], object]], gate: Gate) -> list[object]:
    """Start the first call, and the others while its first batch is in the engine."""
    worker.engine.before = gate
    tasks = [asyncio.create_task(calls[0]())]
    await until(gate.reached.is_set)
    tasks += [asyncio.create_task(call()) for call in calls[1:]]
    await until(lambda: len(worker.worker._model.rescores._waiting) == len(calls))
    gate.opened.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_calls_under_way_together_get_what_they_would_alone_and_share_the_work(serve: Serve, queries):
    """Broken by: rows of another call; a sequence that one call has and another still waits for."""
    wanted = [list(range(30)), list(range(10, 40)), list(range(5, 35))]
    async with serve(batch_tokens=256) as worker:
        alone = [await influences(worker, query, some) for query, some in zip(queries, wanted, strict=True)]
        before = len(worker.engine.batches)
        calls = [lambda q=q, w=w: influences(worker, q, w) for q, w in zip(queries, wanted, strict=True)]
        results = await together(worker, calls, Gate())
    for ours, theirs in zip(results, alone, strict=True):
        assert ours.keys() == theirs.keys()
        assert ours == pytest.approx(theirs, rel=1e-9)
    scored = sum(len(batch) for batch in worker.engine.batches[before:])
    assert scored < sum(map(len, wanted)) - 15


async def test_one_that_fails_takes_nothing_from_the_others(serve: Serve, queries):
    """The first has its time run out while the second and third are under way; the third is cancelled."""
    async with serve(batch_tokens=64) as worker:
        _, expected, _ = [await influences(worker, query, list(range(20))) for query in queries]
        gate = Gate()
        worker.engine.before = gate
        short = worker.stub.Rescore(rescore(worker, queries[0], list(range(40))), timeout=0.5)
        first = asyncio.create_task(failure(short))
        await until(gate.reached.is_set)
        second = asyncio.create_task(influences(worker, queries[1], list(range(20))))
        third = asyncio.create_task(influences(worker, queries[2], list(range(20))))
        await until(lambda: len(worker.worker._model.rescores._waiting) == 3)
        third.cancel()
        assert isinstance(await first, DeadlineError)
        gate.opened.set()
        assert await second == pytest.approx(expected, rel=1e-9)
        assert not worker.worker._model.rescores._waiting


async def test_an_engine_that_fails_fails_those_who_wait_and_the_next_is_answered(serve: Serve, queries):
    async with serve() as worker:

        def break_down(call: str) -> None:
            if call == "score":
                raise RuntimeError("out of order")

        worker.engine.before = break_down
        assert (await failure(worker.stub.Rescore(rescore(worker, queries[0], [1, 2])))).reason
        worker.engine.before = lambda _: None
        assert len(await influences(worker, queries[0], [1, 2])) == 2


async def test_batches_are_not_shared_where_that_is_not_wanted(serve: Serve, queries):
    wanted = [list(range(30)), list(range(10, 40))]
    async with serve(batch_tokens=256, share_batches=False) as worker:
        alone = [await influences(worker, query, some) for query, some in zip(queries[:2], wanted, strict=True)]
        calls = [lambda q=q, w=w: influences(worker, q, w) for q, w in zip(queries[:2], wanted, strict=True)]
        assert await together(worker, calls, Gate()) == alone


async def test_a_batch_that_fails_together_is_tried_for_each_by_itself(serve: Serve, queries):
    """Broken by: one call's failure, or what memory they take together, failing the others."""
    wanted = [list(range(20)), list(range(10, 30))]
    async with serve() as worker:
        alone = [await influences(worker, query, some) for query, some in zip(queries[:2], wanted, strict=True)]
        precondition = worker.engine.precondition

        def one_at_a_time(gradients, damping_factor):
            if len(gradients) > 1:
                raise MemoryError("two do not fit")
            return precondition(gradients, damping_factor)

        worker.engine.precondition = one_at_a_time
        calls = [lambda q=q, w=w: influences(worker, q, w) for q, w in zip(queries[:2], wanted, strict=True)]
        assert await together(worker, calls, Gate()) == alone


async def test_calls_that_do_not_all_fit_are_not_preconditioned_again_and_again(serve: Serve, queries):
    """Broken by: a composition that forgets who was in the one before, at each turn."""
    whole = 8 * sum(layer.d_out * layer.d_in for layer in LAYERS)
    wanted = [list(range(50)), list(range(10, 60)), list(range(5, 55))]
    async with serve(batch_tokens=64, query_memory_bytes=2 * whole, preconditioned_cache_bytes=0) as worker:
        for query in queries:
            await influences(worker, query, [0])  # their gradients are cached
        before = worker.engine.count("precondition")
        calls = [lambda q=q, w=w: influences(worker, q, w) for q, w in zip(queries, wanted, strict=True)]
        results = await together(worker, calls, Gate())
        assert [len(result) for result in results] == [50, 50, 50]
        assert worker.engine.count("precondition") - before <= 6


async def test_an_influence_that_is_not_finite_fails_its_own_call_alone(serve: Serve, queries):
    wanted = [list(range(20)), list(range(10, 30))]
    async with serve() as worker:
        expected = [await influences(worker, query, some) for query, some in zip(queries[:2], wanted, strict=True)]
        score = worker.engine.score

        def poisoned(preconditioned, sequences, detail=Detail.TOTAL):
            influence = score(preconditioned, sequences, detail)
            key = worker.worker._model.rescores
            rows = next(work.composition.rows for work in key._waiting if work.composition is not None)
            first = min(rows, key=lambda name: rows[name])
            if len(rows) > 1:
                influence[rows[first]] = np.nan
                broken.add(first)
            return influence

        broken: set[str] = set()
        worker.engine.score = poisoned
        calls = [lambda q=q, w=w: influences(worker, q, w) for q, w in zip(queries[:2], wanted, strict=True)]
        results = await together(worker, calls, Gate())
    assert len(broken) == 1
    assert sorted(isinstance(result, Exception) for result in results) == [False, True]
    [(left, alone)] = [pair for pair in zip(results, expected, strict=True) if not isinstance(pair[0], Exception)]
    assert left == pytest.approx(alone, rel=1e-9)


async def test_a_call_that_waits_when_the_worker_stops_is_refused(serve: Serve, queries):
    async with serve() as worker:
        await influences(worker, queries[0], [0])
        gate = Gate()
        worker.engine.before = gate
        waiting = asyncio.create_task(failure(worker.stub.Rescore(rescore(worker, queries[0], list(range(20))))))
        await until(gate.reached.is_set)
        closing = asyncio.create_task(worker.worker._model.rescores.close())
        assert (await waiting).reason == "WORKER_UNAVAILABLE"
        gate.opened.set()
        await closing


async def test_a_call_that_waits_past_its_deadline_is_ended_by_the_queue(serve: Serve, queries):
    """In process: over the wire the caller's own clock is as fast. Broken by: forgetting those that are not chosen."""
    async with serve() as worker:
        expected = await influences(worker, queries[0], list(range(20)))
        model, gate = worker.worker._model, Gate()
        prepared = await model.prepare([queries[0]], CallContext())
        worker.engine.before = gate
        first = asyncio.create_task(influences(worker, queries[0], list(range(20))))
        await until(gate.reached.is_set)
        late = model.rescores.rescore(
            prepared.gradients, PRECONDITIONING, [1, 2], CallContext(deadline=Deadline.after(0.05))
        )
        waiting = asyncio.create_task(anext(late))
        await asyncio.sleep(0.1)
        gate.opened.set()
        with pytest.raises(DeadlineError, match="after 0 of 2"):
            await waiting
        assert await first == expected
