"""The suite keeps up with the code: breakages find what they replace, and what is exhaustive is listed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path


def test_each_breakage_finds_the_piece_that_it_replaces() -> None:
    command = [sys.executable, str(Path(__file__).parents[1] / "breakages"), "--list"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 100


def test_a_breakage_whose_tests_are_skipped_here_is_skipped_with_their_reason(tmp_path: Path) -> None:
    command = [sys.executable, str(Path(__file__).parents[1] / "breakages"), "typescript: a token"]
    without_node = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=without_node)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("skipped    typescript: a token that is sent anywhere: node and npm not installed")


def test_every_file_with_exhaustive_tests_is_in_the_list(root: Path) -> None:
    tests = root / "tests"
    marked = {path for path in tests.rglob("test_*.py") if "mark." + "exhaustive" in path.read_text(encoding="utf-8")}
    listed = re.findall(r"^\| `(\S+/test_\w+\.py)` \|", (tests / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(str(path.relative_to(tests)) for path in marked)
