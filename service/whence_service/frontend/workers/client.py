"""One worker, as the front end calls it: deadline, request id and errors are the same for every call."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import grpc
import structlog
from google.protobuf.descriptor import Descriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc

from whence import status
from whence.errors import (
    CancelledByCallerError,
    DeadlineError,
    InternalError,
    InvalidRequestError,
    MismatchError,
    UnavailableError,
    WhenceError,
)
from whence.reasons import Reason
from whence.worker.v1 import worker_service_pb2 as messages
from whence.worker.v1 import worker_service_pb2_grpc
from whence_service.rpc import request_ids, tenants
from whence_service.rpc.deadlines import Deadline, deadline_error
from whence_service.rpc.identity import current_identity
from whence_service.rpc.tracing import Metadata, current_trace

SERVICE: Final = "whence.worker.v1.WorkerService"


class Named(Protocol):
    """A message."""

    @property
    def DESCRIPTOR(self) -> Descriptor:  # noqa: N802 - protobuf's name
        """Its type."""
        ...


Q = TypeVar("Q", bound=Named)
A = TypeVar("A")
# The type exists in the stubs for type checkers only.
Stub: TypeAlias = "worker_service_pb2_grpc.WorkerServiceAsyncStub"
Method: TypeAlias = Callable[[Stub], grpc.aio.UnaryUnaryMultiCallable[Q, A]]
StreamMethod: TypeAlias = Callable[[Stub], grpc.aio.UnaryStreamMultiCallable[Q, A]]

_log: Final = structlog.get_logger(__name__)


class WorkerClient:
    """Calls one worker over a channel that somebody else owns.

    Every method raises the worker's own typed errors; a worker that cannot be reached, or that goes away
    while it works, becomes :class:`~whence.errors.UnavailableError` (``WORKER_UNAVAILABLE``) with the shards
    it was asked for. ``on_doubt`` is called when the placement may be out of date.
    """

    def __init__(self, address: str, channel: grpc.aio.Channel, on_doubt: Callable[[], None]) -> None:
        self.address = address
        self._stub: Any = worker_service_pb2_grpc.WorkerServiceStub(channel)
        self._health: Any = health_pb2_grpc.HealthStub(channel)
        self._on_doubt = on_doubt

    def __repr__(self) -> str:
        return f"<WorkerClient {self.address}>"

    async def info(self, timeout_s: float) -> messages.GetInfoResponse:
        """Return the worker's model and shards. Also raises while the worker drains, when it accepts no new work."""
        try:
            await self._check_serving(timeout_s)
            answer: messages.GetInfoResponse = await self._stub.GetInfo(messages.GetInfoRequest(), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise status.from_call(error) from error
        return answer

    async def ask(self, method: Method[Q, A], request: Q, deadline: Deadline, shards: Sequence[str]) -> A:
        """Return the answer to one call; ``method`` takes the call from the stub, ``shards`` are named in errors."""
        with current_trace().calling(SERVICE, _name_of(request), self.address) as headers:
            try:
                return await method(self._stub)(request, timeout=deadline.forward_s(), metadata=_metadata(headers))
            except grpc.aio.AioRpcError as error:
                raise self._translate(error, shards) from error

    async def stream(
        self, method: StreamMethod[Q, A], request: Q, deadline: Deadline, shards: Sequence[str]
    ) -> AsyncGenerator[A, None]:
        """Yield the answers to one call as :meth:`ask` does; the worker stops when the iteration is left."""
        with current_trace().calling(SERVICE, _name_of(request), self.address) as headers:
            call = method(self._stub)(request, timeout=deadline.forward_s(), metadata=_metadata(headers))
            try:
                async for response in call:
                    yield response
            except grpc.aio.AioRpcError as error:
                raise self._translate(error, shards) from error
            finally:
                call.cancel()

    async def _check_serving(self, timeout_s: float) -> None:
        try:
            answer = await self._health.Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.NOT_FOUND):
                return  # a worker that offers no health check is judged by its calls alone
            raise
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise UnavailableError(
                f"the worker {self.address} is not ready, or is draining", reason=Reason.WORKER_UNAVAILABLE
            )

    def _translate(self, failure: grpc.aio.AioRpcError, shards: Sequence[str]) -> WhenceError:
        error = status.from_call(failure)
        if isinstance(error, (UnavailableError, CancelledByCallerError)):
            # We did not cancel it: a worker that is stopped cancels what it works on.
            self._on_doubt()
            return self._unavailable(error, shards)
        if isinstance(error, MismatchError):
            self._on_doubt()
        if error.reason == Reason.GENERATION_MISMATCH:
            return self._replaced(error, shards)
        if isinstance(error, DeadlineError):
            return deadline_error(f"while the worker {self.address} worked for it")
        if error.reason == Reason.GRPC_RESOURCE_EXHAUSTED:
            return _too_large(error)
        if isinstance(error, InternalError) and error.reason.startswith("GRPC_"):
            _log.error("a worker failed", worker=self.address, error=error.message)
            return InternalError(
                f"the worker {self.address} failed; the logs have more under this request's id",
                reason=Reason.WORKER_FAILED,
                worker=self.address,
            )
        return error

    def _unavailable(self, error: WhenceError, shards: Sequence[str]) -> UnavailableError:
        names = ", ".join(shards)
        _log.warning("worker unavailable", worker=self.address, shards=names, error=error.message)
        return UnavailableError(
            f"the worker {self.address} went away or cannot be reached; the answer would lack its corpus "
            f"shards ({names}), so none is given; try again",
            reason=Reason.WORKER_UNAVAILABLE,
            worker=self.address,
            shards=names,
        )

    def _replaced(self, error: WhenceError, shards: Sequence[str]) -> UnavailableError:
        _log.warning("worker holds another generation", worker=self.address, error=error.message)
        return UnavailableError(
            f"the worker {self.address} holds another generation since this request began ({error.message}); try again",
            reason=Reason.WORKER_UNAVAILABLE,
            worker=self.address,
            shards=", ".join(shards),
        )


def _too_large(error: WhenceError) -> InvalidRequestError:
    # Workers say that they are overloaded with a reason of their own; gRPC alone says this of messages over
    # the limit.
    return InvalidRequestError(
        f"a message between front end and worker would be too large ({error.message}); ask for fewer "
        "queries, sequences or details at once",
        reason=Reason.TOO_LARGE_MESSAGE,
    )


def _metadata(headers: Metadata) -> Metadata:
    request_id = request_ids.current_request_id()
    named = ((request_ids.METADATA_KEY, request_id),) if request_id else ()
    return (*named, *tenants.to_metadata(current_identity().tenant), *headers)


def _name_of(request: Named) -> str:
    # Each method's request is named after it.
    return request.DESCRIPTOR.name.removesuffix("Request")
