"""The sample of a search of candidates: what is scored for it, what follows, and when nothing is said."""

from __future__ import annotations

import grpc
import pytest

from frontend.indexed_stub import SEQUENCES, SHARDS, IndexedStub, influence
from whence.errors import UnavailableError, UnimplementedError
from whence.v1 import attribution_pb2, attribution_service_pb2

SAMPLE = 40
LENGTH = 3
NOISE_FIELDS = ("noise", "positive_significant", "negative_significant")


def request(query, **more) -> attribution_service_pb2.AttributeRequest:
    options = attribution_pb2.AttributionOptions(**{"candidates": 40, "top_k": 10, "noise_sample": SAMPLE, **more})
    return attribution_service_pb2.AttributeRequest(query=query, options=options)


def codes(answer) -> set[str]:
    return {warning.code for warning in answer.metadata.warnings}


def scored(worker) -> set[int]:
    return {position for rescored in worker.stub.rescored for position in rescored.positions}


@pytest.fixture
async def worker(start_worker):
    return await start_worker(kind=IndexedStub)


@pytest.fixture
async def front(start_front, worker):
    return await start_front(worker)


async def test_a_sample_tells_the_noise_and_what_it_cost(front, worker, ask):
    answer = await front.stub.Attribute(request(ask("abc")))
    noise = answer.attribution.noise
    assert noise.sequences == len(scored(worker)) == answer.metadata.sequences_scored
    assert noise.sampled == noise.sequences - 40
    assert SAMPLE <= noise.sampled <= 2 * SAMPLE
    sizes = sorted(abs(influence(LENGTH, position)) for position in range(SEQUENCES))
    assert noise.scale * 100 == pytest.approx(1.4826 * sizes[SEQUENCES // 2], rel=0.3)
    assert all(hit.HasField("signal") and hit.HasField("significance") for hit in answer.attribution.positive)


@pytest.mark.parametrize("direction", ["DIRECTION_POSITIVE", "DIRECTION_NEGATIVE", "DIRECTION_BOTH"])
async def test_the_ranking_is_that_without_a_sample(front, ask, direction):
    """Broken by: ranking what was sampled."""
    with_sample, without = [
        (
            await front.stub.Attribute(request(ask("abc"), candidates=20, direction=direction, noise_sample=size))
        ).attribution
        for size in (100, 0)
    ]
    for name in ("positive", "negative"):
        ranked = [
            [(hit.rank, hit.sequence, hit.raw_influence) for hit in getattr(attribution, name)]
            for attribution in (with_sample, without)
        ]
        assert ranked[0] == ranked[1]
        assert getattr(with_sample, f"{name}_recall") == getattr(without, f"{name}_recall")
    assert with_sample.HasField("noise")
    assert not any(without.HasField(field) for field in NOISE_FIELDS)


async def test_the_opposite_direction_is_scored_where_it_is_not_asked_for(front, worker, ask):
    await front.stub.Attribute(request(ask("abc")))
    order = sorted(range(SEQUENCES), key=lambda position: influence(LENGTH, position))
    assert scored(worker).issuperset(order[:20])
    both = await front.stub.Attribute(request(ask("abc"), direction="DIRECTION_BOTH"))
    assert both.attribution.noise.sampled < SAMPLE


@pytest.mark.parametrize("split", [(("a",), ("b",)), (("b",), ("a",)), (("a", "b"), ("a", "b"))])
async def test_the_noise_does_not_depend_on_where_the_shards_are(front, start_worker, start_front, ask, split):
    """Broken by: a draw of each shard by itself."""
    sharded = await start_front(*[await start_worker(shards, kind=IndexedStub) for shards in split])
    answers = [await each.stub.Attribute(request(ask("abc"))) for each in (front, sharded)]
    assert answers[0].attribution == answers[1].attribution
    assert answers[0].attribution.HasField("noise")


async def test_equal_requests_draw_the_same(front, worker, ask):
    first, second = [(await front.stub.Attribute(request(ask("abc")))).attribution for _ in range(2)]
    assert first == second
    await front.stub.Attribute(request(ask("another query")))
    assert len({drawn.seed for drawn in worker.stub.drawn}) == 1


async def test_the_noise_of_a_query_does_not_depend_on_others_of_its_batch(front, ask):
    given = request(ask("abc"))
    batch = attribution_service_pb2.BatchAttributeRequest(queries=[ask("abc"), ask("x")], options=given.options)
    together = await front.stub.BatchAttribute(batch)
    alone = await front.stub.Attribute(given)
    assert together.attributions[0].noise == alone.attribution.noise


async def test_only_what_is_told_from_noise_is_returned_where_asked(front, ask):
    whole = (await front.stub.Attribute(request(ask("abc")))).attribution
    told = (await front.stub.Attribute(request(ask("abc"), significant_only=True))).attribution
    assert list(told.positive) == whole.positive[: whole.positive_significant]


async def test_a_worker_too_old_to_draw_leaves_the_noise_unknown_and_says_so(front, worker, ask):
    worker.stub.draw_refusal = UnimplementedError("Method not found!", reason="GRPC_UNIMPLEMENTED")
    answer = await front.stub.Attribute(request(ask("abc")))
    assert len(answer.attribution.positive) == 10
    assert not any(answer.attribution.HasField(field) for field in NOISE_FIELDS)
    assert "older version" in next(
        warning.message for warning in answer.metadata.warnings if warning.code == "NOISE_UNKNOWN"
    )


async def test_a_deadline_that_cuts_the_sample_short_leaves_the_noise_unknown(front, worker, ask):
    """Broken by: taking what was scored in time for the sample: it is the short sequences."""
    worker.stub.scoring_s = 0.02
    answer = await front.stub.Attribute(request(ask("abc"), candidates=20, noise_sample=80), timeout=1.5)
    assert answer.metadata.sequences_scored > 20
    assert len(answer.attribution.positive) == 10
    assert not any(answer.attribution.HasField(field) for field in NOISE_FIELDS)
    assert "NOISE_UNKNOWN" in codes(answer)
    assert "RERANK_INCOMPLETE" not in codes(answer)


@pytest.mark.parametrize("partial", [True, False])
async def test_a_worker_that_is_lost_as_the_sample_is_drawn(start_front, start_worker, ask, partial):
    """Broken by: noise of the sequences that are left, beside hits of those that are not."""
    workers = [await start_worker((shard,), kind=IndexedStub) for shard in "ab"]
    front = await start_front(*workers)
    workers[0].stub.draw_refusal = UnavailableError("gone", reason="WORKER_UNAVAILABLE")
    call = front.stub.Attribute(request(ask("abc"), return_partial_success=partial))
    if not partial:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        return
    answer = await call
    held = {f"doc{position}#0" for position in SHARDS["b"]}
    assert held.issuperset(hit.sequence.sequence_id for hit in answer.attribution.positive)
    assert answer.metadata.sequences_searched == len(held)
    assert 20 <= answer.attribution.noise.sequences <= len(held)


async def test_the_noise_of_a_partial_answer_is_that_of_the_sequences_it_covers(start_front, start_worker, ask):
    workers = [await start_worker((shard,), kind=IndexedStub) for shard in "ab"]
    front = await start_front(*workers)
    await workers[1].stop()
    answer = await front.stub.Attribute(request(ask("abc"), return_partial_success=True))
    assert "PARTIAL_ANSWER" in codes(answer)
    assert answer.metadata.sequences_searched == 120
    assert 40 < answer.attribution.noise.sequences <= 120


async def test_estimates_alone_take_no_sample(front, worker, ask):
    answer = await front.stub.Attribute(request(ask("abc"), search="SEARCH_INDEX_ONLY"))
    assert not worker.stub.drawn
    assert not worker.stub.rescored
    assert not answer.attribution.HasField("noise")


@pytest.mark.parametrize("size", [1, 19, 10_001])
async def test_a_sample_is_neither_too_small_nor_too_large(front, ask, size):
    with pytest.raises(Exception, match=f"noise_sample is {size}") as caught:
        await front.stub.Attribute(request(ask("abc"), noise_sample=size))
    assert caught.value.code().name == "INVALID_ARGUMENT"
