"""What a call presents to say who makes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import grpc

from whence.errors import UnauthenticatedError
from whence.reasons import Reason
from whence_service.rpc.identity import Identity

_HEADER: Final = "authorization"
_SCHEME: Final = "bearer"


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """The token of ``authorization: Bearer …``, and the client's certificate (PEM) with its names; empty without one.

    The token is in no representation.
    """

    token: str = field(default="", repr=False)
    certificate: bytes = field(default=b"", repr=False)
    common_names: tuple[str, ...] = ()
    alternative_names: tuple[str, ...] = ()


class Authenticator(Protocol):
    """Knows one kind of credentials."""

    async def authenticate(self, credentials: Credentials) -> Identity | None:
        """Return the caller, or None where the call presents nothing of this kind.

        Raises :class:`~whence.errors.UnauthenticatedError` (``INVALID_CREDENTIALS``, ``CREDENTIALS_EXPIRED``).
        """
        ...


def presented(context: grpc.aio.ServicerContext[Any, Any]) -> Credentials:
    """Return the credentials of a call. Raises ``UnauthenticatedError`` for a header that is not one bearer token."""
    headers = [value for name, value in context.invocation_metadata() or () if name == _HEADER]
    if not headers:
        return _certificate(context.auth_context())
    scheme, _, token = str(headers[0]).partition(" ")
    if len(headers) > 1 or scheme.lower() != _SCHEME or not token.strip():
        raise UnauthenticatedError(
            "the metadata 'authorization' is not one value of the form 'Bearer TOKEN'; send an API key or a token so",
            reason=Reason.INVALID_CREDENTIALS,
        )
    return Credentials(token=token.strip())


def _certificate(connection: Mapping[str, Iterable[bytes]]) -> Credentials:
    """Return the client certificate that gRPC's authentication of the connection verified."""

    def names(key: str) -> tuple[str, ...]:
        return tuple(value.decode("utf-8", "replace") for value in connection.get(key, ()))

    if names("transport_security_type") != ("ssl",):
        return Credentials()
    return Credentials(
        certificate=b"".join(connection.get("x509_pem_cert", ())),
        common_names=names("x509_common_name"),
        alternative_names=names("x509_subject_alternative_name"),
    )


def invalid(kind: str) -> UnauthenticatedError:
    """Return the error for credentials of a kind, the same whatever is wrong with them."""
    return UnauthenticatedError(
        f"this {kind} is not valid here; check that it is complete and meant for this server, or get another",
        reason=Reason.INVALID_CREDENTIALS,
    )


def expired(kind: str) -> UnauthenticatedError:
    """Return the error for credentials of a kind that were valid."""
    return UnauthenticatedError(f"this {kind} has expired; get another", reason=Reason.CREDENTIALS_EXPIRED)
