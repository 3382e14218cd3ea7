"""The typed errors of calls that failed."""

from __future__ import annotations

import grpc

from whence import _proxies, status
from whence._channel import RequestMessage
from whence.errors import InternalError, InvalidRequestError, WhenceError
from whence.reasons import Reason
from whence.results import Attribution


def explain_failure(failure: grpc.RpcError, request: RequestMessage, target: str) -> WhenceError:
    """Return the typed error of a failed call. Its details have the ``request_id``, which the server logs as well."""
    error = status.from_call(failure)
    match error.reason:
        case Reason.GRPC_UNAVAILABLE:
            hints = _tls_hint(error.message) + _proxies.hint(target)
            error.message = f"the server at {target} cannot be reached: {error.message}{hints}"
        case Reason.GRPC_DEADLINE_EXCEEDED:
            error.message = (
                f"the server at {target} did not answer in time: allow more with timeout_s{_proxies.hint(target)}"
            )
        case Reason.GRPC_RESOURCE_EXHAUSTED if "larger than max" in error.message:
            # gRPC uses one code for its own size limit and for our load: only the text tells them apart.
            what = "the request" if error.message.startswith("SERVER") else "a message"
            error = InvalidRequestError(
                f"{what} was too large ({error.message}): send shorter texts, or ask for less, such as a smaller top_k "
                "or batch",
                reason=Reason.TOO_LARGE_MESSAGE,
            )
    error.args = (error.message,)
    request_id: str = getattr(request, "request_id", "")  # requests about models have none
    if request_id:
        error.details.setdefault("request_id", request_id)
    return error


def _tls_hint(message: str) -> str:
    """Return a clause for a failure that has to do with TLS, of which gRPC has no code; empty for others."""
    if "CERTIFICATE_VERIFY_FAILED" in message or "Hostname Verification" in message:
        return "; check the CA file, the server's certificate and the name in it: `whence doctor` says more"
    if "WRONG_VERSION_NUMBER" in message:
        return "; the server does not speak TLS, or another port is meant"
    if "Socket closed" in message and "last error" in message:  # of an attempt to connect
        return "; it may want TLS, or a certificate of the client's: `whence doctor` says more"
    return ""


def require_answer(answer: Attribution | None) -> Attribution:
    """Return the answer of a stream that ended without an error. Raises ``InternalError`` where there was none."""
    if answer is None:
        raise InternalError(
            "the server ended the stream without an answer: compare the client's and the server's versions",
            reason=Reason.MISSING_ANSWER,
        )
    return answer
