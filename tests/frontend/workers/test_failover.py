"""A call survives the loss of a worker whose shards others hold: asked of them, with the same answer."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from frontend.indexed_stub import IndexedStub
from frontend.stub_worker import StubWorker
from whence.errors import UnavailableError
from whence.v1 import attribution_pb2
from whence.v1 import attribution_service_pb2 as messages

BOTH = attribution_pb2.DIRECTION_BOTH
GONE = UnavailableError("stopping", reason="DRAINING")


def dying(kind: type[StubWorker], method: str, call: int = 1) -> type[StubWorker]:
    """A worker that from the given call of a method on answers nothing any more."""

    class Dying(kind):  # type: ignore[misc, valid-type]
        calls = 0
        dead = False

        def _gone(self, name: str) -> bool:
            if name == method:
                self.calls += 1
                self.dead = self.dead or self.calls >= call
            return self.dead

    def unary(name: str):
        async def answer(self, request, context):
            if self._gone(name):
                raise GONE
            return await getattr(kind, name)(self, request, context)

        return answer

    def stream(name: str):
        async def answer(self, request, context):
            gone = self._gone(name)
            async for response in getattr(kind, name)(self, request, context):
                yield response
                if gone:
                    raise GONE
            if gone:
                raise GONE

        return answer

    for name in ("PrepareQueries", "ScoreSequences", "Search", "ReadIndexRows", "RefineSketch"):
        if hasattr(kind, name):
            setattr(Dying, name, unary(name))
    for name in ("Scan", "Rescore"):
        if hasattr(kind, name):
            setattr(Dying, name, stream(name))
    return Dying


def told(answer):
    """All of an answer but what differs from call to call, or with how many workers there are (a stub's warning)."""
    for differs in ("timings", "request_id", "warnings"):
        answer.metadata.ClearField(differs)
    return answer


def asked(query, **more):
    options = attribution_pb2.AttributionOptions(**{"top_k": 6, "candidates": 40, "direction": BOTH, **more})
    return messages.AttributeRequest(query=query, options=options)


HOPS = [
    (StubWorker, "PrepareQueries", 1),
    (StubWorker, "Scan", 1),
    (StubWorker, "ScoreSequences", 1),
    (IndexedStub, "PrepareQueries", 1),
    (IndexedStub, "Search", 1),
    (IndexedStub, "Rescore", 1),
    (IndexedStub, "ReadIndexRows", 1),
    (IndexedStub, "RefineSketch", 1),
    (IndexedStub, "Search", 2),
    (IndexedStub, "Rescore", 2),
    (IndexedStub, "ScoreSequences", 1),
]


@pytest.mark.parametrize(("kind", "method", "call"), HOPS)
@pytest.mark.parametrize("partial", [False, True])
async def test_whatever_hop_it_fails_in_the_answer_is_the_same(
    start_worker, start_front, ask, logs, kind, method, call, partial
):
    """Broken by: a hop without another holder to ask; what was told before counted twice."""
    expected_front = await start_front(await start_worker(kind=kind))
    workers = [await start_worker(kind=dying(kind, method, call)), await start_worker(kind=kind)]
    front = await start_front(*workers, refresh_s=60)
    for count in range(1, 9):  # some queries are prepared and refined by the one that dies
        request = asked(ask(count * "a"), return_partial_success=partial)
        expected = told(await expected_front.stub.Attribute(request))
        assert told(await front.stub.Attribute(request)) == expected
        if workers[0].stub.dead:
            break
    assert workers[0].stub.dead
    assert any(line["event"] == "a worker was lost during a call" and not line["lost"] for line in logs)
    assert front.front._registry.get_sample_value("whence_failovers_total") == 1


@pytest.mark.parametrize("kind", [StubWorker, IndexedStub])
async def test_a_worker_of_a_newer_generation_is_replaced_by_one_of_the_requests(start_worker, start_front, ask, kind):
    """Broken by: a rollout that fails the requests which it overtakes."""
    workers = [await start_worker(kind=kind), await start_worker(kind=kind)]
    front = await start_front(*workers, refresh_s=60)
    expected = [told(await front.stub.Attribute(asked(ask(count * "a")))) for count in (1, 2, 3)]
    workers[0].stub.factors = "f2"
    assert [told(await front.stub.Attribute(asked(ask(count * "a")))) for count in (1, 2, 3)] == expected


@pytest.mark.parametrize("method", ["PrepareQueries", "Scan", "ScoreSequences"])
async def test_streams_and_batches_survive_too(start_worker, start_front, ask, method):
    expected_front = await start_front(await start_worker())
    front = await start_front(await start_worker(kind=dying(StubWorker, method)), await start_worker(), refresh_s=60)
    queries = [ask(completion) for completion in ("a", "ab", "abc", "abcd")]
    options = asked(queries[0]).options
    batch = messages.BatchAttributeRequest(queries=queries, options=options)
    assert told(await front.stub.BatchAttribute(batch)) == told(await expected_front.stub.BatchAttribute(batch))

    streaming = messages.StreamAttributeRequest(query=queries[0], options=options)
    (*_, last), (*_, expected) = [
        [event async for event in one.stub.StreamAttribute(streaming)] for one in (front, expected_front)
    ]
    assert told(last.result) == told(expected.result)


async def test_scores_and_explanations_survive(start_worker, start_front, ask):
    expected_front = await start_front(await start_worker())
    sequences = [messages.SequenceSelector(sequence_id=f"doc{position}#0") for position in range(12)]
    score = messages.ScoreRequest(queries=[ask("abc"), ask("a")], sequences=sequences, include_layers=True)
    explain = messages.ExplainRequest(query=ask("abc"), sequence=sequences[3])
    for call in (1, 2, 3):
        front = await start_front(
            await start_worker(kind=dying(StubWorker, "ScoreSequences", call)), await start_worker(), refresh_s=60
        )
        assert told(await front.stub.Score(score)) == told(await expected_front.stub.Score(score))
        assert told(await front.stub.Explain(explain)) == told(await expected_front.stub.Explain(explain))


async def test_two_of_three_may_be_lost_and_not_the_third(start_worker, start_front, ask, failure_of):
    expected_front = await start_front(await start_worker())
    workers = [await start_worker(kind=dying(StubWorker, "Scan")) for _ in range(2)] + [await start_worker()]
    front = await start_front(*workers, refresh_s=60)
    assert told(await front.stub.Attribute(asked(ask()))) == told(await expected_front.stub.Attribute(asked(ask())))
    workers[2].stub.failure = GONE
    error = await failure_of(front.stub.Attribute(asked(ask())))
    assert (error.reason, error.code) == ("WORKER_UNAVAILABLE", grpc.StatusCode.UNAVAILABLE)


async def test_what_nobody_else_holds_is_still_an_error_or_missing(start_worker, start_front, ask, failure_of):
    """Broken by: moving a worker's shards as a whole, or not at all."""
    dead = await start_worker(["a", "b"], kind=dying(StubWorker, "Scan"))
    front = await start_front(dead, await start_worker(["b", "c"]), refresh_s=60)
    error = await failure_of(front.stub.Attribute(asked(ask())))
    assert (error.reason, error.details["worker"]) == ("WORKER_UNAVAILABLE", dead.address)
    answer = await front.stub.Attribute(asked(ask(), return_partial_success=True))
    assert list(answer.metadata.unreachable_shards) == ["a"]
    assert answer.metadata.sequences_scored == 8
    assert {hit.sequence.document_id for hit in answer.attribution.positive}.isdisjoint({f"doc{n}" for n in range(4)})


async def test_only_a_worker_that_went_away_is_replaced(start_worker, start_front, ask, failure_of):
    """Broken by: asking another for what fails everywhere, such as a request that is wrong."""
    broken, other = await start_worker(), await start_worker()
    broken.stub.failure = other.stub.failure = ValueError("a bug")
    front = await start_front(broken, other, refresh_s=60)
    error = await failure_of(front.stub.Attribute(asked(ask())))
    assert error.code is grpc.StatusCode.INTERNAL
    assert front.front._registry.get_sample_value("whence_failovers_total") == 0


async def test_another_holder_is_asked_within_the_same_deadline(start_worker, start_front, ask, failure_of):
    late = await start_worker()
    late.stub.may_finish.clear()
    front = await start_front(await start_worker(kind=dying(StubWorker, "Scan")), late, refresh_s=60)
    async with asyncio.timeout(10):
        error = await failure_of(front.stub.Attribute(asked(ask()), timeout=1.0))
    assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED
