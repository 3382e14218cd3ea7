"""Whatever a caller passes, the client refuses it as a WhenceError that names the field, before anything is sent."""

from __future__ import annotations

import pytest

import whence
from whence import Filter, InvalidRequestError, Query

HALF = "a\ud83d"


@pytest.fixture
def client():
    with whence.Client("localhost:1", retry=None, timeout_s=1) as client:
        yield client


QUERY = Query.text("a", "b")
ASKED = {
    "query.text.prompt": lambda client, value: client.attribute(prompt=value, completion="b"),
    "query.text.completion": lambda client, value: client.attribute(completion=value),
    "query.chat.messages[1].content": lambda client, value: client.attribute(
        Query.chat([("user", "x"), ("assistant", value)])
    ),
    "query.query_id": lambda client, value: client.attribute(Query.text("a", "b", query_id=value)),
    "filter.sources": lambda client, value: client.attribute(QUERY, only=Filter(sources=["web", value])),
    "filter.metadata": lambda client, value: client.attribute(QUERY, only=Filter(metadata={"year": value})),
    "filter.first_document_id": lambda client, value: client.attribute(QUERY, only=Filter(first_document_id=value)),
    "options.layers": lambda client, value: client.attribute(QUERY, layers=[value]),
    "model": lambda client, value: client.explain(QUERY, text="x", model=value),
    "request_id": lambda client, value: client.attribute_batch([QUERY], request_id=value),
    "group_by": lambda client, value: client.group_influence(QUERY, group_by=value),
    "sequences[0].text": lambda client, value: client.score(QUERY, texts=[value, "c"]),
    "sequences[1].sequence_id": lambda client, value: client.score(QUERY, sequence_ids=["c", value]),
    "sequence.sequence_id": lambda client, value: client.explain(QUERY, sequence_id=value),
    "name": lambda client, value: client.model(value),
    "page_token": lambda client, value: whence.requests.models_page(5, value),
}


@pytest.mark.parametrize("field", ASKED)
def test_half_a_surrogate_pair_is_refused_wherever_text_goes(client, field):
    with pytest.raises(InvalidRequestError, match="half a surrogate pair") as caught:
        ASKED[field](client, HALF)
    assert (caught.value.reason, caught.value.field) == ("INVALID_FIELD", field)
    caught.value.message.encode()  # it can be printed


@pytest.mark.parametrize("field", sorted(set(ASKED) - {"query.chat.messages[1].content"}))
def test_what_is_no_text_is_refused_by_name(client, field):
    with pytest.raises(InvalidRequestError, match="text") as caught:
        ASKED[field](client, 5.5)
    assert (caught.value.reason, caught.value.field) == ("INVALID_FIELD", field)


@pytest.mark.parametrize(
    "given",
    [
        {"top_k": 2**40},
        {"top_k": 1.5},
        {"top_k": "5"},
        {"candidates": 2**33},
        {"damping_factor": "much"},
        {"include_layers": "yes"},
    ],
)
def test_a_number_that_is_none_or_too_large_is_refused_by_name(client, given):
    with pytest.raises(InvalidRequestError, match="expected") as caught:
        client.attribute(QUERY, **given)
    assert caught.value.field == f"options.{next(iter(given))}"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Query.tokens(["a", "b"], 1),
        lambda: Query.tokens([1, 2.5], 1),
        lambda: Query.tokens(5, 1),
        lambda: Query.tokens([1, 2], "1"),
        lambda: Query.chat("hello"),
        lambda: Query.chat(None),
        lambda: whence.Client(""),
        lambda: whence.Client(50051),
        lambda: whence.Client("http://localhost:50051"),
        lambda: whence.AsyncClient("caf\udce9:1"),
        lambda: whence.Client(metadata=[("Authorization", "x")]),
        lambda: whence.Client(metadata=[("authorization", "caf\u00e9")]),
        lambda: whence.AsyncClient(metadata=[("authorization", 5)]),
        lambda: whence.AsyncClient(metadata=["authorization"]),
        lambda: whence.Client(metadata=[("token-bin", "x")]),
    ],
)
def test_so_is_everything_else(make):
    with pytest.raises(InvalidRequestError):
        make()


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan"), "5"])
def test_a_timeout_is_a_number_of_seconds(client, timeout_s):
    with pytest.raises(InvalidRequestError) as caught:
        client.attribute(QUERY, timeout_s=timeout_s)
    assert caught.value.reason == "INVALID_TIMEOUT"
