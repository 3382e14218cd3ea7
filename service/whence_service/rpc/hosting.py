"""A gRPC server from bind to drain, with health, reflection, message limits and signals."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import grpc
import structlog
from grpc_health.v1 import health, health_pb2_grpc

from whence.errors import InternalError, UnavailableError
from whence.reasons import Reason
from whence_service.rpc import reflection
from whence_service.rpc.addresses import why_not_bound
from whence_service.rpc.certificates import TlsFiles
from whence_service.rpc.health import HealthService
from whence_service.rpc.records import DrainRecord, Observer, ignore
from whence_service.rpc.tls import CertificateWatch, server_credentials

MEBIBYTE: Final = 1024 * 1024
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class HostSettings:
    """The settings of a server. ``address`` is ``host:port`` (port 0 picks one) or ``unix:path``.

    ``max_message_bytes`` bounds answers, ``max_request_bytes`` requests. For ``drain_s`` the server keeps answering
    after health reports NOT_SERVING, so that load balancers notice. Calls in flight then have ``grace_s`` before they
    are cancelled. With ``tls`` connections are encrypted, and the files are looked at every ``tls_reload_s``.
    """

    address: str
    max_message_bytes: int = 64 * MEBIBYTE
    max_request_bytes: int = 64 * MEBIBYTE
    drain_s: float = 5.0
    grace_s: float = 30.0
    reflection: bool = True
    tls: TlsFiles | None = None
    tls_reload_s: float = 10.0


class RpcHost:
    """Owns one ``grpc.aio`` server. Register servicers on :attr:`server`, then :meth:`start`.

    Before the first :meth:`set_serving` every service is NOT_SERVING; the health name ``liveness`` is SERVING
    as soon as the process answers at all. There is no limit of concurrent calls here, because gRPC's own
    would refuse health checks too: see :mod:`whence_service.rpc.admission`. Raises
    :class:`~whence.errors.InvalidRequestError` (``UNREADABLE_CERTIFICATE``) for TLS files that cannot be used.
    """

    def __init__(
        self,
        settings: HostSettings,
        interceptors: Sequence[grpc.aio.ServerInterceptor],
        service_names: Sequence[str],
        observe: Observer = ignore,
    ) -> None:
        self.settings = settings
        self._observe = observe
        self._certificates = CertificateWatch(settings.tls, observe) if settings.tls is not None else None
        self._watching: asyncio.Task[None] | None = None
        self._ended: asyncio.Task[bool] | None = None
        self.health = HealthService(service_names)
        self.server = grpc.aio.server(interceptors=interceptors, options=_options(settings))
        self._service_names = tuple(service_names)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        if settings.reflection:
            reflection.enable((*self._service_names, health.SERVICE_NAME), self.server)

    def __repr__(self) -> str:
        return f"<RpcHost {self.settings.address} {self.health!r}>"

    async def start(self) -> str:
        """Bind, start and return the bound address.

        Raises :class:`~whence.errors.UnavailableError` (``ADDRESS_UNAVAILABLE``) where the address cannot be bound.
        """
        address = self._bind()
        await self.server.start()
        if self._certificates is not None:
            self._watching = asyncio.create_task(self._certificates.look_every(self.settings.tls_reload_s))
        _log.info("listening", address=address, services=self._service_names, tls=self._certificates is not None)
        return address

    def set_serving(self, service: str, serving: bool) -> None:
        """Report ``service`` as SERVING or NOT_SERVING. Without effect once draining has begun."""
        before = self.health.is_serving(service)
        self.health.set_serving(service, serving)
        if self.health.is_serving(service) != before:
            _log.info("not serving" if before else "serving", service=service)

    async def drain(self) -> None:
        """Report NOT_SERVING, go on for ``drain_s``, then refuse new calls and let those in flight finish."""
        self.health.drain()
        self._observe(DrainRecord(ends_at=time.time() + self.settings.drain_s + self.settings.grace_s))
        _log.info("draining", drain_s=self.settings.drain_s, grace_s=self.settings.grace_s)
        await asyncio.sleep(self.settings.drain_s)
        self.health.close()
        await self.close(self.settings.grace_s)

    async def close(self, grace_s: float | None = None) -> None:
        """Refuse new calls, and cancel those in flight after ``grace_s`` (None: at once)."""
        await self.server.stop(grace_s)
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def serve_until_signalled(self) -> None:
        """Wait for SIGTERM or SIGINT, then drain. A second signal ends the process the usual way."""
        with termination() as terminated:
            await self.serve_until(terminated)
        await self.drain()

    async def serve_until(self, terminated: asyncio.Event) -> None:
        """Wait for the event.

        Raises :class:`~whence.errors.InternalError` where gRPC's server ends by itself: a process that listens no more
        has to end, so that another is started.
        """
        # Never cancelled: what it waits for is a future of the server's own, which stopping needs.
        self._ended = asyncio.create_task(self.server.wait_for_termination())
        waiting = asyncio.create_task(terminated.wait())
        try:
            await asyncio.wait({self._ended, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if not terminated.is_set():
            cause = self._ended.exception()
            raise InternalError(
                f"gRPC's server has ended by itself: {cause or 'it does not say why'}; start this process again",
                reason=Reason.INTERNAL,
            ) from cause

    def _bind(self) -> str:
        address = self.settings.address
        try:
            if self._certificates is None:
                port = self.server.add_insecure_port(address)
            else:
                port = self.server.add_secure_port(address, server_credentials(self._certificates))
        except RuntimeError as error:
            message = f"cannot bind {address}: {why_not_bound(address)}"
            raise UnavailableError(message, reason=Reason.ADDRESS_UNAVAILABLE, address=address) from error
        if address.startswith("unix:"):
            return address
        return f"{address.rpartition(':')[0]}:{port}"


@contextmanager
def termination() -> Iterator[asyncio.Event]:
    """Yield an event that SIGTERM and SIGINT set during the ``with``, instead of ending the process."""
    loop = asyncio.get_running_loop()
    terminated = asyncio.Event()
    for number in _SIGNALS:
        loop.add_signal_handler(number, terminated.set)
    try:
        yield terminated
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def _options(settings: HostSettings) -> list[tuple[str, int]]:
    return [
        # Enforced by the length before a message: no part of it is kept.
        ("grpc.max_receive_message_length", settings.max_request_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # Two servers on one port share its calls by chance; a second one must fail to start instead.
        ("grpc.so_reuseport", 0),
        # The interval at which peers may send keepalive pings during a long scan without being disconnected. (gRPC's
        # documentation has another name for this option, with "recv", which the library does not read.)
        ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    ]
