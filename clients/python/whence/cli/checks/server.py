"""Checks of a server and of the models that it serves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import grpc

from whence import _channel, _proxies, _retries, status
from whence.cli.checks import health
from whence.cli.checks.check import Check, Outcome
from whence.cli.checks.encryption import check_encryption
from whence.cli.connection import Connection
from whence.errors import WhenceError
from whence.models import Model

SERVICE: Final = "whence.v1.AttributionService"


def check_server(connection: Connection) -> Iterator[Check]:
    """Yield the checks of the server. A server that cannot be reached, or does not list its models, ends them."""
    with _channel.open_sync(connection.server, connection.encryption(), None) as channel:
        reachable = _reachable(channel, connection)
        yield reachable
        failed = reachable.outcome is Outcome.FAIL
        encrypted = check_encryption(connection) if failed or connection.tls_files else None
        if encrypted is not None:
            yield encrypted
        if failed:
            return
        yield _health(channel, min(connection.timeout, _retries.FOREVER_S))
    with connection.client() as client:
        try:
            served = list(client.models())
        except WhenceError as error:
            advice = f"reason {error.reason}; the server's log says more"
            yield Check(name="models", outcome=Outcome.FAIL, fact=error.message, advice=advice)
            return
    yield from check_models(served)


def check_models(served: Sequence[Model]) -> Iterator[Check]:
    """Yield whether there are models, whether every shard of theirs has a worker, and their warnings."""
    names = ", ".join(model.name for model in served)
    advice = "start a worker (`whence worker`) and tell the front end its address"
    yield Check.that("models", bool(served), names or "none is served", advice=advice)
    for model in served:
        yield check_validation(model)
        total, missing = len(model.shards), model.uncovered_shards
        coverage = f"no worker holds {', '.join(missing)}" if missing else f"{total} of {total} have a worker"
        yield Check.that(f"{model.name}: shards", not missing, coverage, advice="start a worker that holds them")
        for warning in model.warnings:
            name = f"{model.name}: {warning.code}"
            yield Check(name=name, outcome=Outcome.WARNING, fact=warning.message)


def check_validation(model: Model) -> Check:
    """Return whether a model's influences were validated: it warns where they were not, or on a proxy alone."""
    name = f"{model.name}: validation"
    if model.certificate is None:
        advice = "measure it with `whence validate`, and start its workers with --certificate"
        return Check(name=name, outcome=Outcome.WARNING, fact=model.validation, advice=advice)
    proxy = model.certificate.kind == "proxy"
    return Check(name=name, outcome=Outcome.WARNING if proxy else Outcome.OK, fact=model.validation)


def _reachable(channel: grpc.Channel, connection: Connection) -> Check:
    try:
        grpc.channel_ready_future(channel).result(timeout=min(connection.timeout, _retries.FOREVER_S))
    except grpc.FutureTimeoutError:
        return Check(
            name="server",
            outcome=Outcome.FAIL,
            fact=f"{connection.server} does not answer within {connection.timeout:g} s"
            f"{_proxies.hint(connection.server)}",
            advice="is it running (`whence serve`), is --server right, does it want --tls?",
        )
    return Check(name="server", outcome=Outcome.OK, fact=f"{connection.server} answers")


def _health(channel: grpc.Channel, timeout_s: float) -> Check:
    try:
        state = health.check(channel, SERVICE, timeout_s)
    except grpc.RpcError as failure:
        error = status.from_call(failure)
        if error.code is grpc.StatusCode.UNIMPLEMENTED:
            return Check(name="health", outcome=Outcome.WARNING, fact="the server does not report its health")
        return Check(
            name="health",
            outcome=Outcome.FAIL,
            fact=f"{error.message} ({error.reason})",
            advice="it answers, but not as a Whence service: is this the right port?",
        )
    advice = "it is starting, draining, or a shard of its corpus has no worker: see its log"
    return Check.that("health", state == "SERVING", state, advice=advice)
