"""The interceptor of every call: request id, caller, the parsed request, the record of the call, errors as statuses.

By itself, gRPC sends the text of an uncaught exception to the client, and that of a request that cannot be parsed. Here
clients see the text of a :class:`WhenceError` alone. Any other exception becomes INTERNAL with the request id, and its
traceback goes to the log. For this the interceptor parses requests itself: it registers every method with gRPC as one
that takes a stream of bytes, which looks the same on the wire.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, TypeAlias

import grpc
import structlog
from opentelemetry.trace import Tracer

from whence.errors import (
    CancelledByCallerError,
    DeadlineError,
    InternalError,
    InvalidRequestError,
    WhenceError,
)
from whence.reasons import Reason
from whence.status import WireStatus, to_wire
from whence_service.rpc import audit, expiry, identity, request_ids, tracing
from whence_service.rpc.audit import Audit, CallNotes, Unaudited
from whence_service.rpc.bounds import RequestBounds, parse
from whence_service.rpc.gate import Gate, OpenGate
from whence_service.rpc.identity import current_identity
from whence_service.rpc.records import CallRecord, Observer, ignore
from whence_service.rpc.tracing import SILENT, CallTrace

_log: Final = structlog.get_logger(__name__)

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_Context = grpc.aio.ServicerContext[Any, Any]
_Behaviour = Callable[[Any, Any], Any]
_Receive = Callable[[AsyncIterator[bytes], _Context], Awaitable[Any]]
# Health checks and reflection; they are not our calls.
_FOREIGN_PREFIX: Final = "/grpc."


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps calls of all four kinds. Handlers are coroutine functions or async generator functions that raise errors.

    Of a call that ``gate`` refuses no byte is read, and a request that exceeds ``bounds`` never reaches its handler.
    State: the wrapped handlers by method, each made at the method's first call. Owner: the event loop.
    """

    def __init__(
        self,
        observe: Observer = ignore,
        bounds: RequestBounds = RequestBounds(),  # noqa: B008 - frozen
        gate: Gate = OpenGate(),  # noqa: B008 - without state
        tracer: Tracer = SILENT,
        audit: Audit = Unaudited(),  # noqa: B008 - without state
    ) -> None:
        self._observe = observe
        self._bounds = bounds
        self._gate = gate
        self._tracer = tracer
        self._audit = audit
        self._wrapped: dict[str, _Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        """Return the wrapped handler, or the handler itself where the method is not one of ours and open to all."""
        path = handler_call_details.method
        if path in self._wrapped:
            return self._wrapped[path]
        handler = await continuation(handler_call_details)
        if handler is None or (path.startswith(_FOREIGN_PREFIX) and not self._gate.guards(path)):
            return handler
        self._wrapped[path] = self._wrap_handler(handler, path)
        return self._wrapped[path]

    def _wrap_handler(self, handler: _Handler, path: str) -> _Handler:
        build = (
            grpc.stream_stream_rpc_method_handler
            if handler.response_streaming
            else grpc.stream_unary_rpc_method_handler
        )
        behaviour = self._wrap(_behaviour(handler), self._receiver(handler), path)
        return build(behaviour, None, handler.response_serializer)

    def _wrap(self, behaviour: _Behaviour, receive: _Receive, path: str) -> _Behaviour:
        if not inspect.isasyncgenfunction(behaviour):

            async def respond(arriving: AsyncIterator[bytes], context: _Context) -> Any:  # noqa: ANN401
                async with self._guard(path, receive, arriving, context) as request:
                    return self._release(await behaviour(request, context))

            return respond

        async def stream(arriving: AsyncIterator[bytes], context: _Context) -> AsyncIterator[Any]:
            async with (
                self._guard(path, receive, arriving, context) as request,
                aclosing(behaviour(request, context)) as complete,
                aclosing(expiry.until(current_identity().expires_at, complete)) as responses,
            ):
                async for response in responses:
                    yield self._release(response)

        return stream

    def _release(self, answer: Any) -> Any:  # noqa: ANN401 - a message, or a test's own
        released = self._gate.release(answer)
        if (notes := audit.current_notes()) is not None:
            notes.answered(released)
        return released

    def _receiver(self, handler: _Handler) -> _Receive:
        """Return the function from the arriving bytes to the handler's argument: a message, or an iterator of them."""

        def parsed(data: bytes) -> Any:  # noqa: ANN401
            return parse(data, handler.request_deserializer, self._bounds)

        async def single(_: AsyncIterator[bytes], context: _Context) -> Any:  # noqa: ANN401
            # Not from the iterator: one that is left before its end keeps the message, long after a call that failed.
            data = await context.read()
            if data is grpc.aio.EOF:
                raise _nothing_arrived()
            return parsed(data)

        async def stream(arriving: AsyncIterator[bytes], _: _Context) -> AsyncIterator[Any]:
            async def messages() -> AsyncIterator[Any]:
                async for data in arriving:
                    yield parsed(data)

            return messages()

        return stream if handler.request_streaming else single

    @asynccontextmanager
    async def _guard(
        self, path: str, receive: _Receive, arriving: AsyncIterator[bytes], context: _Context
    ) -> AsyncIterator[Any]:
        """Yield the request to the body of the ``async with``, and map what the body raises."""
        started = time.perf_counter()
        metadata = tuple(context.invocation_metadata() or ())
        trace = tracing.enter(self._tracer, path, metadata)
        request_id = request_ids.choose(request_ids.requested_id(None, metadata))
        _enter(request_id, context)
        if trace.trace_id:
            structlog.contextvars.bind_contextvars(trace_id=trace.trace_id)
        failure: WhenceError | None = None
        notes = self._begin_notes(context)
        try:
            identity.enter(await self._gate.identify(path, context))
            request = await receive(arriving, context)
            if notes is not None:
                notes.asked(request)
            requested = request_ids.requested_id(request, metadata)
            if requested and requested != request_id:
                request_id = request_ids.choose(requested)
                _enter(request_id, context)
            request_ids.check(requested)
            self._audit.require()
            yield request
        except WhenceError as error:
            failure = error.with_traceback(None)  # which holds the request, and this frame
        except (GeneratorExit, asyncio.CancelledError) as error:
            failure = _gone(error, context)
            if failure is not None:
                raise
            failure = _uncaught(error, path, request_id)
        except Exception as error:
            failure = _uncaught(error, path, request_id)
        finally:
            duration_s = time.perf_counter() - started
            record = _record(path, failure, duration_s=duration_s, request_id=request_id, trace=trace, notes=notes)
            trace.end(record.code, record.reason, request_id)
            # Once the answer is on its way, which has not to wait for a line of the log.
            asyncio.get_running_loop().call_soon(self._observe, record)
            written = self._audit.note(record)
        if failure is None and written is not None:
            failure = await written
        if failure is not None:
            await _abort(context, failure, request_id)

    def _begin_notes(self, context: _Context) -> CallNotes | None:
        if not self._audit.kept:
            return None
        notes = CallNotes(peer=context.peer())
        audit.enter(notes)
        return notes


def _enter(request_id: str, context: _Context) -> None:
    request_ids.enter(request_id)
    structlog.contextvars.bind_contextvars(request_id=request_id)
    context.set_trailing_metadata(((request_ids.METADATA_KEY, request_id),))


def _gone(error: BaseException, context: _Context) -> WhenceError | None:
    """Return why the caller no longer waits; ``None`` where the caller did not cancel, and its deadline has not passed.

    A cancellation from within, such as that of a call of our own, has to become an error: gRPC sends no status for a
    handler that ends as cancelled.
    """
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and (task is None or not task.cancelling()):
        return None
    remaining_s = context.time_remaining()
    if remaining_s is not None and remaining_s <= 0:
        return DeadlineError("the caller's deadline passed", reason=Reason.DEADLINE_EXCEEDED)
    return CancelledByCallerError("the caller cancelled the call", reason=Reason.CANCELLED)


def _uncaught(error: BaseException, path: str, request_id: str) -> InternalError:
    _log.error("uncaught exception", path=path, request_id=request_id, exc_info=error)
    return InternalError(
        f"an internal error; the server's log has its traceback under request id {request_id}",
        reason=Reason.INTERNAL,
        request_id=request_id,
    )


def _record(
    path: str,
    failure: WhenceError | None,
    *,
    duration_s: float,
    request_id: str,
    trace: CallTrace,
    notes: CallNotes | None,
) -> CallRecord:
    service, _, method = path.strip("/").rpartition("/")
    code = grpc.StatusCode.OK if failure is None else failure.code
    return CallRecord(
        service=service,
        method=method,
        code=code.name,
        duration_s=duration_s,
        request_id=request_id,
        reason="" if failure is None else failure.reason,
        trace_id=trace.trace_id,
        trace_kept=trace.kept,
        facts=None if notes is None else notes.facts(),
    )


async def _abort(context: _Context, error: WhenceError, request_id: str) -> None:
    """End the call with the status of ``error``. Raises gRPC's own exception, which must not be replaced."""
    status = to_wire(error)
    # An abort replaces the trailing metadata that was set before.
    metadata = (*status.trailing_metadata, (request_ids.METADATA_KEY, request_id))
    try:
        await context.abort_with_status(WireStatus(status.code, status.details, metadata))  # type: ignore[arg-type]
    except (grpc.aio.UsageError, grpc.aio.InternalError):
        _log.debug("the call was over before its error could be sent", reason=error.reason)
        raise asyncio.CancelledError from error


def _nothing_arrived() -> InvalidRequestError:
    return InvalidRequestError(
        "the call ended before its request had arrived: gRPC refused it for its size, or there was none; send one "
        "request, of at most the server's max_request_bytes",
        reason=Reason.MISSING_MESSAGE,
    )


def _behaviour(handler: _Handler) -> _Behaviour:
    kinds = {
        (False, False): "unary_unary",
        (False, True): "unary_stream",
        (True, False): "stream_unary",
        (True, True): "stream_stream",
    }
    behaviour: _Behaviour = getattr(handler, kinds[bool(handler.request_streaming), bool(handler.response_streaming)])
    return behaviour
