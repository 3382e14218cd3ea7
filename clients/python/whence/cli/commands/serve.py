"""``whence serve``: run the front end, which clients talk to; --embedded adds a worker to its process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from whence.errors import InvalidRequestError

_PANEL_EMBEDDED = "With --embedded: the worker"


def serve(
    worker: Annotated[
        list[str] | None,
        typer.Option(help="A worker's host:port, or dns:///host:port for all of a name's addresses; repeat."),
    ] = None,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Run a worker in this process instead of calling others.")
    ] = False,
    address: Annotated[
        str | None, typer.Option(help="Where to serve: host:port or unix:path. Usually 127.0.0.1:50051.")
    ] = None,
    metrics_address: Annotated[str | None, typer.Option(help="host:port of /metrics.")] = None,
    config: Annotated[
        Path | None, typer.Option(envvar="WHENCE_CONFIG", help="A TOML file with any of the settings.")
    ] = None,
    refresh_s: Annotated[float | None, typer.Option(help="Seconds between looks at the workers.")] = None,
    max_running: Annotated[int | None, typer.Option(help="Requests worked on at a time.")] = None,
    max_waiting: Annotated[int | None, typer.Option(help="Requests that may wait.")] = None,
    drain_s: Annotated[float | None, typer.Option(help="Seconds to go on answering when told to stop.")] = None,
    log_format: Annotated[str | None, typer.Option(help="json or console.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Folder, GGUF file, 'smollm2' or hub name.", rich_help_panel=_PANEL_EMBEDDED),
    ] = None,
    factors: Annotated[
        Path | None, typer.Option(help="The folder that 'whence fit' wrote.", rich_help_panel=_PANEL_EMBEDDED)
    ] = None,
    corpus: Annotated[Path | None, typer.Option(help="The corpus folder.", rich_help_panel=_PANEL_EMBEDDED)] = None,
    index: Annotated[
        Path | None, typer.Option(help="The gradient index's folder.", rich_help_panel=_PANEL_EMBEDDED)
    ] = None,
    training_sequences: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="N, by which influences are divided, where the corpus is a part of the training set. "
            "[default: as the factors say]",
            rich_help_panel=_PANEL_EMBEDDED,
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The served model's name.", rich_help_panel=_PANEL_EMBEDDED)] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="pytorch, ort, fake or an installed one. [default: by the model]", rich_help_panel=_PANEL_EMBEDDED
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...", rich_help_panel=_PANEL_EMBEDDED)
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="float32, bfloat16 or float64.", rich_help_panel=_PANEL_EMBEDDED)
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads of the engine.", rich_help_panel=_PANEL_EMBEDDED)
    ] = None,
    batch_tokens: Annotated[
        int | None, typer.Option(help="Most tokens in one engine batch.", rich_help_panel=_PANEL_EMBEDDED)
    ] = None,
    redis_url: Annotated[
        str | None, typer.Option(help="A cache shared with other workers.", rich_help_panel=_PANEL_EMBEDDED)
    ] = None,
) -> None:
    """Run the front end, which clients talk to.

    Every setting can also come from the environment (WHENCE_ADDRESS, WHENCE_WORKERS, ...) or from --config;
    the embedded worker's from WHENCE_WORKER_MODEL, ....
    """
    front = {
        "workers": tuple(worker) if worker else None,
        "address": address,
        "metrics_address": metrics_address,
        "refresh_s": refresh_s,
        "max_running": max_running,
        "max_waiting": max_waiting,
        "drain_s": drain_s,
        "log_format": log_format,
    }
    within = {
        "model": model,
        "factors": factors,
        "corpus": corpus,
        "index": index,
        "training_sequences": training_sequences,
        "name": name,
        "engine": engine,
        "device": device,
        "precision": precision,
        "threads": threads,
        "batch_tokens": batch_tokens,
        "redis_url": redis_url,
    }
    if embedded:
        _serve_embedded(config, front, _given(within))
    else:
        _serve(config, front, _given(within))


def _serve(config: Path | None, front: dict[str, Any], within: dict[str, Any]) -> None:
    # Imported late: the command line must start without what only servers have installed.
    from whence_service.frontend.config import load_settings
    from whence_service.frontend.server import run

    if within:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in within)
        raise InvalidRequestError(
            f"only a worker in this process takes {names}; add --embedded, or give it to 'whence worker'",
            reason="BAD_SETTINGS",
            field=next(iter(within)),
        )
    settings = load_settings(config, **front)
    if not settings.workers:
        raise InvalidRequestError(
            "the front end has no workers to ask; give --worker HOST:PORT (or WHENCE_WORKERS), or --embedded",
            reason="BAD_SETTINGS",
            field="workers",
        )
    asyncio.run(run(settings))


def _serve_embedded(config: Path | None, front: dict[str, Any], within: dict[str, Any]) -> None:
    from whence_backends.worker.config import load_settings as load_worker_settings
    from whence_service.frontend.config import load_settings
    from whence_service.frontend.embedded import run_embedded

    settings = load_settings(config, **front)
    if settings.workers:
        raise InvalidRequestError(
            f"--embedded runs its own worker; leave it out, or leave out {', '.join(settings.workers)}",
            reason="BAD_SETTINGS",
            field="workers",
        )
    asyncio.run(run_embedded(settings, load_worker_settings(**within)))


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
