"""The demo as its users have it: the tutorial, run from its first cell to its last, and the page with its questions."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from e2e.harness import environment, free_port, until

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.ipynb"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that keeps the demo's artefacts from one command to the next."""
    return tmp_path_factory.mktemp("demo")


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The command with these options, and what it has printed once it serves."""
    log = folder / f"log{options[0]}"
    command = [sys.executable, "-m", "whence", "demo", "--folder", folder / "artefacts", *options]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment({}, None))
    try:
        until(lambda: "until Ctrl-C" in log.read_text() or process.poll() is not None, timeout_s=600)
        assert process.poll() is None, log.read_text()
        yield process, log.read_text()
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[str]:
    """The address of the demo, served by the tutorial's command."""
    address = f"127.0.0.1:{free_port()}"
    with demo(folder, "--serve", address):
        yield address


def test_every_cell_runs_and_shows_what_the_tutorial_has(served: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WHENCE_SERVER", served)
    kept, book = (nbformat.read(TUTORIAL, as_version=4) for _ in range(2))
    NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": TUTORIAL.parent}}
    ).execute()
    for before, after in zip(kept.cells, book.cells, strict=True):
        assert kinds(before) == kinds(after), before.source
    answer, hits = (
        "".join(map(str, cell.outputs)) for cell in [cell for cell in book.cells if cell.cell_type == "code"][1:3]
    )
    assert "encyclopedia/myrrenland-2#0" in answer
    assert "significance" in hits


def kinds(cell: nbformat.NotebookNode) -> list[list[str]]:
    """The kinds of a cell's outputs: a table, a picture, text."""
    return [sorted(output.get("data", {"text": ""})) for output in cell.get("outputs", [])]


def test_the_page_of_the_demo_begins_with_its_questions_and_ends_at_a_signal(folder: Path):
    with demo(folder, "--explore", "--no-open") as (process, printed):
        url = next(word for word in printed.split() if word.startswith("http://"))
        settings = json.loads(urllib.request.urlopen(f"{url}page/settings.json").read())
        assert settings["guide"]
        assert settings["examples"][0] == {
            "prompt": "The capital of Myrrenland is", "completion": " Marrford", "search": "full-scan"
        }  # fmt: skip
        groups = ask(url, "group-influence", settings["examples"][0])
        assert groups["total"]["sequences"] == "4000"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0


def ask(url: str, method: str, example: dict[str, str]) -> dict[str, dict[str, object]]:
    query = {"text": {"prompt": example["prompt"], "completion": example["completion"]}}
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(f"{url}v1/{method}", body, {"Content-Type": "application/json"})
    return json.loads(urllib.request.urlopen(request, timeout=120).read())
