"""Queries become the tokens that are measured, or an error that names the field."""

from __future__ import annotations

import pytest

from whence.errors import InvalidRequestError
from whence.v1 import query_pb2
from whence.worker.v1 import worker_service_pb2 as pb
from whence_backends.models.source import resolve_model
from whence_backends.models.text.tokenizer import Tokenizer
from whence_backends.worker.requests.tokenization import QueryLimits, QueryTokenizer, TokenizedQuery
from worker.harness import CHARACTERS, Artefacts, Running, failure


@pytest.fixture(scope="module")
def tokenizer(artefacts: Artefacts) -> Tokenizer:
    return Tokenizer.load(resolve_model(str(artefacts.model)))


def prepare(tokenizer: Tokenizer, query: query_pb2.Query, *, prefix_bos: bool = False) -> TokenizedQuery:
    limits = QueryLimits(max_tokens=20, vocabulary_size=len(CHARACTERS))
    return QueryTokenizer(tokenizer, limits, prefix_bos=prefix_bos).tokenize(query, "queries[0]")


def text(prompt: str, completion: str) -> query_pb2.Query:
    return query_pb2.Query(text=query_pb2.PromptCompletion(prompt=prompt, completion=completion))


def chat(*messages: tuple[str, str]) -> query_pb2.Query:
    return query_pb2.Query(
        chat=query_pb2.Chat(messages=[query_pb2.ChatMessage(role=role, content=content) for role, content in messages])
    )


def ids(*numbers: int, start: int) -> query_pb2.Query:
    return query_pb2.Query(tokens=query_pb2.TokenIds(ids=numbers, completion_start=start))


def shown(prepared: TokenizedQuery) -> tuple[str, str]:
    """The text of the tokens, and a mark under each that is measured."""
    tokens = prepared.tokens
    marks = "".join("x" if weight else "." for weight in tokens.weights)
    return "".join(CHARACTERS[token] for token in tokens.token_ids), marks


@pytest.mark.parametrize(
    ("query", "prefix_bos", "expected"),
    [
        (text("ab", "cd"), False, ("abcd", "..xx")),
        (text("ab", "cd"), True, ("^abcd", "...xx")),
        (text("", "cd"), False, ("^cd", ".xx")),
        (text("^a", "b"), True, ("^ab", "..x")),
        (chat(("user", "hi"), ("assistant", "yo")), True, ("<hi><yo>", ".....xxx")),
        (ids(4, 5, 6, 7, start=1), True, ("abcd", ".xxx")),
    ],
)
def test_only_the_completion_is_measured(tokenizer, query, prefix_bos: bool, expected: tuple[str, str]):
    prepared = prepare(tokenizer, query, prefix_bos=prefix_bos)
    assert shown(prepared) == expected
    assert prepared.completion_tokens == expected[1].count("x")


@pytest.mark.parametrize(
    ("query", "reason", "field"),
    [
        (query_pb2.Query(), "MISSING_QUERY_INPUT", "queries[0]"),
        (text("ab", ""), "EMPTY_COMPLETION", "queries[0].text.completion"),
        (text("a" * 10, "b" * 11), "TOO_LONG_QUERY", "queries[0].text.completion"),
        (chat(("user", "hi")), "INVALID_LAST_ROLE", "queries[0].chat.messages"),
        (chat(), "INVALID_LAST_ROLE", "queries[0].chat.messages"),
        (chat(("user", "a"), ("assistant", "")), "EMPTY_COMPLETION", "queries[0].chat.messages[1].content"),
        (ids(4, 33, start=1), "INVALID_TOKEN_ID", "queries[0].tokens.ids[1]"),
        (ids(4, 2**32 - 1, start=1), "INVALID_TOKEN_ID", "queries[0].tokens.ids[1]"),
        (ids(4, 5, start=0), "MISSING_CONTEXT", "queries[0].tokens.completion_start"),
        (ids(4, 5, start=2), "EMPTY_COMPLETION", "queries[0].tokens.completion_start"),
        (ids(start=0), "EMPTY_COMPLETION", "queries[0].tokens"),
        (ids(*[4] * 21, start=1), "TOO_LONG_QUERY", "queries[0].tokens.ids"),
        (query_pb2.Query(measurement=9), "UNKNOWN_MEASUREMENT", "queries[0].measurement"),
    ],
)
def test_a_query_that_cannot_be_measured_names_its_field(tokenizer, query, reason: str, field: str):
    with pytest.raises(InvalidRequestError) as caught:
        prepare(tokenizer, query)
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_without_a_bos_token_a_completion_without_a_prompt_has_no_context(tokenizer):
    class NoBos:
        def encode_query(self, prompt: str, completion: str, prefix_bos: bool) -> tuple[list[int], int]:
            return tokenizer.encode_query(prompt, completion, False)

    with pytest.raises(InvalidRequestError) as caught:
        prepare(NoBos(), text("", "ab"))
    assert (caught.value.reason, caught.value.field) == (
        "MISSING_CONTEXT",
        "queries[0].text.completion",
    )


async def test_over_the_wire_the_error_says_which_query_and_what_to_send(tiny: Running):
    request = pb.PrepareQueriesRequest(generation=tiny.generation, queries=[text("a", "b"), ids(4, 99, start=1)])
    error = await failure(tiny.stub.PrepareQueries(request))
    assert isinstance(error, InvalidRequestError)
    assert error.field == "queries[1].tokens.ids[1]"
    assert error.details == {"token_id": "99", "vocabulary_size": str(len(CHARACTERS))}


async def test_a_query_longer_than_the_worker_allows_is_refused(serve):
    async with serve(max_query_tokens=10) as worker:
        assert (await worker.info()).model.limits.max_query_tokens == 10
        request = pb.PrepareQueriesRequest(generation=worker.generation, queries=[text("a" * 5, "b" * 6)])
        error = await failure(worker.stub.PrepareQueries(request))
    assert (error.reason, error.details) == ("TOO_LONG_QUERY", {"tokens": "11", "limit": "10"})


async def test_a_prepared_query_says_what_was_measured(tiny: Running):
    [prepared] = (await tiny.prepare(text("ab", "cde"))).queries
    assert prepared.completion_tokens == 3
    assert prepared.query_key.startswith("wq3:")
    assert prepared.log_likelihood < 0
