"""Candidates in two rounds: the second is chosen with what the first taught, and whatever fails, the first stands."""

from __future__ import annotations

import pytest

from frontend.indexed_stub import SEQUENCES, SHARDS, IndexedStub, influence
from whence import tensors
from whence.errors import DeadlineError, InternalError, UnavailableError, UnimplementedError
from whence.v1 import attribution_pb2, attribution_service_pb2
from whence_service.frontend.search.candidates import Candidate, Candidates
from whence_service.frontend.search.refinement import FEWEST_CANDIDATES, MOST_ROWS, first_round, second_round

BOTH = attribution_pb2.DIRECTION_BOTH


def request(query, **more):
    options = attribution_pb2.AttributionOptions(**{"candidates": 40, "top_k": 40, "noise_sample": 0, **more})
    return attribution_service_pb2.AttributeRequest(query=query, options=options)


def best(length: int, count: int) -> list[str]:
    order = sorted(range(SEQUENCES), key=lambda position: -influence(length, position))
    return [f"doc{position}#0" for position in order[:count]]


def ids(hits) -> list[str]:
    return [hit.sequence.sequence_id for hit in hits]


@pytest.fixture
async def halves(start_worker):
    return [await start_worker([shard], kind=IndexedStub) for shard in ("a", "b")]


@pytest.fixture
async def refining(start_front, halves):
    """A front end for two workers with an index of a shard each."""
    return await start_front(*halves)


async def test_the_second_round_finds_what_the_index_misjudged(refining, halves, ask):
    """Broken by: searching again with the first sketch; scoring the candidates of the first search after all."""
    answer = await refining.stub.Attribute(request(ask("abc")))
    assert ids(answer.attribution.positive) == best(3, 40)
    assert answer.metadata.sequences_scored == 40
    assert answer.attribution.positive_recall.candidates == answer.attribution.positive_recall.reranked == 40
    assert {"search", "refine", "rescore"} <= {timing.stage for timing in answer.metadata.timings}


async def test_a_query_learns_from_its_own_candidates_with_their_own_rows(refining, halves, ask):
    """Broken by: rows in the order in which workers hold them; influences on another query; another's candidates."""
    alone = {}
    for completion in ("a", "abcd"):
        await refining.stub.Attribute(request(ask(completion)))
        [asked] = [one for worker in halves for one in worker.stub.refined]
        alone[completion] = asked
        for worker in halves:
            worker.stub.refined.clear()
    options = request(ask("a")).options
    batch = attribution_service_pb2.BatchAttributeRequest(queries=[ask("a"), ask("abcd")], options=options)
    await refining.stub.BatchAttribute(batch)
    together = [one for worker in halves for one in worker.stub.refined]
    for completion, asked in alone.items():
        assert asked in together
        positions = [int(each) for each in asked.rows]
        assert len(positions) == 20
        assert tensors.unpack(asked.raw_influence) == [influence(len(completion), p) for p in positions]


async def test_both_ends_are_learned_from_at_once(refining, halves, ask):
    answer = await refining.stub.Attribute(request(ask("abc"), direction=BOTH))
    assert ids(answer.attribution.positive) == best(3, 40)
    assert ids(answer.attribution.negative) == best(3, SEQUENCES)[:-41:-1]
    [asked] = [one for worker in halves for one in worker.stub.refined]
    assert len(asked.rows) == 40


@pytest.mark.parametrize("count", [FEWEST_CANDIDATES - 1, SEQUENCES])
async def test_too_few_candidates_or_all_there_are_take_one_round(refining, halves, ask, count):
    answer = await refining.stub.Attribute(request(ask("abc"), candidates=count, top_k=10))
    assert answer.metadata.sequences_scored == count
    assert not any(worker.stub.refined for worker in halves)
    assert [len(worker.stub.searched) for worker in halves] == [1, 1]


