"""What a request may hold is found out from its bytes, before anything is made of them."""

from __future__ import annotations

import os
import random

import pytest
from google.protobuf import struct_pb2
from google.protobuf.message import DecodeError

from whence.errors import InvalidRequestError
from whence.v1 import attribution_pb2, query_pb2
from whence.v1 import attribution_service_pb2 as messages
from whence.worker.v1 import worker_service_pb2 as worker
from whence_service.rpc.bounds import RequestBounds, parse

BOUNDS = RequestBounds(max_text_bytes=1000, max_filter_bytes=200, max_name_bytes=50, max_fields=150)
LONG = "x" * 51


def query(prompt="p", completion="c"):
    return query_pb2.Query(text=query_pb2.PromptCompletion(prompt=prompt, completion=completion))


def chat(count, content=""):
    said = [query_pb2.ChatMessage(role="user", content=content)] * count
    return query_pb2.Query(chat=query_pb2.Chat(messages=said))


def options(**given):
    return messages.AttributeRequest(options=attribution_pb2.AttributionOptions(**given))


def filtered(**given):
    return options(filter=attribution_pb2.Filter(**given))


def parsed(request, bounds=BOUNDS):
    return parse(request.SerializeToString(), type(request).FromString, bounds)


def refusal(request):
    with pytest.raises(InvalidRequestError) as caught:
        parsed(request)
    return caught.value.reason, caught.value.field


TOO_MUCH = [
    (messages.AttributeRequest(query=query("x" * 1000)), "TOO_LARGE_TEXT", "query"),
    (messages.AttributeRequest(query=query("p", "x" * 1000)), "TOO_LARGE_TEXT", "query"),
    (messages.AttributeRequest(query=query("x" * 500, "x" * 500)), "TOO_LARGE_TEXT", "query"),
    (messages.AttributeRequest(query=chat(20, LONG)), "TOO_LARGE_TEXT", "query"),
    (messages.BatchAttributeRequest(queries=[query(), query("é" * 500)]), "TOO_LARGE_TEXT", "queries[1]"),
    (
        messages.ScoreRequest(sequences=[messages.SequenceSelector(text="x" * 1000)]),
        "TOO_LARGE_TEXT",
        "sequences[0]",
    ),
    (
        messages.ExplainRequest(sequence=messages.SequenceSelector(sequence_id="x" * 1000)),
        "TOO_LARGE_TEXT",
        "sequence",
    ),
    (
        worker.ScoreSequencesRequest(sequences=[worker.SequenceReference(text="x" * 1000)]),
        "TOO_LARGE_TEXT",
        "sequences[0]",
    ),
    (messages.AttributeRequest(query=chat(99)), "TOO_MANY_FIELDS", "query.chat"),
    (messages.BatchAttributeRequest(queries=[query_pb2.Query()] * 151), "TOO_MANY_FIELDS", ""),
    (messages.ScoreRequest(sequences=[messages.SequenceSelector()] * 151), "TOO_MANY_FIELDS", ""),
    (options(layers=["x"] * 151), "TOO_MANY_FIELDS", "options"),
    (options(layers=["x", LONG]), "TOO_LARGE_NAME", "options.layers[1]"),
    (messages.AttributeRequest(model=LONG), "TOO_LARGE_NAME", "model"),
    (messages.AttributeRequest(request_id=LONG), "TOO_LARGE_NAME", "request_id"),
    (messages.GetModelRequest(name=LONG), "TOO_LARGE_NAME", "name"),
    (messages.ListModelsRequest(page_token=LONG), "TOO_LARGE_NAME", "page_token"),
    (messages.GroupInfluenceRequest(group_by=f"metadata.{LONG}"), "TOO_LARGE_NAME", "group_by"),
    (filtered(sources=["a", LONG]), "TOO_LARGE_NAME", "options.filter.sources[1]"),
    (filtered(metadata={LONG: "x"}), "TOO_LARGE_NAME", "options.filter.metadata[0].key"),
    (filtered(metadata={"x": LONG}), "TOO_LARGE_NAME", "options.filter.metadata[0].value"),
    (filtered(first_document_id=LONG), "TOO_LARGE_NAME", "options.filter.first_document_id"),
    (filtered(sources=["x"] * 80), "TOO_LARGE_FILTER", "options.filter"),
    (filtered(metadata={str(number): "" for number in range(80)}), "TOO_LARGE_FILTER", "options.filter"),
    (worker.ScanRequest(generation=worker.Generation(index_digest=LONG)), "TOO_LARGE_NAME", "generation.index_digest"),
    (worker.ScanRequest(shards=["a", LONG]), "TOO_LARGE_NAME", "shards[1]"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "reason", "field"), TOO_MUCH)
