"""Provisional rankings: whichever workers scored what, their hits are the sequences that they say they are."""

from __future__ import annotations

import asyncio

import pytest

from frontend import indexed_stub
from frontend.stub_worker import StubWorker, influence
from frontend.workers.test_failover import dying
from whence.v1 import attribution_pb2
from whence.v1 import attribution_service_pb2 as messages

BOTH = attribution_pb2.DIRECTION_BOTH
SCORING_S = 0.002


def streamed(query, **more) -> messages.StreamAttributeRequest:
    options = attribution_pb2.AttributionOptions(**{"top_k": 4, "direction": BOTH, **more})
    return messages.StreamAttributeRequest(query=query, options=options)


async def events_of(front, request) -> tuple[list[messages.PartialAttribution], messages.AttributeResponse]:
    """The partial rankings of a stream, and its result."""
    *partials, last = [event async for event in front.stub.StreamAttribute(request)]
    return [event.partial for event in partials], last.result


def hits(attribution) -> list[tuple[str, float]]:
    return [(hit.sequence.sequence_id, hit.raw_influence) for hit in (*attribution.positive, *attribution.negative)]


def position(sequence_id: str) -> int:
    return int(sequence_id.removeprefix("doc").removesuffix("#0"))


async def test_the_last_ranking_of_all_sequences_is_that_of_the_result(start_worker, start_front, ask):
    front = await start_front(*[await start_worker([shard]) for shard in ("a", "b", "c")])
    partials, result = await events_of(front, streamed(ask()))
    assert (partials[-1].sequences_scored, partials[-1].sequences_total) == (12, 12)
    assert hits(partials[-1].attribution) == hits(result.attribution) != []


async def test_rankings_of_several_workers_merge_to_one_of_their_sequences(start_worker, start_front, ask):
    """Each worker has scored the first sequence of its shard when it waits."""
    workers = [await start_worker([shard]) for shard in ("a", "b", "c")]
    front = await start_front(*workers)
    for worker in workers:
        worker.stub.may_finish.clear()
    call = front.stub.StreamAttribute(streamed(ask()))
    async with asyncio.timeout(10):
        while (partial := (await call.read()).partial).sequences_scored < 3:
            pass
    scored = {f"doc{first}#0": influence(ask(), first) for first in (0, 4, 7) if influence(ask(), first)}
    assert dict(hits(partial.attribution)) == scored
    call.cancel()


@pytest.mark.parametrize("method", ["PrepareQueries", "Scan"])
async def test_hits_keep_their_names_where_another_worker_takes_over(start_worker, start_front, ask, method):
    front = await start_front(await start_worker(kind=dying(StubWorker, method)), await start_worker(), refresh_s=60)
    for completion in ("a", "ab", "abc"):
        partials, result = await events_of(front, streamed(ask(completion)))
        assert hits(partials[-1].attribution) == hits(result.attribution)
        for name, raw in (hit for partial in partials for hit in hits(partial.attribution)):
            assert raw == influence(ask(completion), position(name))


async def test_candidates_that_are_re_ranked_are_named_as_they_are_scored(start_worker, start_front, ask):
    """Broken by: progress of a full scan alone; names without a caller who follows."""
    workers = [await start_worker([shard], kind=indexed_stub.IndexedStub) for shard in ("a", "b")]
    front = await start_front(*workers)
    for worker in workers:
        worker.stub.scoring_s = SCORING_S
    partials, result = await events_of(front, streamed(ask(), candidates=40))
    assert len({partial.sequences_scored for partial in partials}) > 2
    assert hits(partials[-1].attribution) == hits(result.attribution)
    for name, raw in (hit for partial in partials for hit in hits(partial.attribution)):
        assert raw == indexed_stub.influence(3, position(name))


@pytest.mark.parametrize(("kind", "asked"), [(StubWorker, "scanned"), (indexed_stub.IndexedStub, "rescored")])
async def test_workers_name_sequences_only_for_a_caller_who_follows(start_worker, start_front, ask, kind, asked):
    """Broken by: messages to all callers that only streams need."""
    worker = await start_worker(kind=kind)
    front = await start_front(worker)
    await front.stub.Attribute(messages.AttributeRequest(query=ask(), options=streamed(ask(), candidates=40).options))
    requests = getattr(worker.stub, asked)
    assert requests
    assert not any(request.progress for request in requests)


async def test_estimates_alone_are_no_ranking_of_scored_sequences(start_worker, start_front, ask):
    front = await start_front(await start_worker(kind=indexed_stub.IndexedStub))
    partials, result = await events_of(front, streamed(ask(), search=attribution_pb2.SEARCH_INDEX_ONLY))
    assert partials == []
    assert hits(result.attribution)
