"""TLS of a client: which servers it trusts, and the certificate that it shows."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc

from whence.errors import InvalidRequestError
from whence.reasons import Reason


@dataclass(frozen=True, kw_only=True)
class Tls:
    """TLS to a server, from PEM files, which are read when a client is made.

    ``ca_file`` has the authorities to trust (None: those that gRPC brings along). ``certificate_file``, with its chain,
    and ``key_file``, without a password, are for servers that ask for a certificate (mutual TLS). ``server_name`` is
    the name that the server's certificate must have; empty: the one in the target.
    """

    ca_file: str | os.PathLike[str] | None = None
    certificate_file: str | os.PathLike[str] | None = None
    key_file: str | os.PathLike[str] | None = None
    server_name: str = ""

    def context(self) -> ssl.SSLContext:
        """Return the same for Python's own TLS. Raises ``InvalidRequestError`` (``UNREADABLE_CERTIFICATE``)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.ca_file is None:
            context.load_default_certs()
        else:
            ca_file = _existing("ca_file", self.ca_file)
            _load("ca_file", ca_file, lambda: context.load_verify_locations(cafile=ca_file))
        if self.certificate_file is not None and self.key_file is not None:
            certificate = _existing("certificate_file", self.certificate_file)
            key = _existing("key_file", self.key_file)
            _load("key_file", key, lambda: context.load_cert_chain(certificate, key, password=_no_password))
        elif self.certificate_file is not None or self.key_file is not None:
            missing = "key_file" if self.key_file is None else "certificate_file"
            raise InvalidRequestError(
                f"a certificate and its key belong together, and {missing} is missing: give it as well",
                reason=Reason.UNREADABLE_CERTIFICATE,
                field=missing,
            )
        return context

    def credentials(self) -> grpc.ChannelCredentials:
        """Return the same for gRPC. Raises ``InvalidRequestError`` (``UNREADABLE_CERTIFICATE``)."""
        self.context()  # which checks the files: gRPC says little of one that it cannot use, and that in a later call
        return grpc.ssl_channel_credentials(
            _content(self.ca_file), _content(self.key_file), _content(self.certificate_file)
        )


@dataclass(frozen=True, kw_only=True)
class Encryption:
    """What a channel needs for TLS."""

    credentials: grpc.ChannelCredentials
    server_name: str = ""


def encryption(tls: Tls | None, credentials: grpc.ChannelCredentials | None) -> Encryption | None:
    """Return the encryption of a channel, of ``tls`` or with gRPC's own ``credentials``; None: without TLS.

    Raises ``InvalidRequestError``: ``UNREADABLE_CERTIFICATE``, and ``AMBIGUOUS_CREDENTIALS`` where both are given.
    """
    if tls is not None and credentials is not None:
        raise InvalidRequestError(
            "both tls and credentials say how to encrypt: give one of them",
            reason=Reason.AMBIGUOUS_CREDENTIALS,
            field="credentials",
        )
    if tls is not None:
        return Encryption(credentials=tls.credentials(), server_name=tls.server_name)
    return None if credentials is None else Encryption(credentials=credentials)


def _existing(field: str, path: str | os.PathLike[str]) -> str:
    try:
        with open(path, "rb"):
            return os.fspath(path)
    except FileNotFoundError:
        raise _unusable(field, path, "does not exist: check the path") from None
    except OSError as error:
        raise _unusable(field, path, f"cannot be read: {error.strerror or error}") from error


def _load(field: str, path: str, load: Callable[[], None]) -> None:
    try:
        load()
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise _unusable(field, path, "is not the key of the certificate: give the one that belongs to it") from None
        raise _unusable(field, path, "is not what it should be, or not PEM, which begins with -----BEGIN") from None
    except _PasswordWantedError:
        raise _unusable(field, path, "is encrypted: give the key without a password") from None


class _PasswordWantedError(Exception):
    """A key is encrypted."""


def _no_password() -> str:
    raise _PasswordWantedError


def _unusable(field: str, path: str | os.PathLike[str], problem: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{field}: {os.fspath(path)} {problem}", reason=Reason.UNREADABLE_CERTIFICATE, field=field, path=path
    )


def _content(path: str | os.PathLike[str] | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()
