"""Who may ask: requests for this host by name, of this page or of a program, and not too many at a time."""

from __future__ import annotations

import ipaddress
import re
import socket
import uuid
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from whence.errors import ForbiddenError, InvalidRequestError, OverloadedError, WhenceError
from whence.explore.api import statuses
from whence.explore.api.metadata import REQUEST_ID
from whence.explore.api.methods import PREFIX
from whence.explore.settings import ExploreSettings
from whence.reasons import Reason

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_OF_THE_PAGE: Final = ("same-origin", "none")
_READING: Final = ("GET", "HEAD")


class AccessGuard:
    """Refuses requests that a foreign page or name brought here, ambiguous ones, and those that are too many.

    A name that leads here is not enough: by DNS rebinding any page can have one. State: the number of calls under way.
    Owner: the event loop.
    """

    def __init__(self, app: ASGIApp, settings: ExploreSettings) -> None:
        self._app = app
        self._settings = settings
        self._names = {*settings.hosts, "localhost"}
        if not settings.is_local:
            self._names |= {settings.host.lower(), socket.gethostname().lower()}
        self._under_way = 0

    def __repr__(self) -> str:
        return f"<AccessGuard {self._under_way} under way>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_call = scope["path"].startswith(PREFIX)
        refusal = self._refusal(scope["method"], headers, is_call=is_call)
        if refusal is not None:
            more = {"Connection": "close", REQUEST_ID: str(uuid.uuid4())}
            await statuses.response(statuses.of_error(refusal), headers=more)(scope, receive, send)
            return
        self._under_way += is_call
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= is_call

    def _refusal(self, method: str, headers: Headers, *, is_call: bool) -> WhenceError | None:
        if "transfer-encoding" in headers and "content-length" in headers:
            return InvalidRequestError(
                "both Transfer-Encoding and Content-Length say how long the body is: send one of them",
                reason=Reason.INVALID_HEADERS,
            )
        if not self._is_ours(headers):
            return ForbiddenError(
                f"the request is for {headers.get('host', '')[:100]!a}, which is not a name of this page: use its "
                "address, or start it with --allow-host NAME",
                reason=Reason.UNKNOWN_HOST,
            )
        if not _is_of_the_page(method, headers):
            return ForbiddenError(
                "the request comes from a page of another origin: this API is for its own page and for programs",
                reason=Reason.UNKNOWN_ORIGIN,
            )
        # Not of files and of probes: a process that is busy must not be taken for one that is stuck.
        if is_call and self._under_way >= self._settings.max_calls:
            return OverloadedError(
                f"{self._under_way} calls are under way here, which is all that run at a time: wait and call again",
                reason=Reason.QUEUE_FULL,
            )
        return None

    def _is_ours(self, headers: Headers) -> bool:
        given = headers.getlist("host")
        match = _HOST.fullmatch(given[0]) if len(given) == 1 else None
        if match is None:
            return False
        host = match[1].strip("[]").lower()
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return host in self._names
        # A page can have a name that leads here, but not an address of its choice.
        return address.is_loopback if self._settings.is_local else True


def _is_of_the_page(method: str, headers: Headers) -> bool:
    if headers.get("sec-fetch-site", "none") not in _OF_THE_PAGE and not _is_followed_link(method, headers):
        return False
    origins = headers.getlist("origin")
    return not origins or (len(origins) == 1 and urlsplit(origins[0]).netloc == headers.get("host"))


def _is_followed_link(method: str, headers: Headers) -> bool:
    return method in _READING and headers.get("sec-fetch-mode") == "navigate"
