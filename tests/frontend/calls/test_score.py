"""Given sequences on given queries, over several workers."""

from __future__ import annotations

import pytest

from frontend.stub_worker import SPLIT, TRAINING_SET_SIZE, influence, log_likelihood
from whence import tensors
from whence.errors import NotFoundError
from whence.v1 import attribution_service_pb2 as messages
from whence.v1 import query_pb2


def ids(*positions):
    return [messages.SequenceSelector(sequence_id=f"doc{position}#0") for position in positions]


def raw(tensor):
    return [value * TRAINING_SET_SIZE for value in tensors.unpack(tensor)]


@pytest.fixture
async def sharded(start_worker, start_front):
    """A front end for two workers that overlap in shard b."""
    return await start_front(await start_worker(["a", "b"]), await start_worker(["b", "c"]))


async def test_scores_are_in_the_order_of_the_request(sharded, ask):
    queries, positions = [ask("x"), ask("yy")], [11, 0, 5, 4]
    answer = await sharded.stub.Score(messages.ScoreRequest(queries=queries, sequences=ids(*positions)))
    assert list(answer.influence.shape) == [2, 4]
    expected = [influence(query, position) for query in queries for position in positions]
    assert raw(answer.influence) == pytest.approx(expected)
    assert [found.sequence_id for found in answer.sequences] == [f"doc{n}#0" for n in positions]
    assert tensors.unpack(answer.log_likelihood) == [log_likelihood(query) for query in queries]
    assert answer.metadata.sequences_scored == 4


async def test_scores_by_layer_sum_to_the_scores(sharded, ask):
    request = messages.ScoreRequest(queries=[ask("x"), ask("yy")], sequences=ids(1, 8), include_layers=True)
    answer = await sharded.stub.Score(request)
    assert list(answer.layer_influence.shape) == [2, 2, len(SPLIT)]
    sums = [sum(row) for row in tensors.rows(answer.layer_influence)]
    assert sums == pytest.approx(tensors.unpack(answer.influence))
    assert list(answer.metadata.layers) == ["layer0", "layer1"]


async def test_a_text_of_the_callers_own_is_scored_like_a_sequence(sharded, ask):
    selectors = [messages.SequenceSelector(text="four"), *ids(4)]
    answer = await sharded.stub.Score(messages.ScoreRequest(queries=[ask()], sequences=selectors))
    assert raw(answer.influence) == pytest.approx([influence(ask(), 4)] * 2)
    assert [found.text for found in answer.sequences] == ["four", "text of 4"]


async def test_conversations_and_completions_reach_a_worker_as_they_are(start_worker, start_front, ask):
    workers = [await start_worker(["a", "b"]), await start_worker(["c"])]
    chat = {"messages": [{"role": "assistant", "content": "yo", "trained_on": True}], "tools_json": "[]"}
    pair = {"prompt": "a", "completion": "b"}
    selectors = [messages.SequenceSelector(chat=chat), messages.SequenceSelector(completion=pair), *ids(4)]
    front = await start_front(*workers)
    await front.stub.Score(messages.ScoreRequest(queries=[ask()], sequences=selectors))
    scored = [reference for worker in workers for call in worker.stub.scored for reference in call.sequences]
    assert [one.chat for one in scored if one.HasField("chat")] == [query_pb2.Chat(**chat)]
    assert [one.completion for one in scored if one.HasField("completion")] == [query_pb2.PromptCompletion(**pair)]


async def test_a_sequence_that_two_workers_hold_is_scored_once(start_worker, start_front, ask):
    workers = [await start_worker(["a", "b"]), await start_worker(["b", "c"])]
    front = await start_front(*workers)
    await front.stub.Score(messages.ScoreRequest(queries=[ask()], sequences=ids(4, 5)))
    scored = [call for worker in workers for call in worker.stub.scored if not call.lookup_only]
    assert sorted(reference.sequence_id for call in scored for reference in call.sequences) == [
        "doc4#0",
        "doc5#0",
    ]


async def test_a_sequence_that_nobody_holds_is_named_before_anything_is_computed(
    start_worker, start_front, ask, failure_of
):
    workers = [await start_worker(["a"]), await start_worker(["b", "c"])]
    front = await start_front(*workers)
    error = await failure_of(front.stub.Score(messages.ScoreRequest(queries=[ask()], sequences=ids(3, 99))))
    assert (type(error), error.reason) == (NotFoundError, "SEQUENCE_NOT_FOUND")
    assert error.details == {"sequence_id": "doc99#0"}
    assert not any(worker.stub.prepared for worker in workers)


async def test_the_same_sequence_twice_is_answered_twice(sharded, ask):
    answer = await sharded.stub.Score(messages.ScoreRequest(queries=[ask()], sequences=ids(7, 7)))
    assert raw(answer.influence) == pytest.approx([influence(ask(), 7)] * 2)


async def test_many_sequences_are_scored_in_calls_that_fit(start_front, worker, ask):
    front = await start_front(worker, max_message_bytes=8192)
    positions = [n % 12 for n in range(40)]
    request = messages.ScoreRequest(
        queries=[ask("a" * n) for n in range(1, 5)], sequences=ids(*positions), include_layers=True
    )
    answer = await front.stub.Score(request)
    calls = [len(call.sequences) for call in worker.stub.scored if not call.lookup_only]
    assert calls == [32, 8]  # 4 queries of 2 layers of 8 bytes, in a quarter of 8192 bytes
    assert raw(answer.influence)[:40] == pytest.approx([influence(ask("a"), n) for n in positions])


async def test_an_explanation_splits_one_influence_over_layers_and_tokens(sharded, ask):
    (selector,) = ids(8)
    answer = await sharded.stub.Explain(messages.ExplainRequest(query=ask("q"), sequence=selector))
    total = influence(ask("q"), 8)
    assert list(answer.parts.shape) == [2, 3]
    assert raw(answer.parts) == pytest.approx([total * share for row in SPLIT for share in row])
    assert answer.influence * TRAINING_SET_SIZE == pytest.approx(total)
    assert answer.sequence.sequence_id == "doc8#0"
    assert answer.sequence.HasField("token_offsets")
    assert answer.log_likelihood == log_likelihood(ask("q"))


async def test_one_worker_that_holds_everything_is_asked_once(start_front, worker, ask):
    front = await start_front(worker)
    answer = await front.stub.Score(messages.ScoreRequest(queries=[ask("x")], sequences=ids(3, 9)))
    assert raw(answer.influence) == pytest.approx([influence(ask("x"), position) for position in (3, 9)])
    assert tensors.unpack(answer.log_likelihood) == [log_likelihood(ask("x"))]
    assert (len(worker.stub.scored), worker.stub.prepared) == (1, [])
