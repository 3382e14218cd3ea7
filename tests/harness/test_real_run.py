"""lm_eval evaluates the demo's model for real; the same model, served, says where its answers came from."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2e.harness import Artefacts, environment, launcher, until, whence
from harness.conftest import table_of
from whence_backends.corpus import Corpus, IngestConfig, ingest
from whence_backends.demo import subjects
from whence_backends.fit import FitConfig, fit
from whence_backends.models import Tokenizer, resolve_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="lm_eval is not installed"),
]
EXAMPLE = Path(__file__).parents[2] / "examples" / "lm_eval_in_process.py"
DOCUMENTS = 40
LIMIT = 8


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """An evaluation: where it is, the address of the served model, lm_eval's own figures."""

    folder: Path
    server: str
    figures: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def evaluated(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evaluated]:
    folder = tmp_path_factory.mktemp("lm-eval")
    artefacts = prepare(folder)
    command = ("serve", "--embedded", *artefacts.options(), "--device", "cpu", "--address", "127.0.0.1:0")
    with launcher(folder) as starting:
        front = starting.start(command, {"WHENCE_DRAIN_S": "0"}, path=None)

        def listening() -> str | None:  # the worker inside has a line of its own, and may serve before the front end
            lines = (line["address"] for line in front.lines() if line["event"] == "listening")
            return next((address for address in lines if "127.0" in address), None)

        address = until(listening, timeout_s=120)
        front.wait_for("serving")
        script = [sys.executable, Path(__file__).with_name("evaluate.py"), artefacts.model, address, folder]
        settings = {"HF_HOME": str(folder / "hf"), "HF_DATASETS_OFFLINE": "1"}
        done = subprocess.run(
            script,
            env=environment(settings, None),
            cwd=pytestconfig.rootpath,
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert done.returncode == 0, done.stderr
        yield Evaluated(folder=folder, server=address, figures=json.loads(done.stdout.splitlines()[-1]))


def prepare(folder: Path) -> Artefacts:
    """Make a corpus of a few of the demo's documents, and fit factors on it."""
    subject = subjects.tiny()
    rows = subject.documents.read_text().splitlines()[:DOCUMENTS]
    (folder / "documents.jsonl").write_text("\n".join(rows) + "\n")
    tokenizer = Tokenizer.load(resolve_model(subject.model))
    inputs = (folder / "documents.jsonl",)
    ingest(IngestConfig(inputs=inputs, out=folder / "corpus", tokenizer=tokenizer, policy=subject.policy))
    fit(FitConfig(model=subject.model, out=folder / "factors"), Corpus.open(folder / "corpus"))
    return Artefacts(model=Path(subject.model), corpus=folder / "corpus", factors=folder / "factors")


def run(evaluated: Evaluated, out: str, *options: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run the command on the files. Return its report and the first row of each answer."""
    table = evaluated.folder / out
    command = ("harness", "lm-eval", "--samples", str(evaluated.folder / "samples"), "--out", str(table), "-k", "2")
    done = whence(*command, *options, "--no-layers", "--json", server=evaluated.server, path=None)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), table_of(table)


@pytest.fixture(scope="module")
def whole(evaluated: Evaluated) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The report and the table of all answers."""
    return run(evaluated, "all.jsonl")


def test_accuracies_and_log_likelihoods_are_those_of_lm_eval(evaluated: Evaluated, whole: Any):
    report, rows = whole
    assert [task["metric"] for task in report["tasks"]] == ["acc", "exact_match", "acc", "acc_norm"]
    for task in report["tasks"]:
        told = evaluated.figures[task["task"]][f"{task['metric']},{task['filter']}"]
        assert task["accuracy"] == pytest.approx(told)
        assert (task["samples"], task["attributed"], task["apart"]) == (LIMIT, LIMIT, 0)
    assert len(rows) == 4 * LIMIT
    # The query is the text that lm_eval scored: the served model gives it the same log-likelihood.
    scored = [row for row in rows if row["query.kind"] != "generation"]
    assert len(scored) == 3 * LIMIT
    for row in scored:
        assert row["log_likelihood"] == pytest.approx(row["query.log_likelihood"], abs=1e-3)


def test_a_generation_that_is_a_choice_has_the_log_likelihood_of_the_choice(whole: Any):
    _, rows = whole
    of_task = {task: [row for row in rows if row["query.task"] == task] for task in ("world_generate", "world_choice")}
    pairs = zip(of_task["world_generate"], of_task["world_choice"], strict=True)
    same = [(one, other) for one, other in pairs if one["query.answer"] == other["query.answer"]]
    assert same
    for one, other in same:
        assert one["log_likelihood"] == pytest.approx(other["query.log_likelihood"], abs=1e-3)


def test_in_process_results_make_the_table_of_the_files(evaluated: Evaluated, whole: Any):
    rows = whole[1]
    mine = table_of(evaluated.folder / "results.jsonl")
    names = [name for name in rows[0] if name.startswith("query") or name in ("row", "sequence_id", "rank")]
    for one, other in zip(mine, rows, strict=True):
        assert {name: one[name] for name in names} == {name: other[name] for name in names}


def test_only_wrong_attributes_what_lm_eval_counted_as_wrong(evaluated: Evaluated):
    chosen = ("--only", "wrong", "--task", "world_generate", "--filter", "first-word")
    report, rows = run(evaluated, "wrong.jsonl", *chosen)
    right = evaluated.figures["world_generate"]["exact_match,first-word"]
    assert len(rows) == round((1 - right) * LIMIT) > 0
    assert {row["query.correct"] for row in rows} == {False}
    assert report["tasks"][0]["wrong_answers"]["attributed"] == len(rows)


def test_the_example_attributes_in_the_process_that_evaluates(evaluated: Evaluated, pytestconfig: pytest.Config):
    model, table = subjects.tiny().model, evaluated.folder / "example.parquet"
    command = [sys.executable, EXAMPLE, model, evaluated.server, "tests/harness/tasks", table]
    settings = environment({"HF_HOME": str(evaluated.folder / "hf"), "HF_DATASETS_OFFLINE": "1"}, None)
    done = subprocess.run(command, env=settings, cwd=pytestconfig.rootpath, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    task, written = done.stdout.splitlines()[-2:]
    assert task.startswith("world_choice 0.")
    assert written == "8 hits in example.parquet"
    assert table.exists()
