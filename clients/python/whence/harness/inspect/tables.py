"""The first hits of an answer as a table: of plain text for agents, of Markdown for the log viewer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from whence.display.wording import number, percent
from whence.results import Attribution, Hit
from whence.terminal import printable

MAX_CHARACTERS: Final = 240
_ROWS: Final = 10
_TEXT_CHARACTERS: Final = 72
# Training data must not become emphasis, a link, a picture, a formula or a cell of its own.
_MARKDOWN: Final = re.compile(r"([\\`*_\[\]<>|~$&])")


def plain(answer: Attribution) -> str:
    """Return the first hits as lines of plain text."""
    lines = [f"{'rank':>4}  {'influence':>9}  {'signal':>9}  {'sure':>5}  source: sequence, text"]
    for hit in answer.positive[:_ROWS]:
        signal, sure = _signal(hit)
        text = f"{hit.source or '-'}: {hit.sequence_id}, {short(hit.text, _TEXT_CHARACTERS)}"
        lines.append(f"{hit.rank:>4}  {number(hit.influence):>9}  {signal:>9}  {sure:>5}  {short(text)}")
    return "\n".join([*lines, *_rest(answer)])


def markdown(answer: Attribution) -> str:
    """Return the first hits as a table of Markdown, after a line that says which of them are told from noise."""
    headings = [*map(_unbroken, ("#", "influence", "signal", "sure")), "source", "sequence", "text"]
    lines = [_row(headings), "| --: | --: | --: | --: | - | - | - |"]
    for hit in answer.positive[:_ROWS]:
        numbers = (str(hit.rank), number(hit.influence), *_signal(hit))
        texts = (hit.source or "-", hit.sequence_id, short(hit.text, _TEXT_CHARACTERS))
        lines.append(_row([*map(_unbroken, numbers), *(_escaped(short(text)) for text in texts)]))
    paragraphs = [_certainty(answer), "\n".join(lines), *_rest(answer)]
    return "\n\n".join(filter(None, paragraphs))


def short(text: str, limit: int = MAX_CHARACTERS) -> str:
    """Return at most ``limit`` characters of a text, without those that steer terminals."""
    shown = printable(text)
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _unbroken(text: str) -> str:
    """Return a text as code, which alone the viewer does not break anywhere, with spaces from its neighbours."""
    return f"` {text} `".replace(" ", "\N{NO-BREAK SPACE}") if text else ""


def _signal(hit: Hit) -> tuple[str, str]:
    return (
        "" if hit.signal is None else number(hit.signal),
        "" if hit.significance is None else percent(hit.significance),
    )


def _certainty(answer: Attribution) -> str:
    significant = answer.positive_significant
    if significant is None:
        return "How much of this is noise is not known."
    if not significant:
        return "None of these is told from noise."
    if significant < len(answer.positive):
        return f"After rank {significant} nothing is told from noise."
    return "All of these are told from noise."


def _rest(answer: Attribution) -> list[str]:
    left = len(answer.positive) - _ROWS
    return [f"… and {left} more"] if left > 0 else []


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)
