"""An influence split over layers and tokens: the marked text, a heat map, the largest parts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from rich import box
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from whence.cli.render import answer
from whence.cli.render.text import marked, share
from whence.display.wording import influence_on, number
from whence.results import Explanation
from whence.terminal import printable

TOP: Final = 8
MAX_ROWS: Final = 24
LABEL_CHARACTERS: Final = 28
SHADES_POSITIVE: Final = " ░▒▓█"
SHADES_NEGATIVE: Final = " -=≡#"


def explanation(result: Explanation, *, plain: bool, width: int) -> RenderableType:
    """Return the explanation, at most ``width`` characters wide. ``plain`` is for output without colours."""
    sequence = result.sequence
    name = printable(f"{sequence.source} {sequence.sequence_id}".strip()) or "the given text"
    influence = influence_on(result.influence, result.log_likelihood)
    head = f"{name}: influence {influence} nats, "
    return Group(
        Text(head + f"log-likelihood of the output {result.log_likelihood:.3f} nats", style="bold"),
        Text(),
        marked(sequence.text, result.tokens, plain=plain),
        Text(),
        heat_map(result, plain=plain, width=width),
        Columns([top_tokens(result), top_layers(result)], padding=(0, 4)),
        Text(f"Influence is in {printable(result.influence_unit) or 'nats'}.", style="dim"),
        *answer.about(result),
    )


def heat_map(result: Explanation, *, plain: bool, width: int) -> Text:
    """Return a map with a row for each layer or depth, and a column for each token or run of tokens.

    The larger a part of the influence, the darker its cell. Negative parts are red, or drawn with ``-=≡#``.
    """
    labels, rows = _rows(result)
    margin = min(LABEL_CHARACTERS, max((len(label) for label in labels), default=0)) + 1
    cells = [squeeze(row, max(8, width - margin - 1)) for row in rows]
    largest = max((abs(cell) for row in cells for cell in row), default=0.0)
    out = Text(no_wrap=True)
    for label, row in zip(labels, cells, strict=True):
        out.append(label[-LABEL_CHARACTERS:].rjust(margin - 1) + " ", style="dim")
        for cell in row:
            out.append_text(_cell(cell, largest, plain=plain))
        out.append("\n")
    negative = f"negative {SHADES_NEGATIVE[1:]}" if plain else "negative in red"
    legend = f"tokens, first to last; {SHADES_POSITIVE[1:]} more influence, {negative}"
    return out.append(" " * margin + legend + "\n", style="dim")


def squeeze(row: Sequence[float], width: int) -> list[float]:
    """Return the row with neighbours summed to at most ``width`` cells. The total stays the same."""
    per_cell = -(-len(row) // width) if row else 1
    return [sum(row[at : at + per_cell]) for at in range(0, len(row), per_cell)]


def top_tokens(result: Explanation) -> Table:
    """Return the tokens with the largest parts, largest first."""
    total = sum(abs(token.influence) for token in result.tokens)
    table = _top_table("token", "at")
    ranked = sorted(enumerate(result.tokens), key=lambda pair: -abs(pair[1].influence))
    for position, token in ranked[:TOP]:
        shown = printable(token.text).replace(" ", "·")
        table.add_row(shown, str(position), number(token.influence), share(abs(token.influence), total))
    return table


def top_layers(result: Explanation) -> Table:
    """Return the layers with the largest parts, largest first."""
    total = sum(map(abs, result.layer_influence.values()))
    table = _top_table("layer", "")
    for name, influence in sorted(result.layer_influence.items(), key=lambda pair: -abs(pair[1]))[:TOP]:
        table.add_row(printable(name), "", number(influence), share(abs(influence), total))
    return table


def _top_table(what: str, where: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(what, overflow="fold")
    table.add_column(where, justify="right", style="dim")
    table.add_column("influence", justify="right")
    table.add_column("share", justify="right")
    return table


def _rows(result: Explanation) -> tuple[list[str], list[list[float]]]:
    """Return the labels and the parts of the layers, or of the depths where there are more than ``MAX_ROWS`` layers."""
    if len(result.layers) <= MAX_ROWS:
        return [printable(name) for name in result.layers], [list(row) for row in result.parts]
    sums: dict[str, list[float]] = {}
    for name, row in zip(result.layers, result.parts, strict=True):
        depth = re.search(r"^.*?(?<![^.])\d+(?![^.])", name)
        label = printable(depth.group() if depth else name)
        before = sums.get(label, [0.0] * len(row))
        sums[label] = [a + b for a, b in zip(before, row, strict=True)]
    return list(sums), list(sums.values())


def _cell(value: float, largest: float, *, plain: bool) -> Text:
    part = abs(value) / largest if largest else 0.0
    step = round(part * (len(SHADES_POSITIVE) - 1)) if part == part else 0  # NaN is drawn as nothing
    if value < 0 and plain:
        return Text(SHADES_NEGATIVE[step])
    return Text(SHADES_POSITIVE[step], style="red" if value < 0 else "green")
