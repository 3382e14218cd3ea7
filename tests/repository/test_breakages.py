"""Breakages keep up with the code: each still finds the piece that it replaces."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_each_breakage_finds_the_piece_that_it_replaces() -> None:
    command = [sys.executable, str(Path(__file__).parents[1] / "breakages"), "--list"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 100
