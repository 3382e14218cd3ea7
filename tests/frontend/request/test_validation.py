"""Every way a request can be wrong names the field to change, before any worker is asked."""

from __future__ import annotations

import math

import pytest

from frontend.stub_worker import StubWorker
from whence.errors import InvalidRequestError
from whence.v1 import attribution_pb2, query_pb2
from whence.v1 import attribution_service_pb2 as messages

GOOD = query_pb2.Query(text=query_pb2.PromptCompletion(prompt="p", completion="c"))
ONE = messages.SequenceSelector(sequence_id="doc1#0")


def text(completion):
    return query_pb2.Query(text=query_pb2.PromptCompletion(prompt="p", completion=completion))


def chat(*pairs):
    return query_pb2.Query(
        chat=query_pb2.Chat(messages=[query_pb2.ChatMessage(role=role, content=said) for role, said in pairs])
    )


def tokens(count, start):
    return query_pb2.Query(tokens=query_pb2.TokenIds(ids=range(count), completion_start=start))


QUERIES = [
    (query_pb2.Query(), "MISSING_QUERY_INPUT", "input"),
    (text(""), "EMPTY_COMPLETION", "text.completion"),
    (chat(), "EMPTY_CONVERSATION", "chat.messages"),
    (chat(("user", "x")), "INVALID_LAST_ROLE", "chat.messages[0].role"),
    (chat(("", "x"), ("assistant", "y")), "MISSING_ROLE", "chat.messages[0].role"),
    (chat(("user", "x"), ("assistant", "")), "EMPTY_COMPLETION", "chat.messages[1].content"),
    (tokens(0, 0), "EMPTY_COMPLETION", "tokens.ids"),
    (tokens(1, 1), "EMPTY_COMPLETION", "tokens.ids"),
    (tokens(3, 0), "INVALID_COMPLETION_START", "tokens.completion_start"),
    (tokens(3, 3), "INVALID_COMPLETION_START", "tokens.completion_start"),
    (tokens(9, 1), "TOO_LONG_QUERY", "tokens.ids"),
    (query_pb2.Query(text=GOOD.text, measurement=99), "UNKNOWN_MEASUREMENT", "measurement"),
]
OPTIONS = [
    ({"top_k": 1001}, "TOO_LARGE_TOP_K", "options.top_k"),
    ({"direction": 99}, "UNKNOWN_DIRECTION", "options.direction"),
    ({"search": 99}, "UNKNOWN_SEARCH", "options.search"),
    *(
        ({"damping_factor": value}, "INVALID_DAMPING_FACTOR", "options.damping_factor")
        for value in (0.0, -0.1, math.nan, math.inf, -math.inf, 5e-324, 1e-320, 1e-40, 1e39, 1e308)
    ),
    ({"layers": ["layer0", "layer7"]}, "UNKNOWN_LAYER", "options.layers[1]"),
]
SCORES = [
    ({"queries": []}, "MISSING_QUERIES", "queries"),
    ({"queries": [GOOD] * 65}, "TOO_MANY_QUERIES", "queries"),
    ({"queries": [GOOD, text("")]}, "EMPTY_COMPLETION", "queries[1].text.completion"),
    ({"queries": [GOOD, tokens(9, 1)]}, "TOO_LONG_QUERY", "queries[1].tokens.ids"),
    ({"sequences": []}, "MISSING_SEQUENCES", "sequences"),
    ({"sequences": [ONE] * 1025}, "TOO_MANY_SEQUENCES", "sequences"),
    ({"sequences": [ONE, messages.SequenceSelector()]}, "MISSING_SEQUENCE_REFERENCE", "sequences[1].selector"),
    ({"sequences": [messages.SequenceSelector(text="")]}, "EMPTY_SEQUENCE_REFERENCE", "sequences[0].text"),
    ({"sequences": [messages.SequenceSelector(chat={})]}, "EMPTY_CONVERSATION", "sequences[0].chat.messages"),
    (
        {"sequences": [messages.SequenceSelector(completion={})]},
        "EMPTY_COMPLETION",
        "sequences[0].completion.completion",
    ),
    ({"damping_factor": math.nan}, "INVALID_DAMPING_FACTOR", "damping_factor"),
]
EXPLANATIONS = [
    ({"query": text("")}, "EMPTY_COMPLETION", "query.text.completion"),
    ({"sequence": None}, "MISSING_SEQUENCE_REFERENCE", "sequence.selector"),
    (
        {"sequence": messages.SequenceSelector(sequence_id="")},
        "EMPTY_SEQUENCE_REFERENCE",
        "sequence.sequence_id",
    ),
    ({"damping_factor": -1.0}, "INVALID_DAMPING_FACTOR", "damping_factor"),
]


async def refused(call, failure_of, worker):
    error = await failure_of(call)
    assert isinstance(error, InvalidRequestError)
    assert not worker.stub.prepared
    return error.reason, error.field


