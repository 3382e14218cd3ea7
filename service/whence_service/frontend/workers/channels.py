"""Channels to workers: their options, and TLS with the certificates of the moment."""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from whence_service.rpc.certificates import Certificates
from whence_service.rpc.tls import CertificateWatch, channel_credentials


@dataclass(frozen=True, kw_only=True)
class WorkerChannel:
    """A channel, and the certificates that it was opened with; None: without TLS."""

    channel: grpc.aio.Channel
    certificates: Certificates | None


@dataclass(frozen=True, kw_only=True)
class WorkerChannels:
    """Opens channels to workers. ``tls`` holds the certificates; None: without TLS.

    ``tls_name`` is the name that workers' certificates must have; empty: the one that led to the worker.
    """

    max_message_bytes: int
    refresh_s: float
    tls: CertificateWatch | None = None
    tls_name: str = ""

    def open(self, address: str, name: str) -> WorkerChannel:
        """Return a new channel to a worker at ``address``, to which ``name`` led. Its first call connects it."""
        certificates = self._certificates(address)
        options = _options(self.max_message_bytes, self.refresh_s)
        if certificates is None:
            return WorkerChannel(channel=grpc.aio.insecure_channel(address, options=options), certificates=None)
        # A name's addresses are called by number, and certificates have names.
        named = [*options, ("grpc.default_authority", self.tls_name or name)]
        channel = grpc.aio.secure_channel(address, channel_credentials(certificates), options=named)
        return WorkerChannel(channel=channel, certificates=certificates)

    def is_current(self, address: str, channel: WorkerChannel) -> bool:
        """Return whether a channel to ``address`` opened now would have the certificates of this one."""
        return channel.certificates is self._certificates(address)

    async def look(self) -> None:
        """Read the files of TLS again."""
        if self.tls is not None:
            await self.tls.look()

    def _certificates(self, address: str) -> Certificates | None:
        return None if self.tls is None or address.startswith("unix:") else self.tls.current


def _options(max_message_bytes: int, refresh_s: float) -> list[tuple[str, int | str]]:
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        # gRPC's default backoff grows to two minutes, during which a restarted worker would seem unreachable.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", max(100, round(refresh_s * 500))),
        # Detects a peer that vanished silently (a lost node) in the middle of a long scan.
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # Workers are internal: an HTTP proxy of the environment is never used for them.
        ("grpc.enable_http_proxy", 0),
        # Channels of different pools in a process share nothing, not even failures.
        ("grpc.use_local_subchannel_pool", 1),
    ]
