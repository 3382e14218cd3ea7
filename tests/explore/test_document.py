"""What docs/http.md says: its examples run, and its tables are those of the code."""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from pathlib import Path

import pytest

from whence import _variables
from whence.explore.api.methods import METHODS
from whence.explore.api.statuses import HTTP_STATUS
from whence.explore.settings import ExploreSettings

TEXT = (Path(__file__).parents[2] / "docs" / "http.md").read_text()


def example(language: str, port: int) -> str:
    (code,) = re.findall(rf"```{language}\n(.*?)```", TEXT, re.S)
    return code.replace("localhost:8090", f"localhost:{port}")


async def run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


async def test_the_example_in_python_reads_a_tensor(page, tmp_path):
    (tmp_path / "example.py").write_text(example("python", page.port))
    assert await run(sys.executable, str(tmp_path / "example.py")) == "(0.01,) ['1', '1']\n"


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
async def test_the_example_in_javascript_reads_a_stream(page, tmp_path):
    (tmp_path / "example.mjs").write_text(example("js", page.port))
    assert await run("node", str(tmp_path / "example.mjs")) == "doc1#0 0.02 3\n"


def test_it_names_every_path_variable_and_status():
    assert all(f"`{method.path}`" in TEXT for method in METHODS)
    assert all(f"`{variable}`" in TEXT for variable in _variables.EXPLORE)
    rows = re.findall(r"(\d{3}) \| ((?:`[A-Z_]+`(?:, )?)+)", TEXT.partition("What this process refuses")[0])
    written = {name: int(status) for status, names in rows for name in re.findall(r"[A-Z_]+", names)}
    assert written == {code.name: status for code, status in HTTP_STATUS.items()}


def test_it_names_the_bounds():
    assert f"more than {ExploreSettings.max_body_bytes // 2**20} MiB" in TEXT
    assert f"More than {ExploreSettings.max_calls} calls" in TEXT
    assert f"more than {ExploreSettings.body_timeout_s:g} s to arrive" in TEXT
