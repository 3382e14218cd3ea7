"""What surrounds a call, for all four kinds of call, on a service of the test's own."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from whence import status
from whence.errors import InvalidRequestError
from whence_service.rpc.hosting import HostSettings, RpcHost
from whence_service.rpc.interceptors import CallInterceptor
from whence_service.rpc.records import CallRecord

KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


class Echo:
    """Answers with the bytes it got; some bytes make it fail. Every kind of call goes through ``_reply``."""

    def __init__(self):
        self.cancelled = asyncio.Event()

    async def _reply(self, data):
        if data == b"typed":
            raise InvalidRequestError("no", reason="NO", field="f")
        if data == b"bug":
            raise ValueError("the secret path")
        if data == b"stray":
            other = asyncio.ensure_future(asyncio.sleep(10))
            other.cancel()
            await other
        if data == b"slow":
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        return data

    async def unary_unary(self, request, context):
        return await self._reply(request)

    async def unary_stream(self, request, context):
        yield await self._reply(request)

    async def stream_unary(self, requests, context):
        return await self._reply(b"".join([request async for request in requests]))

    async def stream_stream(self, requests, context):
        async for request in requests:
            yield await self._reply(request)


@pytest.fixture
async def echo():
    """A function that calls one kind with some bytes, the records of calls so far, and the servicer."""
    records, servicer = [], Echo()
    settings = HostSettings(address="127.0.0.1:0", drain_s=0, grace_s=0, reflection=False)
    host = RpcHost(settings, [CallInterceptor(records.append)], ["test.Echo"])
    handlers = {kind: getattr(grpc, f"{kind}_rpc_method_handler")(getattr(servicer, kind)) for kind in KINDS}
    host.server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Echo", handlers)])
    channel = grpc.aio.insecure_channel(await host.start())

    async def call(kind, data, **options):
        method = getattr(channel, kind)(f"/test.Echo/{kind}")
        given = iter([data]) if kind.startswith("stream") else data
        started = method(given, **options)
        if kind.endswith("unary"):
            return await started
        return b"".join([answer async for answer in started])

    call.records, call.servicer = records, servicer
    yield call
    await channel.close()
    await host.drain()


async def fail(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return status.from_call(caught.value)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_passes_and_leaves_one_record(echo, kind):
    assert await echo(kind, b"hello", metadata=(("x-request-id", "r1"),)) == b"hello"
    (record,) = echo.records
    assert isinstance(record, CallRecord)
    assert (record.service, record.method, record.code) == ("test.Echo", kind, "OK")
    assert (record.request_id, record.reason) == ("r1", "")
    assert record.duration_s > 0


@pytest.mark.parametrize("kind", KINDS)
async def test_a_typed_error_arrives_as_it_was_raised(echo, kind):
    error = await fail(echo(kind, b"typed"))
    assert (type(error), error.message, error.reason) == (InvalidRequestError, "no", "NO")
    assert error.field == "f"
    assert [(record.code, record.reason) for record in echo.records] == [("INVALID_ARGUMENT", "NO")]


@pytest.mark.parametrize("kind", KINDS)
async def test_any_other_exception_is_internal_and_only_the_log_knows_its_text(echo, kind, logs):
    error = await fail(echo(kind, b"bug", metadata=(("x-request-id", "r2"),)))
    assert (error.reason, error.details) == ("INTERNAL", {"request_id": "r2"})
    assert "secret" not in error.message
    assert [(record.code, record.reason) for record in echo.records] == [("INTERNAL", "INTERNAL")]
    assert "secret" in repr([line.get("exc_info") for line in logs])


async def test_a_cancellation_that_nobody_asked_for_is_a_bug_of_ours(echo):
    assert (await fail(echo("unary_unary", b"stray"))).reason == "INTERNAL"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_cancelled_call_is_cancelled_here_and_recorded_so(echo, kind, eventually):
    call = asyncio.ensure_future(echo(kind, b"slow"))
    await asyncio.sleep(0.1)
    call.cancel()
    await asyncio.wait_for(echo.servicer.cancelled.wait(), 10)
    await eventually(lambda: echo.records)
    assert [record.code for record in echo.records] == ["CANCELLED"]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_expired_call_is_recorded_as_such(echo, kind, eventually):
    error = await fail(echo(kind, b"slow", timeout=0.1))
    assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED
    await eventually(lambda: echo.records)
    assert [record.code for record in echo.records] == ["DEADLINE_EXCEEDED"]
