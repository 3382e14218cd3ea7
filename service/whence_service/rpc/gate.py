"""The gate of a server: whom it lets through to which methods."""

from __future__ import annotations

from typing import Any, Protocol

import grpc

from whence_service.rpc.identity import ANYONE, Identity


class Gate(Protocol):
    """Decides about a call before its request is read."""

    def guards(self, path: str) -> bool:
        """Return whether calls of health checks or reflection under this path are asked for credentials.

        All other calls are.
        """
        ...

    async def identify(self, path: str, context: grpc.aio.ServicerContext[Any, Any]) -> Identity:
        """Return the caller of a call, who may make it.

        Raises :class:`~whence.errors.UnauthenticatedError` (``MISSING_CREDENTIALS``, ``INVALID_CREDENTIALS``,
        ``CREDENTIALS_EXPIRED``) and :class:`~whence.errors.ForbiddenError` (``MISSING_SCOPE``).
        """
        ...


class OpenGate:
    """Lets everyone through as :data:`~whence_service.rpc.identity.ANYONE`."""

    def guards(self, path: str) -> bool:
        """Return false: nothing is asked of anyone."""
        return False

    async def identify(self, path: str, context: grpc.aio.ServicerContext[Any, Any]) -> Identity:
        """Return ``ANYONE``."""
        return ANYONE
