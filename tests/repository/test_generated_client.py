"""The synchronous client is what the asynchronous one generates, and a change of either is noticed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CLIENT, SOURCE = "clients/python/whence/client.py", "clients/python/whence/aio.py"


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """A checkout with what generating needs, to be altered."""
    for name in ("scripts/generate_client.py", CLIENT, SOURCE, "pyproject.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, tmp_path / name)
    return tmp_path


def generate(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, checkout / "scripts" / "generate_client.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_committed_client_is_what_its_source_generates(root: Path) -> None:
    done = generate(root, "--check")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", [CLIENT, SOURCE])
def test_a_change_of_one_client_alone_is_noticed_and_generated(copy: Path, file: str) -> None:
    changed = copy / file
    changed.write_text(changed.read_text().replace("timeout_s: float = 600.0", "timeout_s: float = 60.0"))
    noticed = generate(copy, "--check")
    assert noticed.returncode == 1
    assert "run: make generate" in noticed.stderr
    assert generate(copy).returncode == 0
    assert generate(copy, "--check").returncode == 0


def test_a_difference_that_is_gone_from_the_source_is_noticed(copy: Path) -> None:
    source = copy / SOURCE
    source.write_text(source.read_text().replace("Use it on one event loop.", ""))
    assert "nothing in aio.py matches" in generate(copy, "--check").stderr
