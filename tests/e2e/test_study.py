"""`whence scores`, then `whence study`, on a served model: the figures are those of its influences."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.conftest import Service
from e2e.harness import environment
from whence import Query
from whence.analysis import concentration, distribution


def run(*arguments: object) -> None:
    command = [sys.executable, "-m", "whence", *map(str, arguments)]
    subprocess.run(command, env=environment({}, None), capture_output=True, text=True, check=True)


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_what_scores_wrote_is_studied(whole: Service, tmp_path: Path, suffix: str):
    texts = [f"{'owl ' * (n % 3)}lamp {n} {n * n}" for n in range(200)]
    queries = write(tmp_path / "queries.jsonl", [{"id": "owl", "prompt": "the lamp ", "completion": "of the owl"}])
    given = write(tmp_path / "texts.jsonl", [{"text": text} for text in texts])
    matrix = tmp_path / f"scores.{suffix}"
    run("scores", "--queries", queries, "--sequences", given, "--out", matrix, "--server", whole.front.address)
    values = whole.client.score_matrix([Query.text("the lamp ", "of the owl")], texts=texts).influence[0]
    sign = 1 if sum(value > 0 for value in values) >= 100 else -1
    named = ("--sign", "positive" if sign > 0 else "negative", "--influences", matrix)
    run("study", "distribution", *named, "--out", tmp_path / "out", "--simulations", 10)
    run("study", "concentration", *named, "--out", tmp_path / "out")
    [tail] = json.loads((tmp_path / "out" / "distribution.json").read_text())["queries"]
    [shares] = json.loads((tmp_path / "out" / "concentration.json").read_text())["queries"]
    assert tail["exponent"] == pytest.approx(distribution(values, sign=sign, simulations=1).exponent, rel=1e-6)
    assert shares["half"] == concentration(values, sign=sign).half
    assert (tail["sequences"], shares["sequences"]) == (200, 200)
