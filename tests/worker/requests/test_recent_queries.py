"""Queries that are kept as tokens."""

from __future__ import annotations

import pytest

from whence.errors import InvalidRequestError
from whence.v1 import query_pb2
from whence_backends.models.source import resolve_model
from whence_backends.models.text.tokenizer import Tokenizer
from whence_backends.worker.requests.recent_queries import RecentQueries
from whence_backends.worker.requests.tokenization import QueryLimits, QueryTokenizer
from worker.harness import CHARACTERS, ask

THOUGHTFUL = query_pb2.Query(
    chat=query_pb2.Chat(
        messages=[
            query_pb2.ChatMessage(role="user", content="hi"),
            query_pb2.ChatMessage(role="assistant", content="yo", fields_json='{"reasoning_content": "why not"}'),
        ]
    )
)


class CountedTokenizer(QueryTokenizer):
    fields: tuple[str, ...] = ()

    def tokenize(self, query, field):
        self.fields = (*self.fields, field)
        return super().tokenize(query, field)


@pytest.fixture
def tokenizer(artefacts) -> CountedTokenizer:
    limits = QueryLimits(max_tokens=40, vocabulary_size=len(CHARACTERS))
    return CountedTokenizer(Tokenizer.load(resolve_model(str(artefacts.model))), limits, prefix_bos=False)


async def test_only_queries_that_are_not_kept_are_tokenized(tokenizer):
    recent = RecentQueries(tokenizer)
    first = await recent.tokenize([ask("a", "b"), ask("a", "c")])
    again = await recent.tokenize([ask("a", "b"), ask("a", "d"), ask("a", "e")])
    assert tokenizer.fields == ("queries[0]", "queries[1]", "queries[1]", "queries[2]")
    assert again[0] is first[0]
    assert [query.tokens.token_ids[1] for query in again] == [CHARACTERS.index(letter) for letter in "bde"]


async def test_a_warning_names_the_place_of_its_query(tokenizer):
    recent = RecentQueries(tokenizer)
    await recent.tokenize([THOUGHTFUL])
    _, second = await recent.tokenize([ask(), THOUGHTFUL])
    assert "queries[1]" in second.warnings[0].message


async def test_an_error_is_raised_each_time(tokenizer):
    recent = RecentQueries(tokenizer)
    for _ in range(2):
        with pytest.raises(InvalidRequestError, match="no token"):
            await recent.tokenize([ask("a", "")])
    assert repr(recent).startswith("RecentQueries(0 values")
