"""How an error ends the command line: which message, which advice, which exit code."""

from __future__ import annotations

from typing import Final

import typer

from whence.cli import console, render_failure
from whence.errors import (
    CancelledByCallerError,
    DeadlineError,
    InternalError,
    NotFoundError,
    OverloadedError,
    UnavailableError,
    UnimplementedError,
    WhenceError,
)

FAILED: Final = 1
INTERRUPTED: Final = 130

# What to try, where the error itself does not already say so.
_ADVICE: Final[dict[type[WhenceError], str]] = {
    UnavailableError: "Is the server running, is --server (WHENCE_SERVER) right? See `whence doctor`.",
    DeadlineError: "Allow more time with --timeout, or ask for less (--no-layers, --no-tokens).",
    NotFoundError: "`whence models` lists what is served.",
    InternalError: "The server's log says more, under the request id.",
    UnimplementedError: "Are this client and the server of the same version? See `whence doctor`.",
    CancelledByCallerError: "Something between here and the server ended the call; try again.",
}


def belongs_to_the_shell(error: BaseException) -> bool:
    """Say whether typer itself handles the error: wrong usage, an exit, a closed pipe."""
    # Usage errors and exits carry an exit code, in every copy of click that typer may use.
    return hasattr(error, "exit_code") or isinstance(error, typer.Abort | BrokenPipeError)


def exit_code(error: BaseException) -> int:
    """Return the exit code for an error."""
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILED


def show(error: BaseException, *, extra: str = "") -> None:
    """Print an error on stderr. ``extra`` brings the command's dependencies, where one is missing."""
    out = console.stderr()
    if isinstance(error, KeyboardInterrupt):
        out.print("Interrupted.", style="yellow")
        return
    known = to_whence_error(error, extra)
    out.print(render_failure.failure(known, advice(known)))


def to_whence_error(error: BaseException, extra: str) -> WhenceError:
    """Return the error itself, or what an unforeseen one amounts to for the user."""
    if isinstance(error, WhenceError):
        return error
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("whence"):
        package = error.name.partition(".")[0]
        wanted = f"'whence[{extra}]'" if extra else package
        return UnimplementedError(
            f"this command needs the package {package!r}, which is not installed. Try: pip install {wanted}",
            reason="MISSING_DEPENDENCY",
        )
    if isinstance(error, OSError):
        return WhenceError(f"{error.strerror or error}: {error.filename}", reason="FILE_NOT_USABLE")
    return WhenceError(
        f"{type(error).__name__}: {error}. This is a bug in Whence; `whence --debug …` shows where.",
        reason="UNEXPECTED_ERROR",
    )


def advice(error: WhenceError) -> str:
    """Return what to try, or nothing where the message says it."""
    if error.reason == "MISSING_DEPENDENCY":
        return ""
    if isinstance(error, OverloadedError):
        return f"Try again in {error.retry_after_s:g} s."
    return _ADVICE.get(type(error), "")
