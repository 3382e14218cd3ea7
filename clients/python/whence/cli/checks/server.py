"""What ``whence doctor`` looks at. Each check is a fact with advice; none of them raises."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib import metadata
from typing import Final

import grpc

from whence import __version__, _attempts, _channel, _proxies, status
from whence.cli import health
from whence.cli.options import Connection
from whence.errors import WhenceError
from whence.models import Model

SERVICE: Final = "whence.v1.AttributionService"
PACKAGES: Final = ("grpcio", "protobuf", "typer", "rich")
OPTIONAL: Final = ("numpy", "pandas", "torch", "transformers", "onnxruntime", "onnxruntime-gpu")


class Outcome(Enum):
    """How a check went."""

    OK = "ok"
    WARNING = "warning"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at, what was found, and what to try where it is not in order."""

    name: str
    outcome: Outcome
    found: str
    advice: str = ""


def here() -> Iterator[Check]:
    """Yield what is true of this machine's installation."""
    version = platform.python_version()
    enough = sys.version_info >= (3, 11)
    yield _check("Python", enough, version, "Whence needs Python 3.11 or newer")
    yield Check(name="whence", outcome=Outcome.OK, found=__version__)
    for package in PACKAGES:
        installed = _version(package)
        advice = "pip install --force-reinstall whence"
        yield _check(package, bool(installed), installed or "not installed", advice)
    optional = [f"{package} {_version(package)}" for package in OPTIONAL if _version(package)]
    yield Check(name="optional packages", outcome=Outcome.OK, found=", ".join(optional) or "none")


def server(connection: Connection) -> Iterator[Check]:
    """Yield what is true of the server; stops at the first thing without which the rest cannot be known."""
    with _channel.open_sync(connection.server, connection.credentials(), None) as channel:
        reachable = _reachable(channel, connection)
        yield reachable
        if reachable.outcome is Outcome.FAIL:
            return
        yield _health(channel, min(connection.timeout_s, _attempts.FOREVER_S))
    with connection.client() as client:
        try:
            served = list(client.models())
        except WhenceError as error:
            yield Check(name="models", outcome=Outcome.FAIL, found=error.message, advice=_reason(error))
            return
    yield from models(served)


def models(served: Sequence[Model]) -> Iterator[Check]:
    """Yield what is true of the served models: that there are some, that their shards are covered."""
    names = ", ".join(model.name for model in served)
    advice = "start a worker (`whence worker`) and tell the front end its address"
    yield _check("models", bool(served), names or "none is served", advice)
    for model in served:
        total, missing = len(model.shards), model.uncovered_shards
        found = f"no worker holds {', '.join(missing)}" if missing else f"{total} of {total} have a worker"
        yield _check(f"{model.name}: shards", not missing, found, "start a worker that holds them")
        for warning in model.warnings:
            name = f"{model.name}: {warning.code}"
            yield Check(name=name, outcome=Outcome.WARNING, found=warning.message)


def _reachable(channel: grpc.Channel, connection: Connection) -> Check:
    try:
        grpc.channel_ready_future(channel).result(timeout=min(connection.timeout_s, _attempts.FOREVER_S))
    except grpc.FutureTimeoutError:
        return Check(
            name="server",
            outcome=Outcome.FAIL,
            found=f"{connection.server} does not answer within {connection.timeout_s:g} s"
            f"{_proxies.hint(connection.server)}",
            advice="is it running (`whence serve`), is --server right, does it want --tls?",
        )
    return Check(name="server", outcome=Outcome.OK, found=f"{connection.server} answers")


def _health(channel: grpc.Channel, timeout_s: float) -> Check:
    try:
        state = health.check(channel, SERVICE, timeout_s)
    except grpc.RpcError as failure:
        error = status.from_call(failure)
        if error.code is grpc.StatusCode.UNIMPLEMENTED:
            found = "the server does not report its health"
            return Check(name="health", outcome=Outcome.WARNING, found=found)
        advice = "it answers, but not as a Whence service: is this the right port?"
        found = f"{error.message} ({error.reason})"
        return Check(name="health", outcome=Outcome.FAIL, found=found, advice=advice)
    advice = "it is starting, draining, or a shard of its corpus has no worker: see its log"
    return _check("health", state == "SERVING", state, advice)


def _check(name: str, good: bool, found: str, advice: str) -> Check:
    return Check(
        name=name,
        outcome=Outcome.OK if good else Outcome.FAIL,
        found=found,
        advice="" if good else advice,
    )


def _reason(error: WhenceError) -> str:
    return f"reason {error.reason}; the server's log says more"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