@pytest.mark.parametrize("failure", [None, DeadlineError("too late", reason="DEADLINE_EXCEEDED")])
async def test_no_time_to_refine_leaves_the_candidates_as_they_were(refining, halves, ask, failure):
    """Broken by: a call that fails, although half of its candidates were scored; waiting until no time is left."""
    for worker in halves:
        worker.stub.refusal = failure
        worker.stub.may_refine.clear()
    answer = await refining.stub.Attribute(request(ask("abc")), timeout=4.0)
    assert answer.metadata.sequences_scored == 40
    assert ids(answer.attribution.positive) != best(3, 40)
    assert max(worker.stub.left_s for worker in halves) > 2.0


async def test_a_first_round_that_takes_all_the_time_is_the_answer(refining, halves, ask):
    """Broken by: less promising candidates tried after it, in the time that is kept for describing the hits."""
    for worker in halves:
        worker.stub.scoring_s = 0.3
    answer = await refining.stub.Attribute(request(ask("abc")), timeout=3.0)
    recall = answer.attribution.positive_recall
    assert 0 < recall.reranked == answer.metadata.sequences_scored < 20
    assert recall.candidates == 40
    assert "RERANK_INCOMPLETE" in {warning.code for warning in answer.metadata.warnings}
    assert [len(worker.stub.rescored) for worker in halves] == [1, 1]
    assert min(worker.stub.left_s or 9.0 for worker in halves) > 0.2


async def test_a_second_round_that_takes_all_the_time_leaves_some(refining, halves, ask):
    """Broken by: a tenth of what is left then, instead of what is left at first."""
    for worker in halves:
        worker.stub.scoring_s = 0.15
    answer = await refining.stub.Attribute(request(ask("abc")), timeout=3.0)
    assert 20 < answer.metadata.sequences_scored < 40
    assert min(worker.stub.left_s or 9.0 for worker in halves) > 0.2


async def test_a_worker_that_goes_away_while_it_refines_fails_the_call(refining, halves, ask, failure_of):
    for worker in halves:
        worker.stub.refusal = UnavailableError("gone", reason="WORKER_UNAVAILABLE")
    error = await failure_of(refining.stub.Attribute(request(ask("abc"))))
    assert isinstance(error, UnavailableError)
    assert error.reason == "WORKER_UNAVAILABLE"


async def test_an_answer_that_may_be_partial_keeps_its_candidates(refining, halves, ask):
    """Nothing is missing: the other half of the candidates are those of the first search."""
    for worker in halves:
        worker.stub.refusal = UnavailableError("gone", reason="WORKER_UNAVAILABLE")
    answer = await refining.stub.Attribute(request(ask("abc"), return_partial_success=True))
    assert answer.metadata.sequences_scored == 40
    assert not answer.metadata.unreachable_shards
    assert ids(answer.attribution.positive) != best(3, 40)
    assert [len(worker.stub.searched) for worker in halves] == [1, 1]


async def test_a_worker_that_is_lost_after_the_first_round_takes_its_hits_along(refining, halves, ask):
    """Broken by: the influences that it told before it went away."""
    await refining.stub.Attribute(request(ask("abc"), candidates=1, top_k=1))
    [kept] = [worker.stub for worker in halves if worker.stub.prepared]  # refines, too
    [other] = [worker.stub for worker in halves if worker.stub is not kept]
    other.last_search = len(other.searched) + 1  # not the one with the refined sketch
    answer = await refining.stub.Attribute(request(ask("abc"), return_partial_success=True))
    assert other.rescored[-1].positions
    assert list(answer.metadata.unreachable_shards) == list(other.shards)
    held = {f"doc{position}#0" for shard in kept.shards for position in SHARDS[shard]}
    found = ids(answer.attribution.positive)
    assert len(found) == answer.metadata.sequences_scored >= 20
    assert found == [each for each in best(3, SEQUENCES) if each in held][: len(found)]
    assert answer.metadata.sequences_searched == len(held)
    assert answer.attribution.positive_recall.recall <= answer.metadata.corpus_share < 1


async def test_a_worker_that_is_lost_while_another_is_late_takes_its_hits_along(refining, halves, ask):
    """Broken by: what it told before, kept because the second search took too long."""
    gone, late = (worker.stub for worker in halves)
    gone.last_search, late.late_s = 1, 60.0
    answer = await refining.stub.Attribute(request(ask("abc"), return_partial_success=True), timeout=4.0)
    assert list(answer.metadata.unreachable_shards) == list(gone.shards)
    held = {f"doc{position}#0" for position in SHARDS["b"]}
    assert held.issuperset(ids(answer.attribution.positive))
    assert answer.metadata.sequences_scored == answer.attribution.positive_recall.candidates


