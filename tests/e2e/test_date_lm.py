"""`whence harness date-lm` against a real service: its scores are those of the service for the same rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.conftest import Service
from e2e.harness import environment
from whence import Query, TrainingExample


def test_its_scores_are_those_of_training_examples(whole: Service, tmp_path: Path) -> None:
    corpus = whole.artefacts.open_corpus()
    known = {corpus.record(number).text for number in range(corpus.sequences)}
    texts = sorted(known, key=lambda text: (-len(text), text))[:6]
    train = [{"prompt": text[:8], "response": text[8:], "facts": [number]} for number, text in enumerate(texts)]
    for name, rows in (("train", train), ("ref", train[2:4])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [sys.executable, "-m", "whence", "harness", "date-lm", "--data", ".", "--task", "ftrace", "--out", "out"]
    command += ["--server", whole.front.address]
    done = subprocess.run(command, cwd=tmp_path, env=environment({}, None), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = whole.client.score_matrix(
        [Query.text(text[:8], text[8:]) for text in texts[2:4]],
        examples=[TrainingExample.completion(text[:8], text[8:]) for text in texts],
    ).influence
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores == [pytest.approx(list(row), rel=1e-3) for row in expected]
