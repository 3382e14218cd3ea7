"""Errors: the message, the stable reason, advice."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from whence.errors import InvalidRequestError, WhenceError
from whence.terminal import printable


def failure(error: WhenceError, advice: str) -> RenderableType:
    """Return the message, a dim line with the reason and the details, and the advice."""
    message = Text.assemble(("Error: ", "bold red"), printable(error.message))
    about = [printable(error.reason), *_details(error)]
    lines: list[RenderableType] = [message, Text("  ".join(about), style="dim")]
    if advice:
        lines.append(Text(printable(advice), style="cyan"))
    return Group(*lines)


def _details(error: WhenceError) -> list[str]:
    field = [printable(f"field={error.field}")] if isinstance(error, InvalidRequestError) and error.field else []
    return field + [printable(f"{key}={value}") for key, value in error.details.items()]
