"""``whence validate check`` as a user runs it, and what it prints."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from validation.checks.subject import Subject, queries
from whence.cli.render.served_checks import checks_table, rows
from whence.errors import InvalidRequestError
from whence_backends.validation.checks import Checks, run_checks
from whence_backends.validation.checks.questions import Questions


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the queries, as texts."""
    path = tmp_path_factory.mktemp("asked") / "queries.jsonl"
    lines = [{"id": query.id, "prompt": query.text[:5], "completion": query.text[5:]} for query in queries()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def checks(single: Subject, tmp_path_factory: pytest.TempPathFactory) -> Checks:
    return run_checks(single.config(tmp_path_factory.mktemp("checks"), step_hits=1), queries())


def canaries(folder: Path, **fields: object) -> Path:
    path = folder / "canaries.jsonl"
    path.write_text(json.dumps({"id": "c", "prompt": "abcde", "completion": "fghij", **fields}) + "\n")
    return path


def test_the_command_prints_a_row_for_each_check(single: Subject, asked: Path, tmp_path: Path):
    command = [
        sys.executable, "-m", "whence", "validate", "check", "--model", single.model, "--factors", single.factors,
        "--corpus", single.corpus, "--queries", asked, "--out", tmp_path / "out", "--fit-sequences", "8",
        "--step-hits", "1", "--device", "cpu", "--canaries", canaries(tmp_path, documents=["3"]),
    ]  # fmt: skip
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    for name in ("label seed", "half the data", "bfloat16", "step", "size", "optimum", "against BM25", "canaries"):
        assert name in done.stdout
    again = subprocess.run([*map(str, command), "--json"], capture_output=True, text=True, check=False, timeout=240)
    document = json.loads(again.stdout)
    assert (document["format"], document["queries"]) == ("whence.checks/1", 4)
    assert document["canaries"][0]["id"] == "c"


def test_what_asks_for_caution_is_marked(checks: Checks):
    assert {row.check for row in rows(checks) if row.caution} <= {
        "half the data",
        "optimum",
        "smaller fit",
        "label seed",
    }
    steps = replace(checks.steps, own_raised=0.1, promising_hits=3)
    wrong = replace(checks, steps=steps, precision=replace(checks.precision, within_noise=False))
    assert {"step", "size", "bfloat16"} <= {row.check for row in rows(wrong) if row.caution}


def test_a_check_without_pairs_is_printed(checks: Checks):
    bands = tuple(replace(band, pairs=0, slope=None, right_signs=None) for band in checks.steps.bands)
    console = Console(width=300)
    with console.capture() as captured:
        console.print(checks_table(replace(checks, steps=replace(checks.steps, bands=bands))))
    assert "none that could be measured" in captured.get()


def test_queries_are_tokenized_as_a_worker_does(single: Subject, asked: Path, tmp_path: Path):
    read = Questions(single.config(tmp_path)).queries(asked)
    assert [query.tokens.token_ids.tolist() for query in read] == [
        query.tokens.token_ids.tolist() for query in queries()
    ]
    assert [query.tokens.weights.tolist() for query in read] == [query.tokens.weights.tolist() for query in queries()]


@pytest.mark.parametrize("documents", [None, [], "3", [3]])
def test_a_canary_without_documents_is_refused(single: Subject, tmp_path: Path, documents: object):
    with pytest.raises(InvalidRequestError, match=r"the canary .c. of .* names no documents"):
        Questions(single.config(tmp_path)).canaries(canaries(tmp_path, documents=documents))
