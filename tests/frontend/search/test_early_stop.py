"""Candidates are scored until a ranking is complete enough: who stops, when, and what an answer says of it."""

from __future__ import annotations

import random

import pytest

from frontend.indexed_stub import SEQUENCES, IndexedStub, influence
from whence.errors import InvalidRequestError
from whence.v1 import attribution_pb2, attribution_service_pb2
from whence_service.frontend.search.candidates import Candidate, Candidates
from whence_service.frontend.search.early_stop import FEWEST_IN_PORTION, PORTIONS, EarlyStop

TFIDF = attribution_pb2.SEARCH_TFIDF_RERANK
FEW = 5  # hits
MANY = 160  # candidates, in five portions


def request(query, **more):
    options = attribution_pb2.AttributionOptions(**{"candidates": MANY, "top_k": FEW, "noise_sample": 0, **more})
    return attribution_service_pb2.AttributeRequest(query=query, options=options)


def best(length: int, count: int) -> list[str]:
    order = sorted(range(SEQUENCES), key=lambda position: -influence(length, position))
    return [f"doc{position}#0" for position in order[:count]]


def codes(answer) -> set[str]:
    return {warning.code for warning in answer.metadata.warnings}


def ranking(count: int, *, error: float = 1.0) -> Candidates:
    """Candidates with estimates of 3 · count down to 3."""
    return Candidates(
        positive=tuple(Candidate(position=n, estimate=3.0 * (count - n), error=error) for n in range(count))
    )


def as_estimated(candidates: Candidates, count: int) -> dict[int, list[float]]:
    return {one.position: [one.estimate] for one in candidates.positive[:count]}


@pytest.fixture
async def halves(start_worker):
    workers = [await start_worker([shard], kind=IndexedStub) for shard in ("a", "b")]
    for worker in workers:
        worker.stub.misjudges = False
    return workers


@pytest.fixture
async def searching(start_front, halves):
    """A front end for two workers with an index of a shard each, which is right about all sequences."""
    return await start_front(*halves)


async def test_what_cannot_matter_is_not_scored_and_the_answer_says_so(searching, halves, ask):
    """Broken by: a warning that the deadline came; the cut of all candidates."""
    answer = await searching.stub.Attribute(request(ask("abc")))
    recall = answer.attribution.positive_recall
    assert [hit.sequence.sequence_id for hit in answer.attribution.positive] == best(3, FEW)
    assert answer.metadata.sequences_scored == recall.reranked == 2 * FEWEST_IN_PORTION
    assert (recall.candidates, recall.stopped_early) == (MANY, True)
    assert recall.recall >= 0.98
    assert "RERANK_INCOMPLETE" not in codes(answer)
    assert not any(worker.stub.refined for worker in halves)


async def test_a_recall_of_1_scores_every_candidate(searching, halves, ask):
    answer = await searching.stub.Attribute(request(ask("abc"), stop_at_recall=1))
    recall = answer.attribution.positive_recall
    assert (answer.metadata.sequences_scored, recall.reranked, recall.stopped_early) == (MANY, MANY, False)
    assert any(worker.stub.refined for worker in halves)
    assert sum(len(worker.stub.rescored) for worker in halves) == 4  # two rounds of two workers, each as a whole


async def test_candidates_by_tokens_alone_have_no_recall_to_stop_at(searching, halves, ask):
    for worker in halves:
        worker.stub.sharing = tuple(range(MANY))
    answer = await searching.stub.Attribute(request(ask("abc"), search=TFIDF))
    assert answer.metadata.sequences_scored == MANY


async def test_candidates_that_are_the_whole_corpus_are_all_scored(searching, ask):
    """Broken by: answers that lose their noise, which is known where every sequence is scored."""
    answer = await searching.stub.Attribute(request(ask("abc"), candidates=SEQUENCES))
    assert answer.metadata.sequences_scored == SEQUENCES
    assert answer.attribution.HasField("noise")


async def test_the_noise_is_known_from_what_was_scored(searching, ask):
    """Broken by: influences asked of candidates that were not scored."""
    answer = await searching.stub.Attribute(request(ask("abc"), noise_sample=30))
    recall = answer.attribution.positive_recall
    assert (recall.reranked, recall.stopped_early) == (2 * FEWEST_IN_PORTION, True)
    assert answer.attribution.noise.sampled
    assert answer.attribution.noise.sequences < MANY


async def test_a_stream_counts_what_it_will_score(searching, ask):
    asked = request(ask("abc"))
    stream = searching.stub.StreamAttribute(
        attribution_service_pb2.StreamAttributeRequest(query=asked.query, options=asked.options)
    )
    *partial, last = [event async for event in stream]
    assert all(event.partial.sequences_scored <= event.partial.sequences_total for event in partial)
    final = partial[-1].partial
    assert final.sequences_scored == final.sequences_total == last.result.metadata.sequences_scored < MANY


