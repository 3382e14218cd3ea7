"""Conversations over the wire: as queries and as training sequences, with all that messages hold."""

from __future__ import annotations

import json

import numpy as np
import pytest

from whence.errors import InvalidRequestError
from whence.v1 import query_pb2
from whence.worker.v1 import worker_service_pb2 as pb
from whence_backends.corpus import ChatPolicy, ChunkPolicy, SequenceEncoder
from whence_backends.worker.requests.sequences import SequenceResolver
from whence_backends.worker.requests.tokenization import QueryLimits, QueryTokenizer, TokenizedQuery
from worker.harness import CHARACTERS, Running, failure
from worker.scoring.test_sequence_scores import QUERIES, array, request

CALLS = (
    "{% for m in messages %}<{{ m.content }}{% for c in m.tool_calls or [] %}, {{ c.function.name }}{% endfor %}>"
    "{% endfor %}{% if add_generation_prompt %}<{% endif %}"
)
DAY = "{{ strftime_now('%B').lower() }}{% for m in messages %}<{{ m.content }}>{% endfor %}"


@pytest.fixture(scope="module")
def tokenizer(artefacts):
    from whence_backends.models import Tokenizer, resolve_model

    return Tokenizer.load(resolve_model(str(artefacts.model)))


def message(role: str, content: str = "", *, trained_on: bool | None = None, **fields) -> query_pb2.ChatMessage:
    fields_json = json.dumps(fields) if fields else ""
    return query_pb2.ChatMessage(role=role, content=content, fields_json=fields_json, trained_on=trained_on)


def prepare(tokenizer, chat: query_pb2.Chat, template: str | None = None) -> TokenizedQuery:
    limits = QueryLimits(max_tokens=40, vocabulary_size=len(CHARACTERS))
    tokenizer = QueryTokenizer(tokenizer, limits, prefix_bos=False, chat=ChatPolicy(template=template))
    return tokenizer.tokenize(query_pb2.Query(chat=chat), "query")


def counted(record) -> str:
    return "".join(CHARACTERS[token] for token in record.token_ids[record.weights == 1])


def resolve(tokenizer, chat: query_pb2.Chat, **policy):
    encoder = SequenceEncoder(tokenizer, ChunkPolicy(max_tokens=40), ChatPolicy(**policy))
    resolver = SequenceResolver(None, encoder, max_text_bytes=1000)  # type: ignore[arg-type]  # nothing is looked up
    [found] = resolver.resolve([pb.SequenceReference(chat=chat)], skip_unknown=False)
    return found


def given(fields_json: str) -> query_pb2.Chat:
    return query_pb2.Chat(messages=[query_pb2.ChatMessage(role="assistant", fields_json=fields_json)])


THREE = [message("user", "hi"), message("assistant", "yo"), message("user", "so"), message("assistant", "no")]


def test_a_call_without_text_is_an_output(tokenizer):
    calls = [{"type": "function", "function": {"name": "rain", "arguments": "{}"}}]
    for fields in ({"tool_calls": calls}, {"tool_calls": calls, "content": None}):
        prepared = prepare(tokenizer, query_pb2.Chat(messages=[THREE[0], message("assistant", **fields)]), CALLS)
        measured = prepared.tokens.token_ids[prepared.tokens.weights == 1]
        assert "".join(CHARACTERS[token] for token in measured) == ", rain>"
        assert not prepared.warnings


def test_an_output_that_the_template_does_not_show_whole_is_warned_of_or_refused(tokenizer):
    messages = [THREE[0], message("assistant", "yo", reasoning_content="why not")]
    [warning] = prepare(tokenizer, query_pb2.Chat(messages=messages)).warnings
    assert (warning.code, "'why not' of message 2" in warning.message) == ("CONVERSATION_INCOMPLETE", True)
    with pytest.raises(InvalidRequestError) as caught:
        prepare(tokenizer, query_pb2.Chat(messages=messages, strict=True))
    assert (caught.value.reason, caught.value.field) == ("CONVERSATION_INCOMPLETE", "query.chat.messages")


def test_a_template_is_told_the_corpus_day_unless_the_query_names_one(tokenizer):
    for date, month in (("", "july"), ("2026-02-03", "february")):
        prepared = prepare(tokenizer, query_pb2.Chat(messages=THREE, date=date), DAY)
        assert "".join(CHARACTERS[token] for token in prepared.tokens.token_ids).startswith(month + "<hi>")


