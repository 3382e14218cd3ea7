"""The check of TLS: a handshake with Python's own, which says why it fails. Of gRPC one learns only that it does."""

from __future__ import annotations

import socket
import ssl
import time
from datetime import UTC, datetime
from typing import Final

from whence import _proxies
from whence.cli.checks.check import Check, Outcome
from whence.cli.connection import Connection
from whence.tls import Tls

NAME: Final = "tls"
_SOON_S: Final = 14 * 86_400.0


def check_encryption(connection: Connection) -> Check | None:
    """Return the check of a server's TLS; None where the server is not reached at all, or at a unix socket.

    Without options for TLS it fails where TLS is spoken, and is None otherwise.
    """
    address = _address(connection.server)
    if address is None:
        return None
    timeout_s = min(connection.timeout, 10.0)
    tls = connection.tls_files
    try:
        if tls is None:
            return _speaks_tls(address, timeout_s)
        return _handshake(address, tls, timeout_s)
    except ssl.SSLCertVerificationError as error:
        return _failed(
            f"the server's certificate is not trusted: {error.verify_message}",
            "is --ca-file the authority of that certificate, is its host name that of --server (or --server-name)?",
        )
    except ssl.SSLError as error:
        return _failed(
            f"no TLS is spoken there ({error.reason or error})", "leave out --tls and --ca-file, or check the port"
        )
    except OSError:
        return None


def _handshake(address: tuple[str, int], tls: Tls, timeout_s: float) -> Check:
    with socket.create_connection(address, timeout_s) as plain:
        context = tls.context()
        context.set_alpn_protocols(["h2"])
        with context.wrap_socket(plain, server_hostname=tls.server_name or address[0]) as secure:
            certificate, version = secure.getpeercert() or {}, secure.version()
            if not _is_let_in(secure):
                return _not_let_in(tls)
    ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    fact = f"{version}; the server's certificate ends at {datetime.fromtimestamp(ends, UTC):%Y-%m-%d %H:%M} UTC"
    soon = ends - time.time() < _SOON_S
    advice = "replace it before then: the server takes a new file without a restart" if soon else ""
    return Check(name=NAME, outcome=Outcome.WARNING if soon else Outcome.OK, fact=fact, advice=advice)


def _is_let_in(secure: ssl.SSLSocket) -> bool:
    # A server speaks first, and refuses a client's certificate only now: with an alert, or by hanging up.
    try:
        return bool(secure.recv(1))
    except (ssl.SSLError, ConnectionError):
        return False


def _not_let_in(tls: Tls) -> Check:
    if tls.certificate_file is None:
        advice = "give --client-certificate and --client-key"
        return _failed("the server hangs up on who shows no certificate of its own", advice)
    return _failed(
        f"the server hangs up on who shows the certificate {tls.certificate_file}",
        "is it of an authority that the server trusts, and has it not expired?",
    )


def _speaks_tls(address: tuple[str, int], timeout_s: float) -> Check | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(address, timeout_s) as plain, context.wrap_socket(plain):
            pass
    except OSError:  # those of TLS among them
        return None
    return _failed("the server speaks TLS, and is asked without", "give --tls, or --ca-file for a private authority")


def _failed(fact: str, advice: str) -> Check:
    return Check(name=NAME, outcome=Outcome.FAIL, fact=fact, advice=advice)


def _address(target: str) -> tuple[str, int] | None:
    if target.startswith(("unix:", "unix-abstract:", "vsock:")):
        return None
    port = target.rpartition(":")[2]
    return _proxies.host_of(target), int(port) if port.isascii() and port.isdigit() else 443
