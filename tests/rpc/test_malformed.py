"""Bytes that are no request get the error contract from every method: a typed error, a record, a log line, no more."""

from __future__ import annotations

import grpc
import pytest

from whence import status
from whence.v1 import attribution_service_pb2
from whence.worker.v1 import worker_service_pb2

METHODS = list(attribution_service_pb2.DESCRIPTOR.services_by_name["AttributionService"].methods)
WORKER_METHODS = list(worker_service_pb2.DESCRIPTOR.services_by_name["WorkerService"].methods)


async def send(channel, method, data, **options):
    """Send bytes to a method, and return the first bytes that it answers with."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    kind = channel.unary_stream if method.server_streaming else channel.unary_unary
    call = kind(path)(data, **options)
    return await (call.read() if method.server_streaming else call)


async def refusal(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert "Traceback" not in caught.value.details()
    return status.from_call(caught.value)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
async def test_every_method_of_the_front_end_refuses_bytes_that_are_no_request(front, method, logs):
    error = await refusal(send(front.channel, method, b"\x0a\xff", metadata=(("x-request-id", "r1"),)))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_MESSAGE")
    assert error.details == {"expected": method.input_type.full_name}
    [line] = [line for line in logs if line["event"] == "call" and line["method"] == method.name]
    assert (line["code"], line["reason"], line["request_id"]) == ("INVALID_ARGUMENT", "INVALID_MESSAGE", "r1")
    assert not [line for line in logs if line.get("exc_info")]


@pytest.mark.parametrize("method", WORKER_METHODS, ids=lambda method: method.name)
async def test_every_method_of_a_worker_refuses_bytes_that_are_no_request(worker, method):
    async with grpc.aio.insecure_channel(worker.address) as channel:
        error = await refusal(send(channel, method, b"\x0a\xff"))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_MESSAGE")


async def test_malformed_calls_are_counted(front):
    await refusal(send(front.channel, METHODS[0], b"\xff"))
    counted = front.front._registry.get_sample_value(
        "whence_rpc_requests_total", {"method": "whence.v1.AttributionService/Attribute", "code": "INVALID_ARGUMENT"}
    )
    assert counted == 1


async def test_a_call_that_ends_without_a_request_is_refused(front):
    call = front.channel.stream_unary("/whence.v1.AttributionService/Attribute")()
    await call.done_writing()
    assert (await refusal(call)).reason == "MISSING_MESSAGE"


async def test_a_method_that_there_is_not_is_unimplemented(front):
    call = front.channel.unary_unary("/whence.v1.AttributionService/Delete")(b"")
    assert (await refusal(call)).code is grpc.StatusCode.UNIMPLEMENTED


async def test_what_inflates_to_more_than_the_limit_is_refused(start_front, worker):
    front = await start_front(worker, max_request_bytes=10_000)
    bomb = attribution_service_pb2.GetModelRequest(name="x" * 1_000_000).SerializeToString()
    call = front.channel.unary_unary("/whence.v1.AttributionService/GetModel")(bomb, compression=grpc.Compression.Gzip)
    error = await refusal(call)
    assert (error.reason, "larger than max" in error.message) == ("GRPC_RESOURCE_EXHAUSTED", True)


async def test_what_holds_too_much_never_reaches_a_worker(front, worker):
    chat = attribution_service_pb2.AttributeRequest()
    for _ in range(40_000):
        chat.query.chat.messages.add(role="user", content="x")
    error = await refusal(front.stub.Attribute(chat))
    assert (error.reason, error.details) == ("TOO_MANY_FIELDS", {"max_fields": "100000"})
    assert not worker.stub.prepared