def test_what_holds_too_much_is_refused_by_its_place(request_, reason, field):
    assert refusal(request_) == (reason, field)


def test_numbers_and_bytes_are_bounded_by_the_request_alone():
    many = query_pb2.Query(tokens=query_pb2.TokenIds(ids=range(400), completion_start=1))
    assert parsed(messages.AttributeRequest(query=many)).query == many
    rows = worker.RefineSketchRequest(rows=[b"x" * 2000])
    assert parsed(rows) == rows


def test_what_is_just_within_the_bounds_is_parsed():
    request = messages.AttributeRequest(model="x" * 50, query=query("x" * (1000 - 9)))
    assert request.query.ByteSize() == 1000
    assert parsed(request) == request


def test_a_field_sent_twice_counts_twice():
    once = messages.AttributeRequest(query=query("x" * 900)).SerializeToString()
    with pytest.raises(InvalidRequestError) as caught:
        parse(once + once, messages.AttributeRequest.FromString, BOUNDS)
    assert caught.value.reason == "TOO_LARGE_TEXT"


def test_fields_of_another_version_are_counted_and_passed_over():
    unknown = query_pb2.Query(query_id="x").SerializeToString()  # field 1 of it is text, as in GetInfoRequest none is
    assert parse(unknown, worker.GetInfoRequest.FromString, BOUNDS) == worker.GetInfoRequest.FromString(unknown)
    with pytest.raises(InvalidRequestError) as caught:
        parse(unknown * 151, worker.GetInfoRequest.FromString, BOUNDS)
    assert caught.value.reason == "TOO_MANY_FIELDS"


def test_numbers_that_are_not_packed_are_counted():
    with pytest.raises(InvalidRequestError) as caught:
        parse(b"\x08\x01" * 151, query_pb2.TokenIds.FromString, BOUNDS)
    assert caught.value.reason == "TOO_MANY_FIELDS"


NO_MESSAGES = [
    b"\xff",  # a tag that does not end
    b"\xff" * 30,  # a number of more than ten bytes
    b"\x0a",  # a length is missing
    b"\x0a\xff\xff\xff\xff\x0f",  # a length of 4 GB
    b"\x12\x05ab",  # less than its length
    b"\x0b\x0c" * 2100,  # groups, which protobuf itself would keep as unknown fields
    b"\x0d\x00",  # half a number of 32 bits
    b"\x09\x00",  # a part of one of 64
    b"\x0f",  # an unknown wire type
    b"\x00\x00",  # a field 0
    b"\x0a\x01\xff",  # a text that is not UTF-8
    b"\x0a\x03\xed\xa0\x80",  # a lone surrogate
    b"\x12\x03\x12\x0aab",  # wrong further in
]


@pytest.mark.parametrize("data", NO_MESSAGES)
def test_bytes_that_are_no_message_are_refused_as_such(data):
    assert_malformed(data)


def assert_malformed(data):
    with pytest.raises(InvalidRequestError) as caught:
        parse(data, messages.AttributeRequest.FromString, RequestBounds())
    assert caught.value.reason == "INVALID_MESSAGE"
    assert "whence.v1.AttributeRequest" in caught.value.message


def test_whatever_the_bytes_they_are_parsed_or_refused():
    whole = messages.AttributeRequest(query=chat(3, "abc"), options=options(layers=["x"], top_k=3).options)
    good, chance = whole.SerializeToString(), random.Random(0)
    for _ in range(2000):
        data = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        data = bytes(data)[: chance.randint(0, len(data))]
        try:
            expected = messages.AttributeRequest.FromString(data)
        except DecodeError:
            expected = None
        if expected is not None:
            assert parse(data, messages.AttributeRequest.FromString, RequestBounds()) == expected
        else:
            assert_malformed(data)


def test_messages_within_messages_end_at_a_hundred():
    data = struct_pb2.Value(string_value="x").SerializeToString()
    for _ in range(51):  # a list in a value, and a value in the list
        data = _field(6, _field(1, data))
    with pytest.raises(InvalidRequestError) as caught:
        parse(data, struct_pb2.Value.FromString, RequestBounds())
    assert caught.value.reason == "INVALID_MESSAGE"


def _field(number, data):
    size = len(data)
    return bytes([number << 3 | 2, size & 0x7F | 0x80, size >> 7]) + data


def test_the_walk_of_random_bytes_ends():
    for size in range(200):
        try:
            parse(os.urandom(size), messages.ScoreRequest.FromString, BOUNDS)
        except InvalidRequestError:
            continue
