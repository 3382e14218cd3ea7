"""The page's process on a real socket, in front of a real front end with stub workers."""

# ruff: noqa: F811 - fixtures of another folder, which fixtures here take
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn

from frontend.conftest import RunningFrontEnd, ask, eventually, front, logs, start_front, start_worker, worker  # noqa: F401
from whence.explore.server import create_app
from whence.explore.settings import ExploreSettings
from whence.explore.upstream import Server, Upstream


@dataclass(frozen=True, kw_only=True)
class Page:
    """A running page. ``http`` asks it as a program does."""

    url: str
    port: int
    upstream: Upstream
    http: httpx.AsyncClient
    server: uvicorn.Server

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(f"/v1/{path}", json={} if body is None else body, headers=named)


StartPage = Callable[..., Awaitable[Page]]


@pytest.fixture
async def start_page() -> AsyncIterator[StartPage]:
    """Start a page for a server's address; takes settings, and what ``Server`` takes as ``server_…``."""
    running: list[tuple[Page, asyncio.Task[None]]] = []

    async def start(target: str, *, server: dict[str, Any] | None = None, **settings: Any) -> Page:
        upstream = Upstream(Server(target=target, **(server or {})))
        app = create_app(upstream, ExploreSettings(port=0, **settings))
        config = uvicorn.Config(app, port=0, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=1)
        process = uvicorn.Server(config)
        task = asyncio.create_task(process._serve())  # without its signal handlers
        while not process.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        port = process.servers[0].sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        page = Page(
            url=url, port=port, upstream=upstream, http=httpx.AsyncClient(base_url=url, timeout=30), server=process
        )
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
