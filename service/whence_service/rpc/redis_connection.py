"""Connections to Redis: their timeouts, TLS, and a password that is read from a file."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator
from redis.asyncio import Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import AuthenticationError

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_service.rpc.certificates import NamedFile, TlsFiles, read
from whence_service.rpc.settings import Settings, require


@dataclass(frozen=True, kw_only=True)
class RedisAccess:
    """How to be let in by Redis, beside what its URL says. Both files are read again for each new connection.

    ``username`` is of Redis' ACL; None: its default user. ``authorities`` are trusted as well as the system's.
    ``prefix`` begins the names of the settings that have all this.
    """

    username: str | None = None
    password_file: Path | None = None
    authorities: Path | None = None
    prefix: str = "redis"

    def check(self) -> None:
        """Raise ``InvalidRequestError`` for a file that cannot be used: ``INVALID_SETTINGS``, or of a certificate."""
        if self.password_file is not None:
            try:
                _password(self.password_file)
            except (OSError, ValueError) as error:
                raise InvalidRequestError(
                    f"{self.prefix}_password_file: {self.password_file} {_problem(error)}",
                    reason=Reason.INVALID_SETTINGS,
                    field=f"{self.prefix}_password_file",
                    path=self.password_file,
                ) from None
        if self.authorities is not None:
            read(TlsFiles(hop="redis", authorities=NamedFile(setting=f"{self.prefix}_tls_ca", path=self.authorities)))


def _check_url(url: str) -> str:
    """Return the URL; raise where redis-py would reject or misread it. Messages omit it: it may hold a password."""
    if not url:
        return url
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("expected redis://host:port/0, rediss:// for TLS, or unix:///path/of.socket")
    if not (parts.path if parts.scheme == "unix" else parts.hostname):
        raise ValueError(f"{parts.scheme}:// is followed by no {'path' if parts.scheme == 'unix' else 'host'}")
    database = parts.path.strip("/")
    if parts.scheme != "unix" and (parts.port == 0 or (database and not database.isdigit())):
        raise ValueError("expected a port from 1 to 65535 and a database that is a number, as in redis://host:6379/0")
    parse_url(url)
    return url


# The URL of a Redis; empty: none.
RedisUrl = Annotated[str, AfterValidator(_check_url)]


def check_access(settings: Settings, prefix: str) -> None:
    """Raise ``ValueError`` for settings of Redis, ``<prefix>_url`` and the like, that contradict each other."""
    url, password, authorities = (f"{prefix}_{name}" for name in ("url", "password_file", "tls_ca"))
    parts = urlsplit(getattr(settings, url))
    for name in (password, authorities):
        if getattr(settings, name) is not None and not getattr(settings, url):
            raise ValueError(f"{name} has no effect without {url}: give that as well, or leave {name} out")
    require(settings, f"{prefix}_username", needs=password)
    if getattr(settings, password) is not None and (parts.username or parts.password):
        raise ValueError(f"{url} and {password} both say who asks Redis: leave it out of the URL")
    if getattr(settings, authorities) is not None and parts.scheme != "rediss":
        raise ValueError(f"{authorities} has no effect with {parts.scheme}://: write rediss://, or leave it out")


def connect(url: str, access: RedisAccess, *, connect_timeout_s: float, read_timeout_s: float) -> Redis:
    """Return a client that connects when it is used."""
    options: dict[str, Any] = {}
    if access.password_file is not None:
        options["credential_provider"] = _PasswordFile(access.username, access.password_file)
    if access.authorities is not None:
        options["ssl_ca_certs"] = str(access.authorities)
    # By default the library retries a silent server for about a minute. RESP2, because with RESP3 the library reuses a
    # pooled connection without checking it for the late reply to a cancelled command.
    return Redis.from_url(
        url,
        protocol=2,
        socket_connect_timeout=connect_timeout_s,
        socket_timeout=read_timeout_s,
        retry=Retry(NoBackoff(), 0),
        retry_on_timeout=False,
        health_check_interval=0,
        decode_responses=False,
        **options,
    )


class _PasswordFile(CredentialProvider):
    """The credentials of each new connection, so that a password may be replaced while the worker runs."""

    def __init__(self, username: str | None, path: Path) -> None:
        self._username = username
        self._path = path

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        try:
            password = _password(self._path)
        except (OSError, ValueError) as error:
            raise AuthenticationError(f"the password file {self._path} {_problem(error)}") from None
        return (self._username, password) if self._username else (password,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        return await asyncio.to_thread(self.get_credentials)


def _password(path: Path) -> str:
    """Return the file's first line. Raises ``OSError``, and ``ValueError`` where there is no text in it."""
    password = path.read_text(encoding="utf-8").strip("\r\n")
    if not password:
        raise ValueError
    return password


def _problem(error: Exception) -> str:
    """Return the fault of a password file, without a word of its content."""
    if isinstance(error, FileNotFoundError):
        return "does not exist: check the path"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or type(error).__name__}"
    return "has no password: write it there as text in UTF-8"
