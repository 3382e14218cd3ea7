"""The API over HTTP is that over gRPC, in every method: the same answers, the same errors with all their details."""

from __future__ import annotations

import json
from typing import Any

import grpc
import httpx
import jsonschema
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # noqa: F401 - the types of details

from access.calls import OURS, SERVICE
from whence.explore.api import openapi
from whence.explore.api.methods import METHODS, Method
from whence.explore.api.statuses import HTTP_STATUS
from whence.status import DETAILS_KEY
from whence.v1 import attribution_service_pb2 as messages
from whence.v1 import query_pb2

# Of both calls, because a message may repeat it.
ID = {"x-request-id": "the-same"}
UNKNOWN = messages.SequenceSelector(sequence_id="nowhere#0")
SHORT = query_pb2.Query(text=query_pb2.PromptCompletion(prompt="p", completion=""))
# Requests that fail, for every reason that a caller can bring about here: by method, some that do.
WRONG: dict[str, list[Message]] = {
    "Attribute": [
        messages.AttributeRequest(),
        messages.AttributeRequest(query=SHORT),
        messages.AttributeRequest(query=OURS["Attribute"].query, model="nothing"),
        messages.AttributeRequest(query=OURS["Attribute"].query, request_id="two words"),
        messages.AttributeRequest(query=OURS["Attribute"].query, options={"top_k": 5000}),
        messages.AttributeRequest(query=OURS["Attribute"].query, options={"damping_factor": -1.0}),
        messages.AttributeRequest(query=OURS["Attribute"].query, options={"damping_factor": float("nan")}),
        messages.AttributeRequest(query=OURS["Attribute"].query, options={"layers": ["none.*"]}),
        messages.AttributeRequest(query=OURS["Attribute"].query, options={"search": 99}),
    ],
    "StreamAttribute": [messages.StreamAttributeRequest(), messages.StreamAttributeRequest(query=SHORT, model="other")],
    "BatchAttribute": [messages.BatchAttributeRequest(), messages.BatchAttributeRequest(queries=[SHORT])],
    "Score": [messages.ScoreRequest(), messages.ScoreRequest(queries=OURS["Score"].queries, sequences=[UNKNOWN])],
    "Explain": [messages.ExplainRequest(), messages.ExplainRequest(query=OURS["Explain"].query, sequence=UNKNOWN)],
    "SelfInfluence": [messages.SelfInfluenceRequest(), messages.SelfInfluenceRequest(sequences=[UNKNOWN])],
    "GroupInfluence": [messages.GroupInfluenceRequest(), messages.GroupInfluenceRequest(group_by="nothing")],
    "TextOverlap": [messages.TextOverlapRequest(), messages.TextOverlapRequest(queries=[SHORT])],
    "ListModels": [messages.ListModelsRequest(page_token="nothing")],
    "GetModel": [messages.GetModelRequest(name="nothing")],
}
CALLS = [(method, OURS[method.name]) for method in METHODS]
CALLS += [(method, request) for method in METHODS for request in WRONG[method.name]]


@pytest.mark.parametrize(("method", "request_"), CALLS, ids=lambda value: getattr(value, "name", "") or "request")
async def test_it_answers_or_refuses_as_over_grpc(page, front, method: Method, request_: Message):
    expected = await over_grpc(front.channel, method, request_)
    response = await page.post(method.path.removeprefix("/v1/"), json_format.MessageToDict(request_), **ID)
    if isinstance(expected, status_pb2.Status):
        schema_of("Status").validate(response.json())
        assert response.status_code == HTTP_STATUS[code(expected.code)]
        assert response.json() == json_format.MessageToDict(expected, always_print_fields_with_no_presence=True)
    else:
        assert response.status_code == 200
        for item in results(response):
            schema_of(method.response.DESCRIPTOR.name).validate(item)
        assert [comparable(json_format.ParseDict(item, method.response())) for item in results(response)] == [
            comparable(message) for message in expected
        ]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
async def test_each_method_is_held_to_that(method: Method):
    assert method.name in OURS
    assert WRONG[method.name]


async def test_an_answer_has_every_field_and_is_protobufs_own_json(page, front):
    request = messages.ScoreRequest(queries=OURS["Score"].queries, sequences=OURS["Score"].sequences)
    expected = await front.stub.Score(request)
    answer = (await page.post("score", json_format.MessageToDict(request))).json()
    written = json_format.MessageToDict(expected, always_print_fields_with_no_presence=True)
    assert {**answer, "metadata": None} == {**written, "metadata": None}
    assert answer["influence"] == {
        "dataType": "DATA_TYPE_FLOAT64",
        "shape": ["1", "1"],
        "data": "exSuR+F6hL8=",
    }  # -0.01


async def test_both_names_of_a_field_are_taken(page):
    both = [
        {"query": {"text": {"prompt": "p", "completion": "abc"}}, "options": {name: 1}} for name in ("topK", "top_k")
    ]
    answers = [(await page.post("attribute", body)).json()["attribution"] for body in both]
    assert answers[0] == answers[1]
    assert len(answers[0]["positive"]) == 1


async def test_an_empty_body_is_the_message_without_fields(page):
    response = await page.http.post("/v1/list-models", headers={"Content-Type": "application/json"})
    assert [model["name"] for model in response.json()["models"]] == ["tiny"]


async def over_grpc(channel: grpc.aio.Channel, method: Method, request: Message) -> list[Message] | status_pb2.Status:
    call = channel.unary_stream(SERVICE + method.name, type(request).SerializeToString, method.response.FromString)
    try:
        return [message async for message in call(request, metadata=tuple(ID.items()))]
    except grpc.aio.AioRpcError as failure:
        return status_pb2.Status.FromString(dict(failure.trailing_metadata())[DETAILS_KEY])


def results(response: httpx.Response) -> list[Any]:
    if response.headers["content-type"] == "application/json":
        return [response.json()]
    return [json.loads(line)["result"] for line in response.text.splitlines()]


def comparable(message: Message) -> Message:
    """Return an answer without what differs from call to call."""
    within = message.result if isinstance(message, messages.StreamAttributeResponse) else message
    for name in ("timings", "request_id"):
        if "metadata" in within.DESCRIPTOR.fields_by_name:
            within.metadata.ClearField(name)
    return message


def schema_of(name: str) -> jsonschema.Draft202012Validator:
    document = json.loads(openapi.DOCUMENT.read_text())
    return jsonschema.Draft202012Validator({**document, "$ref": f"#/components/schemas/{name}"})


def code(number: int) -> grpc.StatusCode:
    return next(code for code in grpc.StatusCode if code.value[0] == number)
