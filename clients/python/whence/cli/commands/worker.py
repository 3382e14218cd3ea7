"""``whence worker``: serve one model, its factors and its corpus shards to front ends."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from whence.cli.options import setting_option
from whence.settings import WORKER

_ENGINE: Final = "Engine"
_SERVING: Final = "Serving"
_TLS: Final = "TLS"
_CACHE: Final = "Gradient cache"


def worker(
    model: Annotated[str | None, setting_option(WORKER["model"])] = None,
    factors: Annotated[Path | None, setting_option(WORKER["factors"])] = None,
    corpus: Annotated[Path | None, setting_option(WORKER["corpus"])] = None,
    index: Annotated[Path | None, setting_option(WORKER["index"])] = None,
    certificate: Annotated[Path | None, setting_option(WORKER["certificate"])] = None,
    training_sequences: Annotated[int | None, setting_option(WORKER["training_sequences"])] = None,
    name: Annotated[str | None, setting_option(WORKER["name"])] = None,
    shard: Annotated[list[str] | None, typer.Option(help="A corpus shard to hold; repeat.", show_default="all")] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="A TOML file with any of the settings.", show_default="that of WHENCE_WORKER_CONFIG"),
    ] = None,
    engine: Annotated[str | None, setting_option(WORKER["engine"], panel=_ENGINE)] = None,
    device: Annotated[str | None, setting_option(WORKER["device"], panel=_ENGINE)] = None,
    precision: Annotated[str | None, setting_option(WORKER["precision"], panel=_ENGINE)] = None,
    threads: Annotated[int | None, setting_option(WORKER["threads"], panel=_ENGINE)] = None,
    batch_tokens: Annotated[int | None, setting_option(WORKER["batch_tokens"], panel=_ENGINE)] = None,
    address: Annotated[str | None, setting_option(WORKER["address"], panel=_SERVING)] = None,
    insecure: Annotated[bool | None, setting_option(WORKER["insecure"], "--insecure", panel=_SERVING)] = None,
    metrics_address: Annotated[str | None, setting_option(WORKER["metrics_address"], panel=_SERVING)] = None,
    log_format: Annotated[str | None, setting_option(WORKER["log_format"], panel=_SERVING)] = None,
    tls_certificate: Annotated[Path | None, setting_option(WORKER["tls_certificate"], panel=_TLS)] = None,
    tls_key: Annotated[Path | None, setting_option(WORKER["tls_key"], panel=_TLS)] = None,
    tls_client_ca: Annotated[Path | None, setting_option(WORKER["tls_client_ca"], panel=_TLS)] = None,
    redis_url: Annotated[str | None, setting_option(WORKER["redis_url"], panel=_CACHE)] = None,
    redis_username: Annotated[str | None, setting_option(WORKER["redis_username"], panel=_CACHE)] = None,
    redis_password_file: Annotated[Path | None, setting_option(WORKER["redis_password_file"], panel=_CACHE)] = None,
    redis_tls_ca: Annotated[Path | None, setting_option(WORKER["redis_tls_ca"], panel=_CACHE)] = None,
    verify_artefacts: Annotated[bool | None, setting_option(WORKER["verify_artefacts"], "--verify/--no-verify")] = None,
) -> None:
    """Serve one model, its factors and its corpus shards to front ends.

    Every setting can also come from the environment (WHENCE_WORKER_MODEL, ...) or from --config.
    """
    options = {
        "model": model,
        "factors": factors,
        "corpus": corpus,
        "index": index,
        "certificate": certificate,
        "training_sequences": training_sequences,
        "name": name,
        "shards": tuple(shard) if shard else None,
        "engine": engine,
        "device": device,
        "precision": precision,
        "threads": threads,
        "batch_tokens": batch_tokens,
        "address": address,
        "insecure": insecure,
        "metrics_address": metrics_address,
        "log_format": log_format,
        "tls_certificate": tls_certificate,
        "tls_key": tls_key,
        "tls_client_ca": tls_client_ca,
        "redis_url": redis_url,
        "redis_username": redis_username,
        "redis_password_file": redis_password_file,
        "redis_tls_ca": redis_tls_ca,
        "verify_artefacts": verify_artefacts,
    }
    _serve(config, options)


def _serve(config: Path | None, options: dict[str, Any]) -> None:
    # Imported late: the command line must start without what only workers have installed.
    from whence_backends.worker.config import WorkerSettings
    from whence_backends.worker.serving.server import run

    run(WorkerSettings.load(config, **options))
