"""Requests that cannot be answered: each ends in the typed error that says which part of it to change."""

from __future__ import annotations

import pytest

from e2e.conftest import Service
from e2e.harness import QUERY
from whence import Client, InvalidRequestError, NotFoundError, OverloadedError, Query, UnavailableError
from whence.queries import TextInput, TokenInput

EMPTY = Query(input=TextInput(prompt="the owl", completion=""))  # the client's own check passed by
CHAT = Query.chat([("user", "who lit the lamp?"), ("assistant", "the keeper")])


@pytest.mark.parametrize(
    ("query", "reason", "field"),
    [
        (EMPTY, "EMPTY_COMPLETION", "query.text.completion"),
        (Query.tokens([1] * 4097, 1), "TOO_LONG_QUERY", "query.tokens.ids"),
        (Query.text("a" * 4096, "b"), "TOO_LONG_QUERY", "query.text.completion"),
        (Query.tokens([1, 61, 2], 1), "INVALID_TOKEN_ID", "query.tokens.ids[1]"),
        (Query.tokens([1, 2**32 - 1], 1), "INVALID_TOKEN_ID", "query.tokens.ids[1]"),
        (Query(input=TokenInput(ids=(1, 2), completion_start=2)), "INVALID_COMPLETION_START", "query.tokens."),
        (Query(input=TokenInput(ids=(), completion_start=0)), "EMPTY_COMPLETION", "query.tokens.ids"),
        (CHAT, "MISSING_CHAT_TEMPLATE", "query.chat.messages"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_query_that_cannot_be_answered_names_its_field(whole: Service, query: Query, reason: str, field: str):
    with pytest.raises(InvalidRequestError) as caught:
        whole.client.attribute(query)
    assert caught.value.reason == reason
    assert caught.value.field.startswith(field)
    assert caught.value.details["request_id"]


def test_in_a_batch_the_field_says_which_query_it_is(whole: Service):
    with pytest.raises(InvalidRequestError) as caught:
        whole.client.attribute_batch([QUERY, QUERY, Query.tokens([1, 61], 1)])
    assert caught.value.field == "queries[2].tokens.ids[1]"


def test_in_a_batch_spread_over_workers_the_field_still_counts_the_requests_queries(halves: Service):
    good = [Query.tokens([1, token], 1) for token in range(2, 9)]  # enough that both workers prepare some
    for place in (0, 3, 7):
        with pytest.raises(InvalidRequestError) as caught:
            halves.client.attribute_batch([*good[:place], Query.tokens([1, 61], 1), *good[place:]])
        assert caught.value.field == f"queries[{place}].tokens.ids[1]"


@pytest.mark.parametrize("damping_factor", [0.0, -1.0, float("nan"), float("inf")])
def test_a_damping_factor_must_be_positive(whole: Service, damping_factor: float):
    with pytest.raises(InvalidRequestError) as caught:
        whole.client.attribute(QUERY, damping_factor=damping_factor)
    assert (caught.value.reason, caught.value.field) == ("INVALID_DAMPING_FACTOR", "options.damping_factor")


def test_an_unknown_model_lists_the_known(whole: Service):
    with pytest.raises(NotFoundError, match="known: tiny") as caught:
        whole.client.attribute(QUERY, model="huge")
    assert (caught.value.reason, caught.value.details["model"]) == ("MODEL_NOT_FOUND", "huge")


@pytest.mark.parametrize("service", ["whole", "halves"])
def test_an_unknown_sequence_is_not_found(service: str, request: pytest.FixtureRequest):
    client = request.getfixturevalue(service).client
    with pytest.raises(NotFoundError) as caught:
        client.score(QUERY, sequence_ids=["doc1#0", "nobody#0"])
    assert (caught.value.reason, caught.value.details["sequence_id"]) == ("SEQUENCE_NOT_FOUND", "nobody#0")


@pytest.mark.parametrize(("text", "reason"), [("a" * 41, "TOO_LONG_SEQUENCE"), ("a", "TOO_SHORT_SEQUENCE")])
def test_a_text_that_cannot_be_a_training_sequence_is_refused(whole: Service, text: str, reason: str):
    with pytest.raises(InvalidRequestError) as caught:
        whole.client.score(QUERY, texts=["the owl", text])
    assert caught.value.reason == reason
    assert caught.value.field == "sequences[1].text"


def test_a_server_that_is_not_there_is_unavailable():
    with Client("127.0.0.1:1", retry=None) as client, pytest.raises(UnavailableError, match="cannot be reached"):
        client.attribute(QUERY)


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(slow: Service):
    events = slow.client.attribute_stream(QUERY)
    next(events)
    with pytest.raises(OverloadedError) as caught:
        slow.client.attribute(QUERY)
    events.close()
    assert caught.value.reason == "QUEUE_FULL"
    assert caught.value.retry_after_s > 0
