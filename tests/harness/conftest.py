"""Saved samples of real runs, a server with canned answers, and what is in a table."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import whence
from client.conftest import service, target

__all__ = ["service", "target"]

SAVED = Path(__file__).parent / "saved"


@pytest.fixture
def client(target: str) -> Iterator[whence.Client]:
    with whence.Client(target, timeout_s=20, retry=None) as client:
        yield client


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A copy of the samples of all kinds."""
    return Path(shutil.copytree(SAVED / "model", tmp_path / "samples"))


@pytest.fixture
def chat() -> Path:
    """Samples whose prompts were made with a chat template."""
    return SAVED / "chat"


def file_of(folder: Path, task: str) -> Path:
    [file] = folder.glob(f"samples_{task}_*.jsonl")
    return file


def lines_of(folder: Path, task: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file_of(folder, task).read_text().splitlines()]


def in_process(folder: Path) -> dict[str, Any]:
    """Return the saved samples as ``simple_evaluate`` returns them: tuples, numbers, and targets of any type."""
    [results] = folder.glob("results_*.json")
    tasks = [file.name.removeprefix("samples_").rsplit("_", 1)[0] for file in sorted(folder.glob("samples_*"))]
    return {**json.loads(results.read_text()), "samples": {task: _tuples(lines_of(folder, task)) for task in tasks}}


def _tuples(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for sample in samples:
        sample["arguments"] = [tuple(named.values()) for named in sample["arguments"].values()]
        sample["target"] = int(sample["target"]) if sample["target"].isdecimal() else sample["target"]
        if isinstance(sample["arguments"][0][-1], str):
            sample["resps"] = [[_response(said) for said in repeats] for repeats in sample["resps"]]
    return samples


def _response(said: str | list[str]) -> float | tuple[float, bool]:
    return float(said) if isinstance(said, str) else (float(said[0]), said[1] == "True")


def table_of(path: Path) -> list[dict[str, Any]]:
    """Return the first row of each answer in a table of JSON Lines."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row for row in rows if row["rank"] in (1, None)]


def asked(service: Any) -> dict[str, Any]:
    """Return the queries that a service was asked, by their id."""
    return {query.query_id: query for request in service.requests for query in getattr(request, "queries", ())}
