"""The frame of the worker's calls: what each of them begins and ends with."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, aclosing
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import grpc

from whence.v1 import attribution_pb2
from whence.worker.v1 import worker_service_pb2
from whence_backends.worker.model.checks import require_generation
from whence_backends.worker.model.model_server import ModelServer
from whence_backends.worker.runtime.context import CallContext
from whence_service.rpc import tenants
from whence_service.rpc.admission import Admission
from whence_service.rpc.deadlines import Deadline
from whence_service.rpc.records import Observer, StageRecord, ignore
from whence_service.rpc.stages import Stopwatch
from whence_service.rpc.tracing import current_trace

ServicerContext = grpc.aio.ServicerContext[Any, Any]


class _Timings(Protocol):
    def extend(self, timings: Iterable[attribution_pb2.StageTiming], /) -> None: ...


class Request(Protocol):
    """A request to a worker. Each names the artefacts that it is for."""

    @property
    def generation(self) -> worker_service_pb2.Generation:
        """The digests of the artefacts."""
        ...


class Response(Protocol):
    """A worker's response. Each, or the last of a stream, says where the call's time went."""

    @property
    def timings(self) -> _Timings:
        """The seconds of each stage."""
        ...


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call under way: the model that answers it, its context, and its place among the calls that run."""

    model: ModelServer
    context: CallContext
    admission: Admission
    observe: Observer

    def slot(self) -> AbstractAsyncContextManager[None]:
        """Wait for a place among the calls that run, and hold it for the length of the ``async with``."""
        return self.admission.slot(self.context.deadline)

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Count the time of the body of the ``with`` as the stage ``name``."""
        return self.context.stopwatch.stage(name)

    def finish(self, response: Response) -> None:
        """Write into the call's last response where its time went, and observe each stage once."""
        timings = self.context.stopwatch.timings()
        for timing in timings:
            self.observe(StageRecord(stage=timing.stage, duration_s=timing.seconds))
        response.timings.extend(timings)


class CallFrame:
    """Begins calls to the model that ``model`` returns, which raises while there is none.

    Errors need nothing here: the server's interceptor makes statuses of them.
    """

    def __init__(self, model: Callable[[], ModelServer], admission: Admission, observe: Observer = ignore) -> None:
        self.model = model
        self._admission = admission
        self._observe = observe

    def begin(self, request: Request, context: ServicerContext) -> Call:
        """Return the call; :class:`~whence.errors.MismatchError` where it is for other artefacts than are loaded."""
        model = self.model()
        require_generation(model.description, request.generation)
        tenants.enter(context.invocation_metadata() or ())
        return Call(
            model=model,
            context=CallContext(deadline=Deadline.of(context), stopwatch=Stopwatch(trace=current_trace())),
            admission=self._admission,
            observe=self._observe,
        )


class Framed(Protocol):
    """A servicer whose calls have a frame."""

    frame: CallFrame


_Servicer = TypeVar("_Servicer", bound=Framed)
_Request = TypeVar("_Request", bound=Request)
_Response = TypeVar("_Response", bound=Response)


def unary(
    method: Callable[[_Servicer, _Request, Call], Awaitable[_Response]],
) -> Callable[[_Servicer, _Request, ServicerContext], Coroutine[Any, Any, _Response]]:
    """Put a method that returns one response into the frame."""

    @functools.wraps(method)
    async def framed(servicer: _Servicer, request: _Request, context: ServicerContext) -> _Response:
        call = servicer.frame.begin(request, context)
        response = await method(servicer, request, call)
        call.finish(response)
        return response

    return framed


def streaming(
    method: Callable[[_Servicer, _Request, Call], AsyncGenerator[_Response, None]],
) -> Callable[[_Servicer, _Request, ServicerContext], AsyncIterator[_Response]]:
    """Put a method that yields responses into the frame. It finishes the call itself, with the last of them."""

    @functools.wraps(method)
    async def framed(servicer: _Servicer, request: _Request, context: ServicerContext) -> AsyncIterator[_Response]:
        async with aclosing(method(servicer, request, servicer.frame.begin(request, context))) as responses:
            async for response in responses:
                yield response

    return framed
