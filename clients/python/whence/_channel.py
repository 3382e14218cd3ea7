"""gRPC channels: their address, options and service config, and what can be sent over them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeAlias

import grpc
import grpc.aio

from whence import _proxies
from whence._retries import RetryPolicy
from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence.tls import Encryption
from whence.v1 import attribution_service_pb2

DEFAULT_TARGET: Final = "localhost:50051"
# gRPC's own default is 4 MiB; an explanation of 100 layers and 8,192 tokens is 6.5 MiB.
MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
# Long scans are silent for minutes: pings keep load balancers from dropping the connection, and detect a dead peer.
# They are sent only during a call, and not more often than servers allow.
KEEPALIVE_TIME_MS: Final = 60_000
KEEPALIVE_TIMEOUT_MS: Final = 20_000

_PRINTABLE: Final = re.compile(r"[ -~]*")


Metadata: TypeAlias = "tuple[tuple[str, str], ...]"


class RequestMessage(Protocol):
    """A request, which is a protobuf message."""

    def ByteSize(self) -> int:  # noqa: N802  # protobuf's name
        """Return the size on the wire, in bytes."""


def options(retry: RetryPolicy | None, target: str = "") -> list[tuple[str, Any]]:
    """Return the channel options. Without a ``retry`` gRPC makes every call once."""
    return [
        *_proxies.options(target),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.enable_retries", int(_makes_retries(retry))),
        ("grpc.service_config", json.dumps(service_config(retry))),
    ]


def service_config(retry: RetryPolicy | None) -> dict[str, Any]:
    """Return gRPC's service config: round-robin over the server's addresses, and retries of unary calls."""
    config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if retry is not None and _makes_retries(retry):
        config["methodConfig"] = [
            {
                "name": unary_methods(),
                "retryPolicy": {
                    "maxAttempts": retry.max_attempts,
                    "initialBackoff": f"{retry.initial_backoff_s:.3f}s",
                    "maxBackoff": f"{retry.max_backoff_s:.3f}s",
                    "backoffMultiplier": retry.multiplier,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    return config


def _makes_retries(retry: RetryPolicy | None) -> bool:
    return retry is not None and retry.max_attempts > 1


def unary_methods() -> list[dict[str, str]]:
    """Return the names of the unary methods for a service config. All of them only read."""
    service = attribution_service_pb2.DESCRIPTOR.services_by_name["AttributionService"]
    return [
        {"service": service.full_name, "method": method.name}
        for method in service.methods
        if not method.server_streaming
    ]


def open_sync(target: str, encryption: Encryption | None, retry: RetryPolicy | None) -> grpc.Channel:
    """Open a channel; with ``encryption`` over TLS. Nothing is sent before the first call."""
    if encryption is None:
        return grpc.insecure_channel(target, options=options(retry, target))
    return grpc.secure_channel(target, encryption.credentials, options=_secure_options(retry, target, encryption))


def open_async(target: str, encryption: Encryption | None, retry: RetryPolicy | None) -> grpc.aio.Channel:
    """Open a channel on the running event loop; with ``encryption`` over TLS."""
    if encryption is None:
        return grpc.aio.insecure_channel(target, options=options(retry, target))
    return grpc.aio.secure_channel(target, encryption.credentials, options=_secure_options(retry, target, encryption))


def _secure_options(retry: RetryPolicy | None, target: str, encryption: Encryption) -> list[tuple[str, Any]]:
    name = encryption.server_name
    return [*options(retry, target), *([("grpc.default_authority", name)] if name else [])]


def check_metadata(pairs: Sequence[tuple[str, str]]) -> Metadata:
    """Return the pairs. Raises ``InvalidRequestError`` (``INVALID_METADATA``) for pairs that gRPC cannot send."""
    for pair in pairs:
        name, value = pair if isinstance(pair, tuple) and len(pair) == 2 else (None, None)
        is_name = isinstance(name, str) and re.fullmatch(r"[0-9a-z_.-]+", name) and not name.startswith("grpc-")
        binary = is_name and str(name).endswith("-bin")
        is_value = isinstance(value, bytes) if binary else isinstance(value, str) and _PRINTABLE.fullmatch(value)
        if not is_name or not is_value:
            raise InvalidRequestError(
                f"metadata has {name!a} with a {type(value).__name__}: expected pairs of a name in lower case, which "
                "does not begin with grpc-, and printable ASCII, or bytes for a name that ends with -bin",
                reason=Reason.INVALID_METADATA,
                field="metadata",
            )
    return tuple(pairs)


def check_target(target: str) -> None:
    """Raise ``InvalidRequestError`` (``INVALID_TARGET``) for an address that gRPC does not take."""
    is_text = isinstance(target, str) and target.isprintable()
    if not is_text or not target or target.startswith(("http://", "https://")):
        raise InvalidRequestError(
            f"the server is {target!a}: expected host:port, such as localhost:50051, or unix:PATH, and no http://",
            reason=Reason.INVALID_TARGET,
            field="server",
        )


def check_size(request: RequestMessage) -> None:
    """Raise ``InvalidRequestError`` (``TOO_LARGE_MESSAGE``) for a request that gRPC would refuse."""
    size_bytes = request.ByteSize()
    if size_bytes > MAX_MESSAGE_BYTES:
        raise InvalidRequestError(
            f"the request has {size_bytes:,} bytes; at most {MAX_MESSAGE_BYTES:,} can be sent: "
            "ask about fewer queries or sequences at once",
            reason=Reason.TOO_LARGE_MESSAGE,
            size_bytes=size_bytes,
            max_bytes=MAX_MESSAGE_BYTES,
        )
