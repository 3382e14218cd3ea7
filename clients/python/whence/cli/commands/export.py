"""``whence export``: a model as an ONNX graph, for workers without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from whence.cli import console
from whence.cli.render import findings

if TYPE_CHECKING:
    from collections.abc import Callable

    from whence_backends.export import ExportProgress
    from whence_backends.models.exported import Export

_STAGES = {
    "load": "loading the model",
    "trace": "recording forward and backward pass",
    "write": "writing graph and weights",
    "verify": "comparing the graph with the model",
}


def export(
    model: Annotated[str, typer.Option(help="Model folder, GGUF file, 'smollm2', or hub name.")],
    out: Annotated[Path, typer.Option(help="Folder to write to; serve it as --model of a worker with --engine ort.")],
    factors: Annotated[
        Path | None, typer.Option(help="Trace the layers of these factors, which the worker will hold.")
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            help="Or name the layers as for `whence fit`: 'mlp', 'all-linear', or a pattern.", show_default="mlp"
        ),
    ] = None,
    precision: Annotated[str, typer.Option(help="float32, float16 or float64.")] = "float32",
) -> None:
    """Export a model for the engine ort: one ONNX graph with the backward pass in it, weights, tokenizer.

    Needs torch; a worker that serves the export does not. The graph is compared with the model before it counts as
    done, and how far they are apart is written into its manifest. Takes minutes for tens of layers.

    Example: whence export --model smollm2 --factors factors/ --out export/
    """
    from whence_backends.ekfac.factors import Factors
    from whence_backends.export import ExportConfig
    from whence_backends.export import export as run
    from whence_backends.inspection import Named, inspect
    from whence_backends.preflight import require

    if factors is not None and layers is not None:
        raise typer.BadParameter("give one of --factors and --layers")
    for finding in require(inspect(Named(model=model, factors=factors)).findings()):
        findings.show(finding)
    tracked = Factors.open(factors, verify=False).card.tracked if factors is not None else layers or "mlp"
    config = ExportConfig(model=model, out=out, tracked=tracked, precision=precision)
    with _spinner() as show:
        exported = run(config, show)
    console.stdout().print(summary(exported))


class _spinner:  # noqa: N801 - a context manager, used as a function
    """Shows the stages one after another, each with the time it takes, on stderr."""

    def __init__(self) -> None:
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:36}", markup=False),
            TimeElapsedColumn(),
            console=console.stderr(),
        )  # fmt: skip

    def __enter__(self) -> Callable[[ExportProgress], None]:
        self._bars.start()
        return self._show

    def _show(self, at: ExportProgress) -> None:
        self._end_stage()
        self._bars.add_task(_STAGES[at.stage], total=1)

    def _end_stage(self) -> None:
        for task in self._bars.tasks:
            self._bars.update(task.id, completed=1)

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._end_stage()
        self._bars.stop()


def summary(exported: Export) -> Table:
    """Return what was exported, as a table."""
    card, checked = exported.card, exported.card.verification
    table = Table(title="Export", show_header=False)
    table.add_row("folder", str(exported.folder))
    table.add_row("digest", exported.digest)
    table.add_row("model", f"{card.model} ({card.model_digest})")
    table.add_row("layers", f"{len(card.layers)} ({card.tracked})")
    table.add_row("precision, opset", f"{card.precision}, {card.opset}")
    table.add_row("size", f"{exported.size_bytes / 1e6:,.1f} MB")
    table.add_row("longest sequence", f"{card.max_tokens:,} tokens")
    table.add_row(
        "largest relative error",
        f"log p {checked.log_p:.1e}, inputs {checked.inputs:.1e}, gradients {checked.gradients:.1e} "
        f"on {checked.tokens} random tokens",
    )
    return table
