"""``whence export``: a model as an ONNX graph, for workers without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whence.cli import console
from whence.cli.progress import export_progress
from whence.cli.render import findings
from whence.cli.render.export import export_table


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

    Needs torch; a worker that serves the export does not. The graph is compared with the model, and the
    errors are written into its manifest, before the export is complete. Takes minutes for tens of layers.

    Example: whence export --model smollm2 --factors factors/ --out export/
    """
    from whence_backends.export import ExportConfig
    from whence_backends.export import export as run
    from whence_backends.inspection import Named, inspect
    from whence_backends.preflight import require

    if factors is not None and layers is not None:
        raise typer.BadParameter("give one of --factors and --layers")
    inspected = inspect(Named(model=model, factors=factors))
    for finding in require(inspected.findings()):
        findings.show(finding)
    tracked = inspected.factors.card.tracked if inspected.factors is not None else layers or "mlp"
    config = ExportConfig(model=model, out=out, tracked=tracked, precision=precision)
    with export_progress() as show:
        exported = run(config, show)
    console.stdout().print(export_table(exported))