async def test_a_deadline_before_the_first_check_is_still_told(searching, halves, ask):
    for worker in halves:
        worker.stub.scoring_s = 0.3
    answer = await searching.stub.Attribute(request(ask("abc")), timeout=3.0)
    assert answer.metadata.sequences_scored < FEWEST_IN_PORTION
    assert not answer.attribution.positive_recall.stopped_early
    assert "RERANK_INCOMPLETE" in codes(answer)


async def test_a_batch_has_the_answers_of_its_queries(searching, ask):
    queries = [ask("a"), ask("abcd")]
    options = request(queries[0]).options
    batch = attribution_service_pb2.BatchAttributeRequest(queries=queries, options=options)
    together = await searching.stub.BatchAttribute(batch)
    for query, attribution in zip(queries, together.attributions, strict=True):
        alone = (await searching.stub.Attribute(request(query))).attribution
        assert [hit.sequence.sequence_id for hit in attribution.positive] == [
            hit.sequence.sequence_id for hit in alone.positive
        ]
        assert attribution.positive_recall.stopped_early
    assert together.metadata.sequences_scored <= 4 * FEWEST_IN_PORTION


@pytest.mark.parametrize("at_recall", [0.0, -1.0, 1.5, float("nan")])
async def test_a_recall_that_is_none_is_refused(searching, ask, failure_of, at_recall):
    error = await failure_of(searching.stub.Attribute(request(ask("abc"), stop_at_recall=at_recall)))
    assert isinstance(error, InvalidRequestError)
    assert (error.reason, error.field) == ("INVALID_STOP_AT_RECALL", "options.stop_at_recall")


async def test_one_hopeful_check_is_not_enough():
    """Broken by: stopping at the first."""
    candidates, stop = [ranking(200)], EarlyStop(queries=1, top_k=10, at_recall=0.98)
    await stop.check(candidates, as_estimated(candidates[0], 50), 4000, 1.0)
    assert not stop.stopped
    await stop.check(candidates, as_estimated(candidates[0], 100), 4000, 1.0)
    assert stop.stopped == {0}
    assert stop.unfinished(candidates) == [Candidates()]


async def test_estimates_that_say_little_stop_nothing():
    rng = random.Random(0)
    candidates, stop = [ranking(200, error=500.0)], EarlyStop(queries=1, top_k=10, at_recall=0.98)
    for count in (50, 100, 150):
        exact = {one.position: [rng.paretovariate(1.5)] for one in candidates[0].positive[:count]}
        await stop.check(candidates, exact, 4000, 1.0)
    assert not stop.stopped
    assert stop.unfinished(candidates) == candidates


async def test_a_corpus_that_was_reached_in_part_stops_nothing():
    candidates, stop = [ranking(200)], EarlyStop(queries=1, top_k=10, at_recall=0.98)
    for count in (50, 100):
        await stop.check(candidates, as_estimated(candidates[0], count), 4000, 0.5)
    assert not stop.stopped


async def test_each_query_stops_for_itself_and_in_both_directions():
    candidates = [
        ranking(200),
        ranking(200),
        Candidates(positive=ranking(200).positive, negative=ranking(200).positive),
    ]
    stop = EarlyStop(queries=3, top_k=10, at_recall=0.98)
    rng = random.Random(0)
    for count in (50, 100):
        exact = {
            one.position: [one.estimate, rng.paretovariate(1.5), one.estimate] for one in candidates[0].positive[:count]
        }
        await stop.check(candidates, exact, 4000, 1.0)
    assert 0 in stop.stopped
    assert 2 not in stop.stopped
    fresh = [ranking(3)] * 3
    assert stop.updated(candidates, fresh)[0] == candidates[0]
    assert stop.updated(candidates, fresh)[2] == fresh[2]


def test_portions_grow_until_all_that_is_to_be_scored():
    """Broken by: portions of the beginning instead of the candidates; one that leaves the last candidate out."""
    stop, candidates = EarlyStop(queries=1, top_k=10, at_recall=0.98), ranking(403)
    half = Candidates(positive=candidates.positive[:201])
    sizes = [len(portion[0].positive) for portion in stop.portions([candidates], [half], 4000)]
    assert sizes == [51, 101, 152, *[201] * 5]
    sizes = [len(portion[0].positive) for portion in stop.portions([candidates], [candidates], 4000)]
    assert (len(sizes), sizes[-1]) == (PORTIONS, 403)
    assert [len(portion[0].positive) for portion in stop.portions([candidates], [candidates], 403)] == [403]
    few = ranking(2 * FEWEST_IN_PORTION - 1)
    assert len(list(stop.portions([few], [few], 4000))) == 1
