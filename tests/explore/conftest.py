"""The page's process on a real socket, in front of a real front end with stub workers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from access.conftest import add_key, keys_file
from frontend.conftest import (
    RunningFrontEnd,
    ask,
    eventually,
    failure_of,
    front,
    logs,
    start_front,
    start_worker,
    worker,
)
from whence.explore.server import PageServer
from whence.explore.settings import ExploreSettings
from whence.explore.upstream import Server, Upstream

__all__ = [
    "add_key",
    "ask",
    "eventually",
    "failure_of",
    "front",
    "keys_file",
    "logs",
    "start_front",
    "start_worker",
    "worker",
]


@dataclass(frozen=True, kw_only=True)
class Page:
    """A running page. ``http`` asks it as a program does."""

    port: int
    upstream: Upstream
    http: httpx.AsyncClient
    server: PageServer

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Ask a method; underscores in the names of ``headers`` are hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(f"/v1/{path}", json={} if body is None else body, headers=named)


StartPage = Callable[..., Awaitable[Page]]


@pytest.fixture
async def start_page() -> AsyncIterator[StartPage]:
    """Start a page for a server's address; takes settings, and in ``server`` what ``Server`` takes."""
    running: list[tuple[Page, asyncio.Task[None]]] = []

    async def start(target: str, *, server: dict[str, Any] | None = None, **settings: Any) -> Page:
        upstream = Upstream(Server(target=target, **(server or {})))
        process = PageServer(upstream, ExploreSettings(**{"grace_s": 0.2, **settings}))
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        task = asyncio.create_task(process.serve(sockets=[listener]))
        http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30)
        page = Page(port=port, upstream=upstream, http=http, server=process)
        running.append((page, task))
        return page

    yield start
    for page, task in running:
        await page.http.aclose()
        page.server.should_exit = True
        await task


@pytest.fixture
async def page(start_page: StartPage, front: RunningFrontEnd) -> Page:
    """A page for ``front``."""
    return await start_page(front.address)