@pytest.mark.parametrize(("query", "reason", "field"), QUERIES)
async def test_a_query_that_cannot_be_answered(front, worker, failure_of, query, reason, field):
    call = front.stub.Attribute(messages.AttributeRequest(query=query))
    assert await refused(call, failure_of, worker) == (reason, f"query.{field}")


async def test_a_request_without_a_query(front, worker, failure_of):
    call = front.stub.Attribute(messages.AttributeRequest())
    assert await refused(call, failure_of, worker) == ("MISSING_QUERY_INPUT", "query.input")


@pytest.mark.parametrize(("options", "reason", "field"), OPTIONS)
async def test_options_that_cannot_be_met(front, worker, failure_of, options, reason, field):
    asked = attribution_pb2.AttributionOptions(**options)
    call = front.stub.Attribute(messages.AttributeRequest(query=GOOD, options=asked))
    assert await refused(call, failure_of, worker) == (reason, field)


@pytest.mark.parametrize(("change", "reason", "field"), SCORES)
async def test_a_score_that_cannot_be_computed(front, worker, failure_of, change, reason, field):
    request = messages.ScoreRequest(**{"queries": [GOOD], "sequences": [ONE], **change})
    assert await refused(front.stub.Score(request), failure_of, worker) == (reason, field)


@pytest.mark.parametrize(("change", "reason", "field"), EXPLANATIONS)
async def test_an_explanation_that_cannot_be_given(front, worker, failure_of, change, reason, field):
    request = messages.ExplainRequest(**{"query": GOOD, "sequence": ONE, **change})
    assert await refused(front.stub.Explain(request), failure_of, worker) == (reason, field)


async def test_streams_and_batches_check_the_same(front, worker, failure_of):
    stream = front.stub.StreamAttribute(messages.StreamAttributeRequest(query=text("")))
    assert await refused(stream.read(), failure_of, worker) == ("EMPTY_COMPLETION", "query.text.completion")
    batch = front.stub.BatchAttribute(messages.BatchAttributeRequest(queries=[GOOD, query_pb2.Query()]))
    assert await refused(batch, failure_of, worker) == ("MISSING_QUERY_INPUT", "queries[1].input")


class TersestWorker(StubWorker):
    """Takes queries of at most 100 bytes."""

    async def GetInfo(self, request, context):  # noqa: N802 - the protocol's name
        answer = await super().GetInfo(request, context)
        answer.model.limits.max_text_bytes = 100
        return answer


async def test_a_query_of_more_bytes_than_the_model_takes(start_front, start_worker, failure_of):
    worker = await start_worker(kind=TersestWorker)
    front = await start_front(worker)
    batch = front.stub.BatchAttribute(messages.BatchAttributeRequest(queries=[GOOD, text("x" * 100)]))
    assert await refused(batch, failure_of, worker) == ("TOO_LARGE_TEXT", "queries[1]")


PATTERNS = [
    (["(a+)+$"], "UNKNOWN_LAYER", "options.layers[0]"),
    (["layer0", "*a" * 100 + "b"], "UNKNOWN_LAYER", "options.layers[1]"),
    (["*" * 4000], "UNKNOWN_LAYER", "options.layers[0]"),
    (["[" * 50], "UNKNOWN_LAYER", "options.layers[0]"),
    (["layer0", *["*"] * 101], "TOO_MANY_LAYERS", "options.layers"),
]


@pytest.mark.parametrize(("layers", "reason", "field"), PATTERNS)
async def test_patterns_of_layers_cost_little_whatever_they_are(front, worker, failure_of, layers, reason, field):
    options = attribution_pb2.AttributionOptions(layers=layers)
    call = front.stub.Attribute(messages.AttributeRequest(query=GOOD, options=options), timeout=5)
    assert await refused(call, failure_of, worker) == (reason, field)


async def test_a_score_whose_answer_would_be_too_large(start_front, worker, failure_of):
    front = await start_front(worker, max_message_bytes=1000)
    request = messages.ScoreRequest(queries=[text("x")], sequences=[ONE] * 70)
    assert await refused(front.stub.Score(request), failure_of, worker) == ("TOO_LARGE_ANSWER", "sequences")


@pytest.mark.parametrize("request_id", ["with space", "é", "x" * 129, "line\nbreak"])
async def test_a_request_id_that_could_not_be_sent_back(front, worker, failure_of, request_id):
    call = front.stub.Attribute(messages.AttributeRequest(query=GOOD, request_id=request_id))
    assert await refused(call, failure_of, worker) == ("INVALID_REQUEST_ID", "request_id")


@pytest.mark.parametrize("token", ["nonsense", "AAAA", "é"])
async def test_a_page_token_of_somebody_else(front, worker, failure_of, token):
    call = front.stub.ListModels(messages.ListModelsRequest(page_token=token))
    assert await refused(call, failure_of, worker) == ("INVALID_PAGE_TOKEN", "page_token")
