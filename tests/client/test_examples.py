"""The examples: each has a test somewhere; those that need no model have theirs here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def test_many_outputs_become_a_frame_of_hits_and_a_matrix_of_scores(target, service):
    command = [sys.executable, EXAMPLES / "many_outputs.py", target]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    heading, *hits = done.stdout.splitlines()[:7]
    assert heading.split() == ["query_id", "rank", "sequence_id", "influence", "signal"]
    assert [line.split()[:2] for line in hits] == [
        [name, rank] for name in ("Durrow", "Myrrenland", "Kermath") for rank in ("1", "2")
    ]
    matrix = done.stdout.splitlines()[7:]
    assert matrix[0].split()[-3:] == ["Durrow", "Myrrenland", "Kermath"]
    assert len(matrix) == 3  # and the two sequences that were hit
    assert service.calls[-1] == "Score"


def test_every_example_is_named_by_a_test():
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    names = sorted(path.name for path in EXAMPLES.iterdir() if path.is_file())
    assert names
    assert not [name for name in names if f'"{name}"' not in tests]
