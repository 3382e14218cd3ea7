"""The tutorial, run from its first cell to its last against the demo that it tells its readers to serve."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from e2e.harness import environment, free_port, until

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.ipynb"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo, served by the tutorial's command."""
    folder, address = tmp_path_factory.mktemp("demo"), f"127.0.0.1:{free_port()}"
    log = folder / "log"
    command = [sys.executable, "-m", "whence", "demo", "--folder", folder / "artefacts", "--serve", address]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment({}, None))
    try:
        until(lambda: "until Ctrl-C" in log.read_text() or process.poll() is not None, timeout_s=600)
        assert process.poll() is None, log.read_text()
        yield address
    finally:
        process.terminate()
        process.wait(timeout=60)


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
