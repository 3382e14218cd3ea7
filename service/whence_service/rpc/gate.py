"""The gate of a server: whom it lets through to which methods, and what of the answers it lets out to them."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import grpc

from whence_service.rpc.identity import ANYONE, Identity

Answer = TypeVar("Answer")


class Gate(Protocol):
    """Decides about a call before its request is read, and about its answers before they leave."""

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

    def release(self, answer: Answer) -> Answer:
        """Return an answer as the current caller may see it; the given one may be changed for that."""
        ...


class OpenGate:
    """Lets everyone through as :data:`~whence_service.rpc.identity.ANYONE`."""

    def guards(self, path: str) -> bool:
        """Return false: nothing is asked of anyone."""
        return False

    async def identify(self, path: str, context: grpc.aio.ServicerContext[Any, Any]) -> Identity:
        """Return ``ANYONE``."""
        return ANYONE

    def release(self, answer: Answer) -> Answer:
        """Return the answer."""
        return answer
