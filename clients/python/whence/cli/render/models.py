"""Served models: a table of them, or all facts of a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from whence.cli.render import answer
from whence.display.wording import origin_of_n
from whence.models import Index, Layer, Model
from whence.terminal import printable


class LayerGroup(NamedTuple):
    """Layers of one kind and size: ``pattern`` has ``*`` where their names have numbers."""

    pattern: str
    layers: int
    d_in: int
    d_out: int


def overview(served: Sequence[Model]) -> RenderableType:
    """Return a table with a row for each model."""
    if not served:
        return Text("The server serves no model: are its workers running? See `whence doctor`.", style="yellow")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("model", "engine"):
        table.add_column(heading, overflow="fold")
    for heading in ("layers", "attributed", "sequences", "shards", "warnings"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("validation", overflow="fold")
    for model in served:
        table.add_row(
            printable(model.name),
            printable(model.engine),
            f"{len(model.layers):,}",
            f"{model.attributed_share:.0%}",
            f"{model.corpus_sequences:,}",
            _coverage(model),
            str(len(model.warnings) or "-"),
            printable(model.validation),
        )
    return table


def details(model: Model) -> RenderableType:
    """Return all facts of a model."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for label, value in _facts(model):
        facts.add_row(label, printable(value))
    return Group(
        Text(printable(model.name), style="bold"),
        facts,
        _layer_table(grouped(model.layers)),
        _shard_table(model),
        *answer.warnings(model.warnings),
    )


def grouped(layers: Sequence[Layer]) -> list[LayerGroup]:
    """Return the layers by kind, in the order in which the kinds first appear."""
    counts: dict[tuple[str, int, int], int] = {}
    for layer in layers:
        key = (re.sub(r"(?<![^.])\d+(?![^.])", "*", layer.name), layer.d_in, layer.d_out)
        counts[key] = counts.get(key, 0) + 1
    return [LayerGroup(pattern, count, d_in, d_out) for (pattern, d_in, d_out), count in counts.items()]


def _facts(model: Model) -> list[tuple[str, str]]:
    limits = model.limits
    return [
        ("engine", model.engine),
        ("model digest", model.model_digest),
        ("factors digest", model.factors_digest),
        ("corpus digest", model.corpus_digest),
        (
            "parameters",
            f"{model.parameters:,}, of which {model.attributed_parameters:,} "
            f"({model.attributed_share:.1%}) are attributed",
        ),
        ("gradients", _gradients(model.gradient_error)),
        ("validation", model.validation),
        ("corpus", f"{model.corpus_sequences:,} sequences, {model.corpus_tokens:,} tokens"),
        ("index", _index(model.index)),
        ("training set", f"N = {model.training_set_size:,}{origin_of_n(model.training_set_source)}"),
        ("damping factor", f"{model.default_damping_factor:g} unless a request names one"),
        (
            "limits",
            f"{limits.max_query_tokens:,} tokens a query, top_k {limits.max_top_k:,}, "
            f"{limits.max_queries:,} queries a request ({limits.max_batch_queries:,} a batch in rank 32), "
            f"{limits.max_score_sequences:,} sequences a score",
        ),
    ]


def _gradients(error: float | None) -> str:
    return "not compared with autograd's by this engine" if error is None else f"within {error:.0e} of autograd's"


def _index(index: Index | None) -> str:
    if index is None:
        return "none: every search is a scan of the corpus"
    return (
        f"{index.bytes_per_sequence:,} bytes a sequence ({index.values:,} values of {index.bits} bit, "
        f"{index.kept:.0%} of the coordinates), {index.digest}"
    )


def _layer_table(groups: Sequence[LayerGroup]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("layers", overflow="fold")
    for heading in ("count", "in", "out", "parameters"):
        table.add_column(heading, justify="right", no_wrap=True)
    for group in groups:
        parameters = group.layers * group.d_in * group.d_out
        numbers = (group.layers, group.d_in, group.d_out, parameters)
        table.add_row(printable(group.pattern), *(f"{value:,}" for value in numbers))
    return table


def _shard_table(model: Model) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("shard", overflow="fold")
    table.add_column("replicas", justify="right")
    for shard in model.shards:
        style = "" if shard.replicas else "bold red"
        table.add_row(printable(shard.name), Text(str(shard.replicas), style=style))
    return table


def _coverage(model: Model) -> Text:
    covered, total = len(model.shards) - len(model.uncovered_shards), len(model.shards)
    return Text(f"{covered}/{total}", style="" if covered == total else "bold red")
