"""Errors that end a command: their message, advice and exit code."""

from __future__ import annotations

from typing import Any, Final

import typer

from whence.cli import console, foreign
from whence.cli.render.failure import failure
from whence.errors import (
    CancelledByCallerError,
    DeadlineError,
    ForbiddenError,
    InternalError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
    WhenceError,
)
from whence.reasons import Reason

FAILED: Final = 1
WRONG_USAGE: Final = 2
INTERRUPTED: Final = 130

# Advice for errors of a server, by class.
_ADVICE: Final[dict[type[WhenceError], str]] = {
    UnavailableError: "Is the server running, is --server (WHENCE_SERVER) right? See `whence doctor`.",
    DeadlineError: "Allow more time with --timeout, or ask for less (--no-layers, --no-tokens).",
    UnauthenticatedError: "Give an API key or a token in WHENCE_TOKEN, or in a file with --token-file.",
    ForbiddenError: "Ask whoever gave you the key or the token for another one.",
    NotFoundError: "`whence models` lists what is served.",
    InternalError: "The server's log says more, under the request id.",
    UnimplementedError: "Are this client and the server of the same version? See `whence doctor`.",
    CancelledByCallerError: "Something between here and the server ended the call; try again.",
}
# Reasons of the command line itself, whose messages already have the advice.
_HERE: Final = (Reason.MISSING_DEPENDENCY, Reason.NETWORK_UNAVAILABLE, Reason.INTERRUPTED)


def belongs_to_the_shell(error: BaseException, *, as_json: bool) -> bool:
    """Return whether typer handles the error: an exit, a closed pipe, or wrong usage without ``as_json``."""
    if as_json and _is_wrong_usage(error):
        return False
    # Usage errors and exits carry an exit code, in every copy of click that typer may use.
    return hasattr(error, "exit_code") or isinstance(error, typer.Abort | BrokenPipeError)


def exit_code(error: BaseException) -> int:
    """Return the exit code for an error."""
    if _is_wrong_usage(error):
        return WRONG_USAGE
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILED


def show(error: BaseException, *, extra: str = "", as_json: bool = False, calls_a_server: bool = False) -> None:
    """Print an error on stderr. ``extra`` is the extra that installs the command's dependencies."""
    known = to_whence_error(error, extra)
    hint = advice(known) if calls_a_server else ""
    if as_json:
        console.print_json_error(document(known, hint))
    elif isinstance(error, KeyboardInterrupt):
        console.stderr().print(known.message, style="yellow")
    else:
        console.stderr().print(failure(known, hint))


def document(error: WhenceError, hint: str) -> dict[str, Any]:
    """Return the document that ``--json`` prints for an error. Its keys do not change."""
    return {
        "reason": error.reason,
        "code": error.code.name,
        "message": error.message,
        "field": error.field if isinstance(error, InvalidRequestError) else "",
        "hint": hint,
        "retry_after_s": error.retry_after_s if isinstance(error, OverloadedError) else None,
        "details": error.details,
    }


def to_whence_error(error: BaseException, extra: str) -> WhenceError:
    """Return the error itself, or the typed error for one of another library."""
    if isinstance(error, KeyboardInterrupt):
        notes: list[str] = getattr(error, "__notes__", [])  # what a run says of where it goes on
        return CancelledByCallerError(" ".join(["Interrupted.", *notes]), reason=Reason.INTERRUPTED)
    if _is_wrong_usage(error):
        return InvalidRequestError(error.format_message(), reason=Reason.INVALID_USAGE)  # type: ignore[attr-defined]
    known = foreign.typed(error, extra)
    return known or WhenceError(
        f"{type(error).__name__}: {error}. This is a bug in Whence; `whence --debug …` shows where.",
        reason=Reason.COMMAND_FAILED,
    )


def advice(error: WhenceError) -> str:
    """Return advice for an error of a server; empty where the message has it."""
    if error.reason in _HERE:
        return ""
    if isinstance(error, OverloadedError):
        return f"Try again in {error.retry_after_s:g} s."
    return _ADVICE.get(type(error), "")


def _is_wrong_usage(error: BaseException) -> bool:
    return getattr(error, "exit_code", None) == WRONG_USAGE and hasattr(error, "format_message")
