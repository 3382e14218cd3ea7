"""What both clients decide around a call: how long it may take, what a failure means, whether to retry."""

from __future__ import annotations

import random
import time
from typing import Final, Protocol

import grpc

from whence import _proxies, status
from whence._channel import MAX_MESSAGE_BYTES
from whence.errors import InternalError, InvalidRequestError, OverloadedError, WhenceError
from whence.results import Attribution

# Added to the wait a server asks for, so that callers refused together do not come back together.
SPREAD: Final = 0.25

# gRPC counts deadlines in milliseconds that it must be able to count: a year is no deadline either.
FOREVER_S: Final = 365 * 86_400.0


class Message(Protocol):
    """A request: a protobuf message."""

    def ByteSize(self) -> int:  # noqa: N802  # protobuf's name
        """Return its size on the wire, in bytes."""


class Budget:
    """The seconds that are left of a call, over all its attempts."""

    def __init__(self, timeout_s: float) -> None:
        if not isinstance(timeout_s, int | float) or not timeout_s > 0:
            raise InvalidRequestError(
                f"timeout_s is {timeout_s!r}: it must be more than 0 seconds",
                reason="TIMEOUT_INVALID",
                field="timeout_s",
            )
        self._deadline = time.monotonic() + min(timeout_s, FOREVER_S)

    def left_s(self) -> float:
        """Return the seconds left, never less than 0."""
        return max(0.0, self._deadline - time.monotonic())


def check_size(request: Message) -> None:
    """Raise ``InvalidRequestError`` for a request that gRPC would refuse as too large."""
    size_bytes = request.ByteSize()
    if size_bytes > MAX_MESSAGE_BYTES:
        raise InvalidRequestError(
            f"the request has {size_bytes:,} bytes; at most {MAX_MESSAGE_BYTES:,} can be sent: "
            "ask about fewer queries or sequences at once",
            reason="MESSAGE_TOO_LARGE",
            size_bytes=size_bytes,
            max_bytes=MAX_MESSAGE_BYTES,
        )


def explain(failure: grpc.RpcError, request: Message, target: str) -> WhenceError:
    """Return the typed error of a failed call; its details name the call, as the server's log does."""
    error = status.from_call(failure)
    match error.reason:
        case "GRPC_UNAVAILABLE":
            error.message = f"the server at {target} cannot be reached: {error.message}{_proxies.hint(target)}"
        case "GRPC_DEADLINE_EXCEEDED":
            error.message = (
                f"the server at {target} did not answer in time: allow more with timeout_s{_proxies.hint(target)}"
            )
        case "GRPC_RESOURCE_EXHAUSTED" if "larger than max" in error.message:
            # gRPC uses one code for its own size limit and for our load: only the text tells them apart.
            what = "the request" if error.message.startswith("SERVER") else "a message"
            error = InvalidRequestError(
                f"{what} was too large ({error.message}): send shorter texts, or ask for less, such as a smaller top_k "
                "or batch",
                reason="MESSAGE_TOO_LARGE",
            )
    error.args = (error.message,)
    request_id: str = getattr(request, "request_id", "")  # requests about models have none
    if request_id:
        error.details.setdefault("request_id", request_id)
    return error


def wait_s(error: WhenceError, budget: Budget, *, retry_overload: bool) -> float | None:
    """Return how long to wait before the next attempt, or None where there is none.

    Only a refusal for load is tried again, and only where what the server asks to wait leaves time for an
    answer. A full queue and gRPC's own limits share a code; the latter's reason begins with ``GRPC_``.
    """
    if not retry_overload or not isinstance(error, OverloadedError) or error.reason.startswith("GRPC_"):
        return None
    wait = error.retry_after_s * (1 + SPREAD * random.random())
    return wait if wait < budget.left_s() else None


def whole(answer: Attribution | None) -> Attribution:
    """Return the answer of a stream that ended well. Raises ``InternalError`` where it brought none."""
    if answer is None:
        raise InternalError(
            "the server ended the stream without an answer: compare the client's and the server's versions",
            reason="STREAM_WITHOUT_ANSWER",
        )
    return answer
