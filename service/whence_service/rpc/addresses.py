"""Addresses to serve at: their syntax, and the reasons why one cannot be bound."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
import sys
from pathlib import Path
from typing import Final

_UNIX: Final = "unix:"
_DNS: Final = "dns:///"
# The size of the path in a socket address, less the byte that ends it.
_LONGEST_UNIX_PATH_BYTES: Final = 103 if sys.platform == "darwin" else 107
_WHY: Final = {
    errno.EADDRINUSE: "another process listens there: stop it, or choose another port",
    errno.EADDRNOTAVAIL: "this machine has no such address: choose one of its own, 127.0.0.1 to serve this machine "
    "alone, or 0.0.0.0 to serve at all of its addresses",
    errno.EACCES: "this user may not: choose a port from 1024 up, or let the process bind lower ones "
    "(CAP_NET_BIND_SERVICE)",
    errno.EAFNOSUPPORT: "this machine does not speak that version of IP",
}


def host_and_port(address: str) -> tuple[str, int]:
    """Return the parts of ``host:port`` or ``[IPv6]:port``. Raises ``ValueError`` for any other text."""
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or (":" in host and not bracketed) or any(letter in "/ \t\n" for letter in host):
        raise ValueError(f"{address!r} is not host:port, such as 127.0.0.1:50051 or [::1]:50051")
    if not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ValueError(f"the port of {address!r} must be a number from 0 to 65535")
    return host.strip("[]"), int(port)


def check_serving(address: str) -> str:
    """Return an address to serve gRPC at: host:port, or unix:path. Raises ``ValueError``."""
    if not address.startswith(_UNIX):
        host_and_port(address)
    elif not address.removeprefix(_UNIX):
        raise ValueError(f"{address!r} names no path: expected unix:/path/of.socket")
    return address


def check_worker(address: str) -> str:
    """Return a worker's address: host:port, dns:///host:port or unix:path. Raises ``ValueError``."""
    return address if address.startswith(_DNS) and host_and_port(address.removeprefix(_DNS)) else check_serving(address)


def is_local(address: str) -> bool:
    """Return whether only processes of this machine can reach an address to serve at."""
    if address.startswith(_UNIX):
        return True
    host, _ = host_and_port(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"


def why_not_bound(address: str) -> str:
    """Return the reason why an address could not be bound, and the remedy, from the present state of the machine."""
    try:
        if address.startswith(_UNIX):
            return _why_no_socket_file(address.removeprefix("unix://").removeprefix(_UNIX))
        host, port = host_and_port(address)
        for family, kind, protocol, _, place in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            with socket.socket(family, kind, protocol) as candidate:
                candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                candidate.bind(place)
                candidate.listen()
    except socket.gaierror as error:
        return f"the host's name leads to no address ({error.strerror}): check its spelling"
    except OSError as error:
        return _WHY.get(error.errno or 0) or error.strerror or str(error)
    except ValueError as error:
        return str(error)
    return "a moment ago another process had it: try again"


def _why_no_socket_file(path: str) -> str:
    size_bytes = len(os.fsencode(path))
    if size_bytes > _LONGEST_UNIX_PATH_BYTES:
        return f"the path has {size_bytes} bytes, a socket's at most {_LONGEST_UNIX_PATH_BYTES}: choose a shorter one"
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        return f"{folder} is no folder: make it, or choose another path"
    if os.path.lexists(path) and not stat.S_ISSOCK(os.lstat(path).st_mode):
        return "there is a file of that name: remove it, or choose another path"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"this user may not write to {folder}: choose another path"
    return "another process listens there: stop it, or choose another path"
