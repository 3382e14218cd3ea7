"""HTTP proxies of the environment, which gRPC uses by itself: never for this machine, and named in errors."""

from __future__ import annotations

import ipaddress
import os
import re
from typing import Any, Final
from urllib.parse import urlsplit

# In the order in which gRPC looks.
_PROXY_VARIABLES: Final = ("grpc_proxy", "https_proxy", "http_proxy")
_EXCEPTION_VARIABLES: Final = ("no_grpc_proxy", "no_proxy")


def options(target: str) -> list[tuple[str, Any]]:
    """Return the channel options for a target: no proxy for this machine."""
    return [("grpc.enable_http_proxy", 0)] if is_here(target) else []


def is_here(target: str) -> bool:
    """Return whether a gRPC target is on this machine: a socket file, or a loopback address."""
    if target.startswith(("unix:", "unix-abstract:", "vsock:")):
        return True
    host = host_of(target)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def host_of(target: str) -> str:
    """Return the host of a gRPC target such as ``host:1``, ``[::1]:1``, ``dns:///host:1`` or ``ipv4:1.2.3.4:1``."""
    address = re.sub(r"^(dns|ipv4|ipv6|passthrough):(//[^/]*/)?", "", target)
    match = re.fullmatch(r"\[([^\]]*)\](:\d*)?|([^:]*)(:\d*)?|(.*)", address)
    return ((match[1] or match[3] or match[5] or "") if match else "").lower()


def hint(target: str) -> str:
    """Return a clause for an error message that names the proxy of an unreachable target; empty where there is none."""
    variable = next((name for name in _PROXY_VARIABLES if os.environ.get(name)), None)
    if variable is None or is_here(target) or _is_exempt(host_of(target)):
        return ""
    return (
        f"; gRPC asks the proxy {_without_password(os.environ[variable])} for it, since {variable} is set: add "
        f"{host_of(target)} to no_proxy where it is to be reached directly"
    )


def _is_exempt(host: str) -> bool:
    listed = next((os.environ[name] for name in _EXCEPTION_VARIABLES if os.environ.get(name)), "")
    return any(host.endswith(entry.strip().lower()) for entry in listed.split(",") if entry.strip())


def _without_password(url: str) -> str:
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    except ValueError:
        return "that it names"
