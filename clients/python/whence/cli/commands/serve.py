"""``whence serve``: run the front end, which clients talk to; --embedded adds a worker to its process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from whence.cli.options import setting_option
from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence.settings import FRONT_END, WORKER

_WORKER: Final = "With --embedded: the worker"
_TLS: Final = "TLS"


def serve(
    worker: Annotated[
        list[str] | None,
        typer.Option(help="A worker's host:port, or dns:///host:port for all of a name's addresses; repeat."),
    ] = None,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Run a worker in this process instead of calling others.")
    ] = False,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file with any of the settings.", show_default="that of WHENCE_CONFIG")
    ] = None,
    address: Annotated[str | None, setting_option(FRONT_END["address"])] = None,
    keys_file: Annotated[Path | None, setting_option(FRONT_END["keys_file"])] = None,
    insecure: Annotated[bool | None, setting_option(FRONT_END["insecure"], "--insecure")] = None,
    metrics_address: Annotated[str | None, setting_option(FRONT_END["metrics_address"])] = None,
    refresh_s: Annotated[float | None, setting_option(FRONT_END["refresh_s"])] = None,
    max_running: Annotated[int | None, setting_option(FRONT_END["max_running"])] = None,
    max_waiting: Annotated[int | None, setting_option(FRONT_END["max_waiting"])] = None,
    drain_s: Annotated[float | None, setting_option(FRONT_END["drain_s"])] = None,
    log_format: Annotated[str | None, setting_option(FRONT_END["log_format"])] = None,
    tls_certificate: Annotated[Path | None, setting_option(FRONT_END["tls_certificate"], panel=_TLS)] = None,
    tls_key: Annotated[Path | None, setting_option(FRONT_END["tls_key"], panel=_TLS)] = None,
    tls_client_ca: Annotated[Path | None, setting_option(FRONT_END["tls_client_ca"], panel=_TLS)] = None,
    workers_tls_ca: Annotated[Path | None, setting_option(FRONT_END["workers_tls_ca"], panel=_TLS)] = None,
    workers_tls_certificate: Annotated[
        Path | None, setting_option(FRONT_END["workers_tls_certificate"], panel=_TLS)
    ] = None,
    workers_tls_key: Annotated[Path | None, setting_option(FRONT_END["workers_tls_key"], panel=_TLS)] = None,
    model: Annotated[str | None, setting_option(WORKER["model"], panel=_WORKER)] = None,
    factors: Annotated[Path | None, setting_option(WORKER["factors"], panel=_WORKER)] = None,
    corpus: Annotated[Path | None, setting_option(WORKER["corpus"], panel=_WORKER)] = None,
    index: Annotated[Path | None, setting_option(WORKER["index"], panel=_WORKER)] = None,
    certificate: Annotated[Path | None, setting_option(WORKER["certificate"], panel=_WORKER)] = None,
    training_sequences: Annotated[int | None, setting_option(WORKER["training_sequences"], panel=_WORKER)] = None,
    name: Annotated[str | None, setting_option(WORKER["name"], panel=_WORKER)] = None,
    engine: Annotated[str | None, setting_option(WORKER["engine"], panel=_WORKER)] = None,
    device: Annotated[str | None, setting_option(WORKER["device"], panel=_WORKER)] = None,
    precision: Annotated[str | None, setting_option(WORKER["precision"], panel=_WORKER)] = None,
    threads: Annotated[int | None, setting_option(WORKER["threads"], panel=_WORKER)] = None,
    batch_tokens: Annotated[int | None, setting_option(WORKER["batch_tokens"], panel=_WORKER)] = None,
    redis_url: Annotated[str | None, setting_option(WORKER["redis_url"], panel=_WORKER)] = None,
) -> None:
    """Run the front end, which clients talk to.

    Every setting can also come from the environment (WHENCE_ADDRESS, WHENCE_WORKERS, ...) or from --config; those of
    the embedded worker from WHENCE_WORKER_MODEL, ... or from the TOML file that WHENCE_WORKER_CONFIG names.
    """
    front = {
        "workers": tuple(worker) if worker else None,
        "address": address,
        "keys_file": keys_file,
        "insecure": insecure,
        "metrics_address": metrics_address,
        "refresh_s": refresh_s,
        "max_running": max_running,
        "max_waiting": max_waiting,
        "drain_s": drain_s,
        "log_format": log_format,
        "tls_certificate": tls_certificate,
        "tls_key": tls_key,
        "tls_client_ca": tls_client_ca,
        "workers_tls_ca": workers_tls_ca,
        "workers_tls_certificate": workers_tls_certificate,
        "workers_tls_key": workers_tls_key,
    }
    of_worker = {
        "model": model,
        "factors": factors,
        "corpus": corpus,
        "index": index,
        "certificate": certificate,
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
        _serve_embedded(config, front, of_worker)
    else:
        _serve(config, front, of_worker)


def _serve(config: Path | None, front: dict[str, Any], of_worker: dict[str, Any]) -> None:
    # Imported late: the command line must start without what only servers have installed.
    from whence_service.frontend.config import FrontEndSettings
    from whence_service.frontend.server import run
    from whence_service.rpc.loop import run_process

    given = [name for name, value in of_worker.items() if value is not None]
    if given:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise InvalidRequestError(
            f"only a worker in this process takes {names}; add --embedded, or give it to 'whence worker'",
            reason=Reason.INVALID_SETTINGS,
            field=given[0],
        )
    settings = FrontEndSettings.load(config, **front)
    if not settings.workers:
        raise InvalidRequestError(
            "the front end has no workers to ask; give --worker HOST:PORT (or WHENCE_WORKERS), or --embedded",
            reason=Reason.INVALID_SETTINGS,
            field="workers",
        )
    run_process(run(settings))


def _serve_embedded(config: Path | None, front: dict[str, Any], of_worker: dict[str, Any]) -> None:
    from whence_backends.worker.config import WorkerSettings
    from whence_service.frontend.config import FrontEndSettings
    from whence_service.frontend.embedded import run_embedded
    from whence_service.rpc.loop import run_process

    settings = FrontEndSettings.load(config, **front)
    if settings.workers:
        raise InvalidRequestError(
            f"--embedded runs its own worker; leave it out, or leave out {', '.join(settings.workers)}",
            reason=Reason.INVALID_SETTINGS,
            field="workers",
        )
    run_process(run_embedded(settings, WorkerSettings.load(**of_worker)))
