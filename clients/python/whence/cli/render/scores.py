"""Scores: a row for each sequence, most influential first."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from whence.cli.render import answer
from whence.cli.render.text import strip
from whence.display.wording import influence_on
from whence.results import ScoreTable, TrainingSequence
from whence.terminal import printable

PREVIEW_CHARACTERS = 200


def scores(result: ScoreTable) -> RenderableType:
    """Return a table for each query."""
    tables = [_table(result, query) for query in range(len(result.query_ids))]
    return Group(*tables, *answer.about(result))


def _table(result: ScoreTable, query: int) -> RenderableType:
    label = f"{printable(result.query_ids[query])}: " if result.query_ids[query] else ""
    title = f"{label}log-likelihood of the output {result.log_likelihood[query]:.3f} nats"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("influence", justify="right", no_wrap=True)
    table.add_column("source, id", overflow="fold", max_width=30)
    table.add_column("text", ratio=1, overflow="fold")
    influence, names = result.influence[query], result.sequence_names
    for index in sorted(range(len(influence)), key=lambda index: -influence[index]):
        table.add_row(
            _influence(result, query, index),
            _origin(result.sequences[index], names[index]),
            _preview(result.sequences[index].text),
        )
    return table


def _influence(result: ScoreTable, query: int, index: int) -> Text:
    influence = result.influence[query][index]
    shown = influence_on(influence, result.log_likelihood[query])
    value = Text(shown, style="green" if influence >= 0 else "red")
    if result.layer_influence is not None:
        by_layer = dict(zip(result.layers, result.layer_influence[query][index], strict=True))
        value.append("\n" + strip(by_layer), style="cyan")
    return value


def _origin(sequence: TrainingSequence, name: str) -> Text:
    source = f"{printable(sequence.source)}\n" if sequence.source else ""
    return Text.assemble((source, "bold"), (printable(name), "dim"))


def _preview(text: str) -> Text:
    return Text(printable(text[:PREVIEW_CHARACTERS]) + ("…" if len(text) > PREVIEW_CHARACTERS else ""))