@pytest.mark.parametrize(
    ("chat", "field"),
    [
        (
            query_pb2.Chat(messages=[query_pb2.ChatMessage(role="assistant", fields_json="[")]),
            "messages[0].fields_json",
        ),
        (
            query_pb2.Chat(messages=[query_pb2.ChatMessage(role="assistant", fields_json="3")]),
            "messages[0].fields_json",
        ),
        (query_pb2.Chat(messages=THREE, tools_json="{}"), "messages"),
        (query_pb2.Chat(messages=THREE, template_arguments_json="[]"), "messages"),
        (given('{"content": [{"type": "image"}]}'), "messages"),
        (given('{"content": "half \\ud800"}'), "messages"),
    ],
)
def test_what_is_no_conversation_names_its_field(tokenizer, chat, field: str):
    with pytest.raises(InvalidRequestError) as caught:
        prepare(tokenizer, chat)
    assert (caught.value.reason, caught.value.field) == ("INVALID_CONVERSATION", f"query.chat.{field}")


@pytest.mark.parametrize(
    ("messages", "policy", "expected"),
    [
        (THREE, {}, "yo>no>"),
        (THREE[:3], {}, "yo>"),
        (THREE, {"train_on": "last"}, "no>"),
        ([*THREE[:3], message("assistant", "no", trained_on=False)], {}, "yo>"),
        ([THREE[0], message("assistant", "yo", trained_on=True), *THREE[2:]], {"train_on": "last"}, "yo>no>"),
        ([*THREE[:3], message("assistant", "no", weight=0)], {"train_on": "mask-field"}, "yo>"),
    ],
)
def test_a_given_conversation_counts_as_the_corpus_own_do_or_as_it_says(tokenizer, messages, policy, expected):
    record = resolve(tokenizer, query_pb2.Chat(messages=messages), **policy).record
    assert record.text == "".join(f"<{one.content}>" for one in messages)
    assert counted(record) == expected


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([THREE[0]], "INVALID_CONVERSATION"),
        ([message("user", "hi", trained_on=True), THREE[1]], "INVALID_CONVERSATION"),
        ([THREE[0], message("assistant", "no", trained_on=False)], "INVALID_CONVERSATION"),
        (THREE * 10, "TOO_LONG_SEQUENCE"),
        (THREE * 11, "TOO_LONG_SEQUENCE"),
    ],
)
def test_a_conversation_that_is_no_training_sequence_is_refused(tokenizer, messages, reason: str):
    with pytest.raises(InvalidRequestError) as caught:
        resolve(tokenizer, query_pb2.Chat(messages=messages))
    assert (caught.value.reason, caught.value.field) == (reason, "sequences[0].chat.messages")


def test_of_a_completion_its_prompt_does_not_count(tokenizer):
    encoder = SequenceEncoder(tokenizer, ChunkPolicy(max_tokens=40, bos=True))
    record = encoder.completion("the owl ", "sees")
    assert (record.text, counted(record)) == ("the owl sees", "sees")


async def test_the_parts_of_a_text_that_count_sum_to_the_whole(tiny: Running):
    """The influence of a sequence is the sum over its targets, whoever says which of them count."""
    pair = query_pb2.PromptCompletion(prompt="the owl ", completion="sees")
    texts = [pb.SequenceReference(text=text) for text in (pair.prompt, pair.prompt + pair.completion)]
    given = [pb.SequenceReference(completion=pair), *texts]
    part, rest, whole = (await tiny.score(queries=QUERIES, sequences=given)).sequences
    total = array(part.raw_influence) + array(rest.raw_influence)
    np.testing.assert_allclose(total, array(whole.raw_influence), rtol=1e-6)
    nothing = pb.SequenceReference(completion=query_pb2.PromptCompletion())
    error = await failure(tiny.stub.ScoreSequences(request(tiny, [nothing])))
    assert (error.reason, error.field) == ("TOO_SHORT_SEQUENCE", "sequences[0].completion")


async def test_what_a_conversation_lost_is_in_the_answer(tiny: Running):
    messages = [THREE[0], message("assistant", "yo", reasoning_content="why not")]
    chat = query_pb2.Chat(messages=messages)
    response = await tiny.score(queries=QUERIES, sequences=[pb.SequenceReference(chat=chat)])
    assert [warning.code for warning in response.warnings] == ["CONVERSATION_INCOMPLETE"]
    prepared = await tiny.prepare(query_pb2.Query(chat=chat))
    assert [warning.code for warning in prepared.warnings] == ["CONVERSATION_INCOMPLETE"]
