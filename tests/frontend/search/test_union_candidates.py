"""Candidates of the index and by tokens, together: in turns, at the cost of one, and without the tokens if need be."""

from __future__ import annotations

import pytest

from frontend.indexed_stub import SEQUENCES, IndexedStub, estimate, influence
from whence.errors import UnimplementedError
from whence.v1 import attribution_pb2, attribution_service_pb2
from whence_service.frontend.search.candidates import Candidate
from whence_service.frontend.search.union_candidates import union

LENGTH = 3  # of the completion "abc"


def found(*positions: int, error: float = 0.5) -> list[Candidate]:
    return [Candidate(position=position, estimate=-float(position), error=error) for position in positions]


def request(query, **more):
    options = attribution_pb2.AttributionOptions(**{"candidates": 40, "top_k": 10, "noise_sample": 0, **more})
    return attribution_service_pb2.AttributeRequest(query=query, options=options)


def least(count: int) -> tuple[int, ...]:
    """Sequences that the index would never propose, the most influential of them first."""
    by_estimate = sorted(range(SEQUENCES), key=lambda position: estimate(LENGTH, position, refined=False))
    return tuple(sorted(by_estimate[:count], key=lambda position: -influence(LENGTH, position)))


@pytest.fixture
async def halves(start_worker):
    return [await start_worker([shard], kind=IndexedStub) for shard in ("a", "b")]


@pytest.fixture
async def searching(start_front, halves):
    """A front end for two workers with an index of a shard each."""
    return await start_front(*halves)


def test_the_first_half_takes_turns_and_the_second_is_the_indexs():
    """Broken by: halves one after the other; tokens in the second half, which a refinement would replace."""
    ranking = union(found(*range(8)), found(90, 91, 92, error=0))
    assert [candidate.position for candidate in ranking] == [0, 90, 1, 91, 2, 3, 4, 5]


def test_what_both_found_is_there_once_with_the_indexs_estimate():
    ranking = union(found(*range(8)), found(0, 90, 7, error=0))
    assert [candidate.position for candidate in ranking] == [0, 1, 90, 2, 3, 4, 5, 6]
    ranking = union(found(*range(8)), found(7, 1, error=0))
    assert [candidate.position for candidate in ranking] == [0, 7, 1, 2, 3, 4, 5, 6]
    assert all(candidate.error for candidate in ranking)


@pytest.mark.parametrize("by_tokens", [[], found(0, 1, 2, 3, error=0)])
def test_the_others_are_the_indexs_where_too_few_share_tokens(by_tokens):
    assert [candidate.position for candidate in union(found(*range(6)), by_tokens)] == [*range(6)]


async def test_what_shares_tokens_is_scored_at_no_more_cost(searching, halves, ask):
    """Broken by: candidates by tokens beside those of the index instead of in place of some."""
    for worker in halves:
        worker.stub.sharing = least(30)
    answer = await searching.stub.Attribute(request(ask("abc")))
    assert answer.metadata.search == attribution_pb2.SEARCH_UNION_RERANK
    assert answer.metadata.sequences_scored == 40
    scored = {position for worker in halves for asked in worker.stub.rescored for position in asked.positions}
    assert scored.issuperset(least(30)[:10])
    assert scored.isdisjoint(least(30)[10:])
    [learned] = [one for worker in halves for one in worker.stub.refined]
    assert {int(row) for row in learned.rows}.issuperset(least(30)[:10])


async def test_index_rerank_is_the_index_alone(searching, halves, ask):
    for worker in halves:
        worker.stub.sharing = least(30)
    await searching.stub.Attribute(request(ask("abc"), search=attribution_pb2.SEARCH_INDEX_RERANK))
    scored = {position for worker in halves for asked in worker.stub.rescored for position in asked.positions}
    assert scored.isdisjoint(least(30))


async def test_a_worker_that_cannot_compare_tokens_leaves_the_candidates_of_the_index(searching, halves, ask):
    halves[1].stub.tokens_refusal = UnimplementedError("too old", reason="UNIMPLEMENTED")
    answer = await searching.stub.Attribute(request(ask("abc")))
    assert answer.metadata.sequences_scored == 40


async def test_tokens_take_a_share_of_the_time_and_no_more(searching, halves, ask):
    """Broken by: a call that fails, or takes all of its time, although the index had answered."""
    for worker in halves:
        worker.stub.may_match.clear()
    answer = await searching.stub.Attribute(request(ask("abc")), timeout=4.0)
    assert answer.metadata.sequences_scored == 40
    assert max(worker.stub.left_s for worker in halves) > 2.0
