"""Where the command line writes: answers to stdout, everything else to stderr."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from rich.console import Console


def stdout() -> Console:
    """Return the console for answers; without colour where it is no terminal."""
    return Console(highlight=False)


def stderr() -> Console:
    """Return the console for progress, warnings and errors."""
    return Console(stderr=True, highlight=False)


def print_json(document: dict[str, Any]) -> None:
    """Print one JSON document and nothing else; numbers that JSON lacks (NaN, infinities) become null."""
    print(json.dumps(_finite(document), indent=2, allow_nan=False))


def print_json_error(document: dict[str, Any]) -> None:
    """Print one JSON document on stderr, alone."""
    print(json.dumps(_finite(document), indent=2, allow_nan=False), file=sys.stderr)


def _finite(value: Any) -> Any:  # noqa: ANN401  # any JSON value
    match value:
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case float() if not math.isfinite(value):
            return None
    return value
