"""The way from a model to a table that docs/harnesses.md shows, command by command, by real programs."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from run_section import ROOT, commands

from e2e.harness import environment, free_port

DEMO, TASKS = Path("backends/whence_backends/demo"), Path("tests/harness/tasks")
DOCUMENT, SECTION = ROOT / "docs" / "harnesses.md", "From model to table"
PROGRAMS = ["corpus", "fit", "index", "serve", "harness"]
ALL = [pytest.mark.exhaustive, pytest.mark.timeout(600)]


def checkout(folder: Path, *, documents: int | None, questions: int | None) -> Path:
    """Make a folder with what the commands read of a checkout, or less of it."""
    for path, lines in ((DEMO / "corpus.jsonl", documents), (TASKS / "world.jsonl", questions)):
        (folder / path.parent).mkdir(parents=True)
        with (ROOT / path).open(encoding="utf-8") as file:
            (folder / path).write_text("".join(islice(file, lines)), encoding="utf-8")
    for path in [ROOT / DEMO / "model", *(ROOT / TASKS).glob("*.yaml")]:
        (folder / path.relative_to(ROOT)).symlink_to(path)
    return folder


def test_the_section_goes_from_a_model_to_a_table() -> None:
    steps = commands(DOCUMENT.read_text(encoding="utf-8"), SECTION)
    assert [step.split()[1] for step in steps if step.startswith("whence ")] == PROGRAMS
    with pytest.raises(ValueError, match="no block of shell"):
        commands("# Another\n\n```sh\nls\n```\n", SECTION)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="lm_eval is not installed")
@pytest.mark.parametrize(("documents", "questions"), [(60, 6), pytest.param(None, None, marks=ALL)])
def test_its_commands_make_the_table_of_every_answer(tmp_path: Path, documents, questions) -> None:
    folder = checkout(tmp_path / "checkout", documents=documents, questions=questions)
    address = f"127.0.0.1:{free_port()}"
    settings = {"WHENCE_ADDRESS": address, "WHENCE_SERVER": address, "WHENCE_DRAIN_S": "0", "COLUMNS": "100"}
    given = environment({**settings, "TMPDIR": str(tmp_path), "HF_HOME": str(tmp_path / "hf")}, None)
    command = [sys.executable, ROOT / "scripts" / "run_section.py", DOCUMENT, SECTION, "--folder", folder]
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    print(*done.stdout.splitlines()[-8:], sep="\n")
    assert re.search(r"^wall_s=[\d.]+ cpu_s=[\d.]+", done.stdout, re.M)
    (made,) = tmp_path.glob("*/hits.parquet")
    table = pq.read_table(made)
    answers = {(row["query.task"], row["query.doc_id"]) for row in table.to_pylist()}
    assert len(answers) == 2 * (questions or 24)
    assert table.num_rows == 5 * len(answers)
    assert set(table["rank"].to_pylist()) == {1, 2, 3, 4, 5}
    assert json.loads(table.schema.metadata[b"whence.provenance"])
