"""The consoles of the command line: answers go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook
from rich.segment import Segment

from whence._json import finite
from whence.terminal import printable


class _Neutral(RenderHook):
    """A hook that keeps printed texts from steering the terminal. Control codes of rich itself pass."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Harmless(renderable) for renderable in renderables]


class _Harmless:
    """A renderable without control characters in its texts."""

    def __init__(self, renderable: ConsoleRenderable) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self._renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment("\n".join(map(printable, segment.text.split("\n"))), segment.style)


def stdout() -> Console:
    """Return the console for answers. It has no colours where stdout is not a terminal."""
    return _console(stderr=False)


def stderr() -> Console:
    """Return the console for progress, warnings and errors."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    # Texts of corpora and servers are not markup: square brackets and colons are printed as they are.
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    console.push_render_hook(_Neutral())
    return console


def print_json(document: dict[str, Any]) -> None:
    """Print a JSON document on stdout. NaN and infinities, which JSON lacks, become null."""
    print(json.dumps(finite(document), indent=2, allow_nan=False))


def print_json_error(document: dict[str, Any]) -> None:
    """Print a JSON document on stderr."""
    print(json.dumps(finite(document), indent=2, allow_nan=False), file=sys.stderr)
