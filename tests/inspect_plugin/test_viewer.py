"""What a score looks like in inspect's own log viewer, in a real browser."""

from __future__ import annotations

import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.harness import environment, free_port, until
from inspect_plugin.conftest import EXAMPLE, PROGRAM, Run

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian's package chromium)"),
]


@pytest.fixture
def log(run: Run, the_log: Callable[[], Any], target: str) -> Any:
    """The log of a real evaluation."""
    run("eval", f"{EXAMPLE}@capitals", "--model", "mockllm/model", server=target)
    return the_log()


@pytest.fixture
def viewer(log: Any, tmp_path: Path) -> Iterator[str]:
    """Where ``inspect view`` shows the logs of the test's folder."""
    address = f"127.0.0.1:{free_port()}"
    host, port = address.split(":")
    options = ["--log-dir", tmp_path / "logs", "--host", host, "--port", port]
    command = [sys.executable, "-c", PROGRAM, "view", "start", *options]
    settings = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    with (tmp_path / "view.log").open("w") as log:
        process = subprocess.Popen(command, env=environment(settings, None), stdout=log, stderr=log)
    try:
        until(lambda: answers(f"http://{address}"), timeout_s=60)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def page() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except urllib.error.URLError:
        return False


def test_the_viewer_shows_a_scores_value_table_and_metadata(log, viewer, page):
    page.goto(viewer)
    page.get_by_text("The capital of Durrow is").first.click()
    page.get_by_role("tab", name="Scoring").click()
    table = page.locator(".markdown-content table:visible").filter(has_text="letters/durrow-1#0")
    table.wait_for()
    headings = [cell.strip() for cell in table.locator("th").all_inner_texts()]
    assert headings == ["#", "influence", "signal", "sure", "source", "sequence", "text"]
    first = [cell.strip() for cell in table.locator("tbody tr").first.locator("td").all_inner_texts()]
    assert [first[0], *first[4:6]] == ["1", "letters", "letters/durrow-1#0"]
    (height,) = {cell.bounding_box()["height"] for cell in table.locator("th").all()}
    assert height < 40  # no heading is broken over two lines
    shown = page.inner_text("body")
    assert str(log.samples[0].scores["attribution"].value) in shown
    for expected in ("noise is not known", "provenance", "hits", "warnings", "log_likelihood"):
        assert expected in shown
