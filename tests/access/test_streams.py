"""Credentials that expire during a call, over real sockets."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from access.calls import OURS, SERVICE
from whence.v1 import attribution_service_pb2 as messages
from whence_service.rpc.identity import Scope

SOON = timedelta(seconds=1.5)


@pytest.fixture
async def guarded(start_front, worker, keys_file):
    """A front end that knows the keys of the file."""
    return await start_front(worker, keys_file=keys_file)


@pytest.fixture
def bearer(add_key):
    """The metadata of a caller whose key expires soon."""
    return [("authorization", f"Bearer {add_key(scopes=tuple(Scope), expires_in=SOON).text}")]


async def test_a_stream_ends_when_its_credentials_do_and_so_does_its_work(guarded, worker, bearer, failure_of):
    worker.stub.may_finish.clear()  # the scan goes on until it is cancelled
    stream = guarded.stub.StreamAttribute(OURS["StreamAttribute"], metadata=bearer, timeout=60)
    partial = await stream.read()
    assert partial.WhichOneof("event") == "partial"
    error = await failure_of(stream.read())
    assert (type(error).__name__, error.reason) == ("UnauthenticatedError", "CREDENTIALS_EXPIRED")
    await asyncio.wait_for(worker.stub.cancelled.wait(), 10)


async def test_a_stream_that_is_done_before_is_whole(guarded, bearer):
    stream = guarded.stub.StreamAttribute(OURS["StreamAttribute"], metadata=bearer, timeout=60)
    assert [event.WhichOneof("event") async for event in stream][-1] == "result"


async def test_a_call_with_one_answer_that_began_in_time_is_answered(guarded, worker, bearer, failure_of):
    worker.stub.may_finish.clear()
    call = guarded.stub.Attribute(OURS["Attribute"], metadata=bearer, timeout=60)
    await worker.stub.scanning.wait()
    await asyncio.sleep(SOON.total_seconds())
    worker.stub.may_finish.set()
    assert (await call).attribution.positive
    refused = await failure_of(guarded.stub.GetModel(messages.GetModelRequest(), metadata=bearer))
    assert refused.reason == "CREDENTIALS_EXPIRED"


async def test_reflection_ends_with_the_credentials_too(start_front, worker, keys_file, bearer, failure_of):
    front = await start_front(worker, keys_file=keys_file, reflection=True)
    path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    stream = front.channel.stream_stream(path)(metadata=bearer, timeout=60)
    assert (await failure_of(stream.read())).reason == "CREDENTIALS_EXPIRED"


def test_the_service_has_one_stream() -> None:
    methods = messages.DESCRIPTOR.services_by_name["AttributionService"].methods
    assert [f"{SERVICE}{method.name}" for method in methods if method.server_streaming] == [f"{SERVICE}StreamAttribute"]
