"""The standard health check of gRPC, without the package of its stubs: its messages have a single field each."""

from __future__ import annotations

from typing import Final

import grpc

METHOD: Final = "/grpc.health.v1.Health/Check"
STATUSES: Final = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


def check(channel: grpc.Channel, service: str, timeout_s: float) -> str:
    """Return the status of ``service``, such as ``SERVING``. Raises ``grpc.RpcError``."""
    ask = channel.unary_unary(METHOD, request_serializer=_request, response_deserializer=_status)
    status: str = ask(service, timeout=timeout_s)
    return status


def _request(service: str) -> bytes:
    """Return a HealthCheckRequest: field 1 is the service's name."""
    name = service.encode()
    if len(name) > 127:
        raise ValueError(f"a service name of {len(name)} bytes: at most 127 fit this encoding")
    return bytes([0x0A, len(name)]) + name if name else b""


def _status(response: bytes) -> str:
    """Return the status in a HealthCheckResponse: field 1, an enumeration whose zero is not sent."""
    number = response[1] if len(response) >= 2 and response[0] == 0x08 else 0
    return STATUSES.get(number, "UNKNOWN")
