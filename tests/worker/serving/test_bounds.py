"""What would cost too much to tokenize is refused by its bytes, by the worker too: any front end may ask it."""

from __future__ import annotations

import pytest

from whence.v1 import query_pb2
from whence.worker.v1 import worker_service_pb2 as pb
from whence_backends.worker.requests.tokenization import most_text_bytes
from worker.harness import Running, ask, failure

MOST = 1 << 16  # bytes that are taken for a model as small as this one's


def conversation(content: str) -> query_pb2.Query:
    said = [query_pb2.ChatMessage(role=role, content=content) for role in ("user", "assistant")]
    return query_pb2.Query(chat=query_pb2.Chat(messages=said))


QUERIES = [
    ask("x" * MOST),
    ask("the ", "x" * MOST),
    ask("x" * (MOST // 2), "x" * (MOST // 2)),
    conversation("é" * MOST),
]


@pytest.mark.parametrize("query", QUERIES)
async def test_a_query_too_large_to_tokenize_is_refused_by_every_call_that_tokenizes(tiny: Running, query, monkeypatch):
    monkeypatch.setattr(tiny.worker._model.tokenizer._tokenizer, "_tokenizer", None)  # nothing is tokenized
    shards = [shard.shard for shard in tiny.shards]
    given = {"generation": tiny.generation, "queries": [query]}
    calls = [
        tiny.prepare(query),
        tiny.stub.Scan(tiny.scan_request(query)),
        tiny.stub.Rescore(pb.RescoreRequest(positions=[0], **given)),
        tiny.stub.CountTokens(pb.CountTokensRequest(shards=shards, **given)),
        tiny.score(queries=[query], sequences=[pb.SequenceReference(position=0)]),
    ]
    for call in calls:
        error = await failure(call)
        assert (error.reason, error.field) == ("TOO_LARGE_TEXT", "queries[0]")
        assert error.details["max_bytes"] == str(MOST)


async def test_a_training_sequence_too_large_to_tokenize_is_refused(tiny: Running):
    sequences = [pb.SequenceReference(position=0), pb.SequenceReference(text="x" * (MOST + 1))]
    for lookup_only in (False, True):
        error = await failure(tiny.score(queries=[ask()], sequences=sequences, lookup_only=lookup_only))
        assert (error.reason, error.field) == ("TOO_LARGE_TEXT", "sequences[1].text")


async def test_the_model_says_how_much_text_it_takes(tiny: Running):
    assert (await tiny.info()).model.limits.max_text_bytes == MOST


@pytest.mark.parametrize(
    ("tokens", "limit", "most"), [(64, 1 << 22, 1 << 16), (8192, 1 << 22, 1 << 18), (1 << 20, 1 << 22, 1 << 22)]
)
def test_long_models_take_long_texts_up_to_the_setting(tokens, limit, most):
    assert most_text_bytes(tokens, limit) == most
