"""Makes text safe to print: texts of corpora and servers may hold escape sequences and bidirectional overrides."""

from __future__ import annotations

import json
import re
from typing import Final

# Control characters (C0 and C1: escapes, bells, backspaces), halves of surrogate pairs, separators of lines and
# paragraphs, and marks that change the direction of writing.
_STEERING: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def printable(text: str) -> str:
    """Return the text with each character that could steer a terminal replaced by a visible one.

    The length stays the same, so that token offsets still fit.
    """
    return _STEERING.sub(_visible, text)


def escaped(text: str) -> str:
    """Return JSON with such characters escaped: the same JSON, and harmless."""
    return _STEERING.sub(lambda match: json.dumps(match.group())[1:-1], text)


def _visible(match: re.Match[str]) -> str:
    letter = match.group()
    if letter in "\n\r\u2028\u2029":
        return "↵"
    return " " if letter == "\t" else "�"
