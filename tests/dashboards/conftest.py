"""The dashboard, the rules, and promtool, which reads and evaluates them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "dashboards"
ALERTS = FOLDER / "alerts.yaml"
# What Grafana puts in place of its variables, for somebody who chose nothing.
GRAFANA = {"$__rate_interval": "5m", "$job": ".*", "$instance": ".*"}


@pytest.fixture
def promtool(tmp_path: Path) -> Callable[..., str]:
    """Run a command of promtool on a file with this content; fails where it does not end with ``rc``."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed; it is part of Debian's package prometheus")

    def run(*command: str, content: object, rc: int = 0) -> str:
        (tmp_path / "file.yaml").write_text(json.dumps(content), encoding="utf-8")  # JSON is YAML
        done = subprocess.run(
            [program, *command, str(tmp_path / "file.yaml")], capture_output=True, text=True, check=False
        )
        assert done.returncode == rc, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture(scope="session")
def dashboard() -> dict[str, Any]:
    return json.loads((FOLDER / "whence.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def groups() -> list[dict[str, Any]]:
    """The groups of rules."""
    return yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]


def selectors(expression: str) -> list[tuple[str, set[str]]]:
    """Return the metrics of an expression that a process exposes, each with the labels that it is selected by."""
    found = re.findall(r"(?<![:\w])((?:whence|process)_\w+)(?:\{([^}]*)\})?", expression)
    return [(name, set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', labels))) for name, labels in found]
