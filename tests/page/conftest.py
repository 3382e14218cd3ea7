"""The page in a real browser, before real processes: its errors, and every request that it makes, are collected."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from e2e.conftest import Service, artefacts, indexed, launch, shared, slow, with_index
from e2e.harness import Artefacts
from e2e.test_explore import explore

__all__ = ["artefacts", "indexed", "launch", "shared", "slow", "with_index"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SIZES = {"desk": (1280, 900), "phone": (390, 844)}
ASKED = {"prompt": "the keeper lit ", "completion": "the lamp"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a browser there is nothing to see."""
    if CHROMIUM is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="Chromium is not installed (Debian's package chromium)"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser for the tests of a file: while Playwright's loop runs, no test of another folder could run its own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def url(indexed: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page for one worker with an index."""
    with explore(tmp_path_factory.mktemp("page") / "log", indexed.front.address) as running:
        yield running.url


@dataclass(kw_only=True)
class Tab:
    """A tab of the browser. ``page`` is Playwright's; the lists have what must not be there, and what was asked for."""

    page: Any
    url: str
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def go(self, view: str = "", **params: Any) -> Tab:
        """Show a view of the page, whose parameters may be lists."""
        self.page.goto(f"{self.url}#/{view}?{urlencode(params, doseq=True)}" if view else self.url)
        return self

    def answered(self, **params: Any) -> Tab:
        """Ask, and wait for the answer."""
        self.go("ask", **{**ASKED, **params})
        self.page.wait_for_selector(".facts")
        return self

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def texts(self, selector: str) -> list[str]:
        return list(self.page.locator(selector).all_inner_texts())

    def module(self, name: str, expression: str, argument: Any = None) -> Any:
        """Return the value of an expression of the names of a module, and of ``x``, the argument."""
        code = f"async (x) => {{ const m = await import('/page/lib/{name}.js'); return ({expression}); }}"
        return self.page.evaluate(code, argument)


OpenTab = Callable[..., Tab]


@pytest.fixture
def open_tab(browser: Any) -> Iterator[OpenTab]:
    """Open a tab at the page of an address. At the end no tab has had an error or asked another host."""
    tabs: list[tuple[Tab, Any]] = []

    def opened(url: str, *, size: str = "desk", scheme: str = "light", **options: Any) -> Tab:
        width, height = SIZES[size]
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **options)
        page = context.new_page()
        page.set_default_timeout(20_000)
        tab = Tab(page=page, url=url)
        page.on("pageerror", lambda error: tab.errors.append(str(error)))
        page.on("dialog", lambda dialog: (tab.errors.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: tab.requests.append(request.url))
        page.on("request", lambda request: "/v1/" in request.url and tab.calls.append(request.url.rpartition("/")[2]))
        page.on(
            "console",
            lambda message: "Security Policy" in message.text and tab.errors.append(message.text),
        )
        tabs.append((tab, context))
        return tab

    yield opened
    for tab, context in tabs:
        context.close()
        assert not tab.errors
        assert all(url.startswith((tab.url, "blob:", "data:")) for url in tab.requests), tab.requests
    for place in {tab.url for tab, _ in tabs}:
        assert violations(place) in (0, None)


def violations(url: str) -> int | None:
    """The number of reports of violated policies; None where the page is gone."""
    try:
        with urllib.request.urlopen(f"{url}healthz", timeout=10) as answer:
            return int(json.loads(answer.read())["cspViolations"])
    except OSError:
        return None


@pytest.fixture
def tab(open_tab: OpenTab, url: str) -> Tab:
    return open_tab(url)


def sequences(given: Artefacts) -> int:
    return sum(shard.sequences for shard in given.open_corpus().shards)
