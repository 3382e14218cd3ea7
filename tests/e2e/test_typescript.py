"""The example of the client in TypeScript, as its README has it, asks real processes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from e2e.conftest import Service
from typescript import ROOT, build


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("typescript"))


def test_the_readme_has_the_example() -> None:
    folder = ROOT / "clients" / "typescript"
    (shown,) = re.findall(r"```ts\n(.*?)```", (folder / "README.md").read_text(), re.S)
    assert shown == (folder / "src" / "example.ts").read_text()


def test_the_example_asks_streams_and_reads_the_details_of_an_error(whole: Service, built: Path) -> None:
    command = ["node", built / "example.js", whole.front.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    *lines, last, refused = done.stdout.splitlines()
    expected = whole.client.attribute(prompt="The capital of Myrrenland is", completion=" Marrford", top_k=3)
    for line, hit in zip(lines, expected, strict=False):
        assert line.startswith(f"{hit.rank} {hit.influence:.4f} {hit.sequence_id} ")
    assert len(expected) > 0
    assert [line for line in lines if re.fullmatch(r"\d+ of \d+ sequences scored", line)]
    assert re.fullmatch(r"done: \d+ negative hits", last)
    assert re.fullmatch(r"refused: TOO_LARGE_TOP_K, field options.top_k, request [0-9a-f-]{36}", refused)
