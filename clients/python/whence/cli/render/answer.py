"""The lines under every answer: warnings, provenance, timings."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from whence.display import wording
from whence.results import Answer, AnswerWarning
from whence.terminal import printable


def about(answer: Answer) -> list[Text]:
    """Return the lines under an answer: its warnings, then dim lines with its provenance and timings."""
    facts = [Text(printable(line), style="dim") for line in wording.facts(answer)]
    return [*warnings(answer.warnings), *facts]


def warnings(items: Iterable[AnswerWarning]) -> list[Text]:
    """Return a yellow line for each warning."""
    return [Text(printable(f"Warning: {warning.message} ({warning.code})"), style="yellow") for warning in items]
