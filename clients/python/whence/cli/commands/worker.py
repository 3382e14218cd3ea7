"""``whence worker``: serve one model, its factors and its corpus shards to front ends."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

_PANEL_ENGINE = "Engine"
_PANEL_SERVING = "Serving"
_PANEL_CACHE = "Gradient cache"


def worker(
    model: Annotated[str | None, typer.Option(help="Folder, GGUF file, 'smollm2' or hub name.")] = None,
    factors: Annotated[Path | None, typer.Option(help="The folder that 'whence fit' wrote.")] = None,
    corpus: Annotated[Path | None, typer.Option(help="The folder that 'whence corpus' wrote.")] = None,
    index: Annotated[
        Path | None, typer.Option(help="The folder that 'whence index' wrote. Without one every search is a scan.")
    ] = None,
    training_sequences: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="N, by which influences are divided, where the corpus is a part of the training set. "
            "[default: as the factors say]",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The served model's name. [default: from --model]")] = None,
    shard: Annotated[list[str] | None, typer.Option(help="A corpus shard to hold; repeat. [default: all]")] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file with any of the worker's settings.")] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="pytorch, ort, fake or an installed one. [default: by the model]", rich_help_panel=_PANEL_ENGINE
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...", rich_help_panel=_PANEL_ENGINE)
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="float32, bfloat16 or float64.", rich_help_panel=_PANEL_ENGINE)
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads of the engine.", rich_help_panel=_PANEL_ENGINE)
    ] = None,
    batch_tokens: Annotated[
        int | None, typer.Option(help="Most tokens in one engine batch.", rich_help_panel=_PANEL_ENGINE)
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="host:port, or unix:path.", rich_help_panel=_PANEL_SERVING)
    ] = None,
    metrics_address: Annotated[
        str | None, typer.Option(help="host:port of /metrics.", rich_help_panel=_PANEL_SERVING)
    ] = None,
    log_format: Annotated[str | None, typer.Option(help="json or console.", rich_help_panel=_PANEL_SERVING)] = None,
    redis_url: Annotated[
        str | None, typer.Option(help="The cache that workers share.", rich_help_panel=_PANEL_CACHE)
    ] = None,
    verify_artefacts: Annotated[
        bool | None,
        typer.Option("--verify/--no-verify", help="Check every file against its digest at start."),
    ] = None,
) -> None:
    """Serve one model, its factors and its corpus shards to front ends.

    Every setting can also come from the environment (WHENCE_WORKER_MODEL, ...) or from --config.
    """
    options = {
        "model": model,
        "factors": factors,
        "corpus": corpus,
        "index": index,
        "training_sequences": training_sequences,
        "name": name,
        "shards": tuple(shard) if shard else None,
        "engine": engine,
        "device": device,
        "precision": precision,
        "threads": threads,
        "batch_tokens": batch_tokens,
        "address": address,
        "metrics_address": metrics_address,
        "log_format": log_format,
        "redis_url": redis_url,
        "verify_artefacts": verify_artefacts,
    }
    _serve(config, {key: value for key, value in options.items() if value is not None})


def _serve(config: Path | None, options: dict[str, Any]) -> None:
    # Imported late: the command line must start without what only workers have installed.
    from whence_backends.worker.config import load_settings
    from whence_backends.worker.serving.server import run

    run(load_settings(config, **options))
