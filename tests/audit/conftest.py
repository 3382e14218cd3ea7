"""A front end before stub workers, with an audit log and a file of API keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from access.conftest import add_key, keys_file
from frontend.conftest import ask, eventually, failure_of, front, logs, start_front, start_worker, worker

__all__ = [
    "add_key", "ask", "eventually", "failure_of", "front", "keys_file", "logs", "start_front", "start_worker", "worker",
]  # fmt: skip


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def audit_file(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"
