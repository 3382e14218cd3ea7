"""The settings of the process: options of the command, else variables of the environment, else defaults."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from whence import _variables
from whence.errors import InvalidRequestError
from whence.reasons import Reason

DEFAULT_ADDRESS: Final = "127.0.0.1:8090"
_LOCAL_NAME: Final = "localhost"


@dataclass(frozen=True, kw_only=True)
class ExploreSettings:
    """The settings of the process.

    ``hosts`` are names by which it is reached, besides the loopback's own. ``max_calls`` bounds the calls under way,
    ``body_timeout_s`` the arrival of a request, ``grace_s`` the end of those that a stop finds.
    """

    host: str = "127.0.0.1"
    port: int = 8090
    insecure: bool = False
    hosts: tuple[str, ...] = ()
    max_body_bytes: int = 16 * 1024 * 1024
    body_timeout_s: float = 30.0
    max_calls: int = 64
    grace_s: float = 3.0
    log_level: str = "WARNING"

    @classmethod
    def load(
        cls,
        *,
        address: str | None = None,
        port: int | None = None,
        insecure: bool | None = None,
        hosts: tuple[str, ...] = (),
        log_level: str | None = None,
        given: Mapping[str, str] = os.environ,
    ) -> Self:
        """Return the settings. Raises ``InvalidRequestError`` (``INVALID_SETTINGS``)."""
        host, in_address = _host_and_port(address or given.get(_variables.EXPLORE_ADDRESS) or DEFAULT_ADDRESS)
        names = ",".join(hosts) or given.get(_variables.EXPLORE_HOSTS, "")
        return cls(
            host=host,
            port=in_address if port is None else port,
            insecure=_variables.switch(_variables.EXPLORE_INSECURE, given) if insecure is None else insecure,
            hosts=tuple(name.strip().lower() for name in names.split(",") if name.strip()),
            log_level=_level(log_level or given.get(_variables.EXPLORE_LOG_LEVEL) or cls.log_level),
        )

    @property
    def address(self) -> str:
        """The address to serve at, as host:port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only processes of this machine can reach it."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Return whether a host's name or address is of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host.lower() == _LOCAL_NAME


def _host_and_port(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65_535
    if not colon or not bare or not is_port or (":" in bare and bare == host):
        raise InvalidRequestError(
            f"the address is {address!r}: expected host:port, such as 127.0.0.1:8090 or [::1]:8090",
            reason=Reason.INVALID_SETTINGS,
            field="address",
        )
    return bare, int(port)


def _level(name: str) -> str:
    levels = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    if name.upper() not in levels:
        raise InvalidRequestError(
            f"the log level is {name!r}: expected one of {', '.join(levels)}",
            reason=Reason.INVALID_SETTINGS,
            field="log_level",
        )
    return name.upper()