@pytest.mark.parametrize("partial", [False, True])
async def test_rows_that_cannot_be_read(refining, halves, ask, failure_of, partial):
    halves[0].stub.rows_refusal = UnavailableError("gone", reason="WORKER_UNAVAILABLE")
    call = refining.stub.Attribute(request(ask("abc"), return_partial_success=partial))
    if partial:
        assert (await call).metadata.sequences_scored == 40
    else:
        assert (await failure_of(call)).reason == "WORKER_UNAVAILABLE"


async def test_a_worker_that_is_too_old_to_refine_is_asked_in_one_round(refining, halves, ask, logs):
    """A worker is updated after the front end: answers are as they were before."""
    for worker in halves:
        worker.stub.rows_refusal = UnimplementedError("Method not found!", reason="GRPC_UNIMPLEMENTED")
    answer = await refining.stub.Attribute(request(ask("abc")))
    assert answer.metadata.sequences_scored == 40
    assert "a worker cannot refine" in {entry["event"] for entry in logs}


async def test_a_filter_counts_in_both_rounds(refining, halves, ask):
    wanted = attribution_pb2.Filter(sources=["stub"])
    await refining.stub.Attribute(request(ask("abc"), filter=wanted))
    assert [one.filter for worker in halves for one in worker.stub.searched] == [wanted] * 4


async def test_rows_that_are_missing_are_noticed(refining, halves, ask, failure_of):
    for worker in halves:
        worker.stub.rows_short = 1
    error = await failure_of(refining.stub.Attribute(request(ask("abc"))))
    assert isinstance(error, InternalError)
    assert error.reason == "ANSWER_INCOMPLETE"


def proposals(*positions: int) -> tuple[Candidate, ...]:
    return tuple(Candidate(position=position, estimate=-float(position), error=1.0) for position in positions)


def test_the_first_round_is_half_of_each_ranking_up_to_what_is_learned_from():
    few, many = proposals(*range(100)), proposals(*range(2 * MOST_ROWS + 10))
    assert len(first_round(Candidates(positive=few), 5000).positive) == 50
    assert len(first_round(Candidates(positive=many), 5000).positive) == MOST_ROWS
    both = first_round(Candidates(positive=many, negative=few), 5000)
    assert (len(both.positive), len(both.negative)) == (MOST_ROWS // 2, 50)


def test_what_was_scored_stays_with_what_is_known_of_it_now():
    """Broken by: an estimate of before, which the cut would be compared with; a candidate twice."""
    known = {one.position: one for one in proposals(7, 8)}
    old = Candidates(positive=proposals(1, 2, 3, 4))
    now = second_round(
        old,
        Candidates(positive=proposals(1, 2)),
        Candidates(positive=proposals(2, 9, 1, 10, 11)),
        {1: known[7], 2: known[8]},
    )
    assert now.positive == (known[7], known[8], *proposals(9, 10))


def test_what_the_other_direction_scored_keeps_what_is_known_of_it():
    """Broken by: the estimate of a sketch that has learned from it."""
    known = {5: Candidate(position=5, estimate=-7.0, error=1.0), **{one.position: one for one in proposals(1, 9)}}
    now = second_round(
        Candidates(positive=proposals(1, 5, 6), negative=proposals(9, 5)),
        Candidates(positive=proposals(1), negative=proposals(9, 5)),
        Candidates(positive=proposals(1, 5, 6), negative=proposals(9, 5)),
        known,
    )
    assert now.positive == (known[1], *proposals(6), known[5])
    assert now.negative == (known[9], known[5])


def test_wide_rows_are_fewer():
    many = Candidates(positive=proposals(*range(2 * MOST_ROWS)))
    assert len(first_round(many, 5000, 100).positive) == 100
    assert len(first_round(many, 5000, 0).positive) == 1
