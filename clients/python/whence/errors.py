"""Every error Whence raises, on either side of the wire, and the gRPC code it travels as.

    WhenceError
    ├── InvalidRequestError      INVALID_ARGUMENT     the request can never succeed as it is
    ├── UnauthenticatedError     UNAUTHENTICATED      the caller's credentials are missing, not valid or at their end
    ├── ForbiddenError           PERMISSION_DENIED    the caller may not do this
    ├── NotFoundError            NOT_FOUND            a model or training sequence that is not served here
    ├── MismatchError            FAILED_PRECONDITION  artefacts that do not belong together
    ├── CorruptArtefactError     DATA_LOSS            a file that is not what its manifest says
    ├── OverloadedError          RESOURCE_EXHAUSTED   refused before any work; retry after ``retry_after_s``
    ├── UnavailableError         UNAVAILABLE          a part of the service is down; nothing partial was returned
    ├── DeadlineError            DEADLINE_EXCEEDED    the caller's time ran out
    ├── CancelledByCallerError   CANCELLED            the caller went away
    ├── UnimplementedError       UNIMPLEMENTED        this server or engine lacks the feature
    ├── InternalError            INTERNAL             a bug of ours
    └── StorageError             RESOURCE_EXHAUSTED   a disk that is full or read-only; offline jobs only

Each error carries a ``reason`` (one of :class:`whence.reasons.Reason`: programs match on it, never on the text) and
``details``, string pairs repeated from the message. Over the wire they travel as ``google.rpc.ErrorInfo`` with
domain ``whence``; see :mod:`whence.status`.
"""

from __future__ import annotations

from typing import ClassVar

import grpc


class WhenceError(Exception):
    """An error with a stable ``reason``, a message for people and ``details`` for programs.

    The message says what Whence got, what it expected and what to try. ``reason`` is a plain string where a server of
    another version, or an engine of another package, has a reason that :class:`~whence.reasons.Reason` lacks.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    def __init__(self, message: str, *, reason: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.details: dict[str, str] = {key: str(value) for key, value in details.items()}

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the attributes: ``__init__`` takes what ``args`` lacks, and processes pass errors on."""
        return _restored, (type(self), self.message), self.__dict__


class InvalidRequestError(WhenceError):
    """The request can never succeed as it is. ``field`` names the part of the request to change."""

    code = grpc.StatusCode.INVALID_ARGUMENT

    def __init__(self, message: str, *, reason: str, field: str = "", **details: object) -> None:
        super().__init__(message, reason=reason, **details)
        self.field = field


class UnauthenticatedError(WhenceError):
    """The server takes calls with valid credentials only, and these came with none, or with others."""

    code = grpc.StatusCode.UNAUTHENTICATED


class ForbiddenError(WhenceError):
    """The caller is known, and lacks the permission for this."""

    code = grpc.StatusCode.PERMISSION_DENIED


class NotFoundError(WhenceError):
    """The named model or training sequence is not served here."""

    code = grpc.StatusCode.NOT_FOUND


class MismatchError(WhenceError):
    """Artefacts that do not belong together: factors of another model, a corpus of another tokenizer."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class CorruptArtefactError(WhenceError):
    """A file is missing, truncated or altered: its bytes are not those its manifest names."""

    code = grpc.StatusCode.DATA_LOSS


class OverloadedError(WhenceError):
    """Refused before any work was done. Retrying is safe, after ``retry_after_s`` seconds."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED

    def __init__(self, message: str, *, reason: str, retry_after_s: float = 1.0, **details: object) -> None:
        super().__init__(message, reason=reason, **details)
        self.retry_after_s = retry_after_s


class UnavailableError(WhenceError):
    """A part of the service cannot be reached or is shutting down. No partial answer was returned."""

    code = grpc.StatusCode.UNAVAILABLE


class DeadlineError(WhenceError):
    """The caller's deadline passed before the answer was complete."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class CancelledByCallerError(WhenceError):
    """The caller cancelled the call."""

    code = grpc.StatusCode.CANCELLED


class UnimplementedError(WhenceError):
    """This server or engine lacks a requested feature."""

    code = grpc.StatusCode.UNIMPLEMENTED


class InternalError(WhenceError):
    """A bug of ours. The server's log has more than this message, under the same request id."""

    code = grpc.StatusCode.INTERNAL


class StorageError(WhenceError):
    """An artefact could not be written. Finished parts are kept, and the same command resumes from them.

    Raised by offline jobs only, never sent over the wire (where its code means :class:`OverloadedError`).
    """

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


# The errors that travel, one for each code.
ERRORS: tuple[type[WhenceError], ...] = (
    InvalidRequestError,
    UnauthenticatedError,
    ForbiddenError,
    NotFoundError,
    MismatchError,
    CorruptArtefactError,
    OverloadedError,
    UnavailableError,
    DeadlineError,
    CancelledByCallerError,
    UnimplementedError,
    InternalError,
)


def _restored(kind: type[WhenceError], message: str) -> WhenceError:
    """Return an error without its attributes, which pickle sets."""
    return kind.__new__(kind, message)
