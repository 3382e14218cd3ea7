"""The noise of an answer: from what all workers counted, in the unit of influences, and what is told from it."""

from __future__ import annotations

import random

import pytest

from frontend.indexed_stub import SEQUENCES, IndexedStub
from frontend.stub_worker import TRAINING_SET_SIZE, StubWorker
from whence.significance import is_significant
from whence.v1 import attribution_pb2, attribution_service_pb2
from whence.worker.v1 import worker_service_pb2 as messages
from whence_service.frontend.search.distributions import merge_distributions
from whence_service.shrinkage.distribution import Distribution
from whence_service.shrinkage.shrinkage import shrink

BOTH = attribution_pb2.DIRECTION_BOTH
POSITIVE = attribution_pb2.DIRECTION_POSITIVE


def made_up(shard: str, scale: float) -> list[float]:
    """Influences of which a few are large and positive, different for each shard."""
    rng = random.Random(shard)
    return [scale * (rng.gauss(0, 1) if number % 50 else abs(rng.gauss(0, 20))) for number in range(200)]


class CountingWorker(StubWorker):
    """Counts made-up influences for each of its shards, beside those of its table: 2, 1, 0, -1 and -2.

    With noise of the default scale the twos are told from it, and the others are not, nor is any negative influence.
    """

    def __init__(self, *args, scale: float = 0.35, sequences: int = 200, counts: bool = True, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.scale, self.sequences, self.counts = scale, sequences, counts

    def _answer(self, request, positions, *, scanned):
        answer = super()._answer(request, positions, scanned=scanned)
        if answer.done and self.counts:
            for _ in request.queries:
                answer.distributions.append(self._counted(request.shards))
        return answer

    def _counted(self, shards) -> messages.InfluenceDistribution:
        influences = [value for shard in shards for value in made_up(shard, self.scale)[: self.sequences]]
        weights = Distribution.of(influences).weights
        return messages.InfluenceDistribution(bins=weights.keys(), sequences=map(int, weights.values()))


def request(ask, completion: str = "a", **options) -> attribution_service_pb2.AttributeRequest:
    chosen = attribution_pb2.AttributionOptions(**{"top_k": 6, "direction": BOTH, **options})
    return attribution_service_pb2.AttributeRequest(query=ask(completion), options=chosen)


def codes(answer) -> set[str]:
    return {warning.code for warning in answer.metadata.warnings}


@pytest.fixture
async def counting(start_worker, start_front):
    """Start a front end whose one worker counts influences."""

    async def start(**more):
        return await start_front(await start_worker(kind=CountingWorker, **more))

    return start


async def test_hits_have_the_signal_and_the_significance_that_follow_from_all_influences(counting, ask):
    """Broken by: a noise of raw influences beside influences in nats; a noise of one shard."""
    expected = shrink(Distribution.of([value for shard in "abc" for value in made_up(shard, 0.35)]))
    attribution = (await (await counting()).stub.Attribute(request(ask))).attribution
    assert attribution.noise.scale == expected.scale / TRAINING_SET_SIZE
    assert attribution.noise.positive_threshold == expected.threshold(1) / TRAINING_SET_SIZE
    assert not attribution.noise.HasField("negative_threshold")
    assert attribution.noise.degrees_of_freedom == expected.tails.freedom
    assert attribution.noise.sequences == 600
    for hit in (*attribution.positive, *attribution.negative):
        assert hit.signal == expected.signal(hit.raw_influence) / TRAINING_SET_SIZE
        assert hit.significance == expected.significance(hit.raw_influence)


@pytest.mark.parametrize("split", [(("a",), ("b", "c")), (("c", "a"), ("b",)), (("a", "b", "c"), ("a", "b", "c"))])
async def test_noise_does_not_depend_on_where_the_shards_are(counting, start_worker, start_front, ask, split):
    alone = await counting()
    sharded = await start_front(*[await start_worker(shards, kind=CountingWorker) for shards in split])
    answers = [await front.stub.Attribute(request(ask)) for front in (alone, sharded)]
    assert answers[0].attribution == answers[1].attribution


async def test_an_answer_says_after_which_rank_nothing_is_told_from_noise(counting, ask):
    attribution = (await (await counting()).stub.Attribute(request(ask))).attribution
    hits, told = attribution.positive, attribution.positive_significant
    assert [is_significant(hit.significance) for hit in hits] == [hit.rank <= told for hit in hits]
    assert told == sum(hit.raw_influence == 2 for hit in hits)
    assert 0 < told < len(hits)
    assert attribution.negative_significant == 0


async def test_the_number_in_the_whole_corpus_is_told_too(counting, ask):
    attribution = (await (await counting()).stub.Attribute(request(ask, top_k=1))).attribution
    observed = [value / TRAINING_SET_SIZE for shard in "abc" for value in made_up(shard, 0.35)]
    noise = attribution.noise
    assert noise.positive_significant == pytest.approx(
        sum(value >= noise.positive_threshold for value in observed), abs=1
    )
    assert noise.negative_significant == 0
    assert attribution.positive_significant == 1


async def test_only_what_is_told_from_noise_is_returned_where_asked(counting, ask):
    """Broken by: cutting the ranking before it is known what is told."""
    front = await counting()
    whole = (await front.stub.Attribute(request(ask))).attribution
    answer = await front.stub.Attribute(request(ask, significant_only=True))
    assert list(answer.attribution.positive) == whole.positive[: whole.positive_significant]
    assert not answer.attribution.negative
    assert codes(answer) == {"STUB"}


async def test_what_its_parts_take_below_the_threshold_is_not_returned_as_told(start_worker, start_front, ask):
    worker = await start_worker(kind=CountingWorker)
    front = await start_front(worker)
    worker.stub.rounding = dict.fromkeys(range(12), 0.5)
    whole = await front.stub.Attribute(request(ask, include_layers=True))
    assert whole.attribution.positive_significant == 0
    answer = await front.stub.Attribute(request(ask, include_layers=True, significant_only=True))
    assert not answer.attribution.positive
    assert codes(answer) == {"STUB", "NOTHING_SIGNIFICANT"}


async def test_an_answer_warns_where_nothing_is_told_from_noise(counting, ask):
    answer = await (await counting(scale=5.0)).stub.Attribute(request(ask))
    assert (answer.attribution.positive_significant, answer.attribution.negative_significant) == (0, 0)
    assert len(answer.attribution.positive) > 0
    assert "NOTHING_SIGNIFICANT" in codes(answer)


@pytest.mark.parametrize("unknown", [{"sequences": 6}, {"counts": False}], ids=["few sequences", "an old worker"])
async def test_where_the_noise_is_unknown_no_signal_is_made_up(counting, ask, unknown):
    front = await counting(**unknown)
    answer = await front.stub.Attribute(request(ask, top_k=4))
    fields = ("noise", "positive_significant", "negative_significant")
    assert not any(answer.attribution.HasField(field) for field in fields)
    assert not any(hit.HasField("signal") or hit.HasField("significance") for hit in answer.attribution.positive)
    assert codes(answer) == {"STUB", "NEGATIVE_NOT_VALIDATED"}
    asked = await front.stub.Attribute(request(ask, significant_only=True))
    assert not asked.attribution.positive
    assert "NOISE_UNKNOWN" in codes(asked)


async def test_one_worker_that_does_not_count_leaves_the_noise_unknown(start_worker, start_front, ask):
    workers = [await start_worker(("a", "b"), kind=CountingWorker), await start_worker(("c",))]
    attribution = (await (await start_front(*workers)).stub.Attribute(request(ask))).attribution
    assert not attribution.HasField("noise")
    assert merge_distributions([], queries=0) == ()


async def test_a_stream_knows_the_noise_at_its_end(counting, ask):
    front = await counting()
    given = request(ask)
    stream = front.stub.StreamAttribute(
        attribution_service_pb2.StreamAttributeRequest(query=given.query, options=given.options)
    )
    events = [event async for event in stream]
    partial = [event.partial.attribution for event in events if event.HasField("partial")]
    assert partial
    assert not any(attribution.HasField("noise") for attribution in partial)
    assert events[-1].result.attribution == (await front.stub.Attribute(given)).attribution


async def test_each_query_of_a_batch_has_its_own_noise(counting, ask):
    front = await counting()
    given = request(ask)
    batch = attribution_service_pb2.BatchAttributeRequest(queries=[ask("a"), ask("bb")], options=given.options)
    answer = await front.stub.BatchAttribute(batch)
    assert answer.attributions[0] == (await front.stub.Attribute(given)).attribution
    assert all(attribution.HasField("noise") for attribution in answer.attributions)


async def test_the_index_alone_tells_no_significance(counting, ask):
    front = await counting()
    given = request(ask, significant_only=True, search=attribution_pb2.SEARCH_INDEX_ONLY)
    with pytest.raises(Exception, match="have no significance") as caught:
        await front.stub.Attribute(given)
    assert caught.value.code().name == "INVALID_ARGUMENT"


async def test_where_all_are_candidates_they_tell_the_noise_without_a_sample(start_worker, start_front, ask):
    """Broken by: taking candidates for a sample of the others."""
    front = await start_front(await start_worker(kind=IndexedStub))
    some = await front.stub.Attribute(request(ask, "abc", candidates=60, noise_sample=0))
    assert not some.attribution.HasField("noise")
    every = await front.stub.Attribute(request(ask, "abc", candidates=SEQUENCES))
    assert (every.attribution.noise.sequences, every.attribution.noise.sampled) == (SEQUENCES, 0)
    assert every.attribution.positive[0].HasField("signal")
    without = await front.stub.Attribute(request(ask, "abc", candidates=SEQUENCES, noise_sample=0))
    assert every.attribution == without.attribution
