"""`whence harness lm-eval`: its report, its JSON, its errors."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from harness.conftest import file_of, table_of
from whence import cli


@pytest.fixture
def command(target, saved, tmp_path):
    def run(*options):
        arguments = ["harness", "lm-eval", "--samples", str(saved), "--out", str(tmp_path / "hits.jsonl"), "-k", "1"]
        environment = {"WHENCE_SERVER": target, "COLUMNS": "100"}
        return CliRunner().invoke(cli.app, [*arguments, *options], env=environment)

    return run


def test_the_report_says_of_each_task_how_good_it_is_and_where_answers_came_from(command, tmp_path):
    done = command("--task", "world_choice", "--task", "world_rolling")
    assert done.exit_code == 0, done.output
    for said in ("world_choice", "acc", "0.833", "of 6", "5 letters", "not judged", "12 queries: 12 hits"):
        assert said in done.stdout
    assert len(table_of(tmp_path / "hits.jsonl")) == 12


def test_only_wrong_and_json(command):
    done = command("--only", "wrong", "--task", "world_[cp]*", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert [(task["task"], task["accuracy"], task["attributed"]) for task in report["tasks"]] == [
        ("world_choice", pytest.approx(5 / 6), 1),
        ("world_prompts", pytest.approx(1 / 3), 4),
    ]
    assert report["tasks"][0]["wrong_answers"]["sources"] == [{"source": "letters", "answers": 1}]
    assert report["run"]["queries"] == 5


def test_errors_are_json_where_json_is_asked_for_and_have_their_reason(command):
    done = command("--only", "wrong", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stderr)["reason"] == "MISSING_METRIC"


def test_bad_lines_and_other_log_likelihoods_are_told(command, saved):
    with file_of(saved, "world_choice").open("a") as file:
        file.write("{\n")
    done = command("--task", "world_choice")
    assert "1 lines are no samples of lm_eval" in done.stdout
    assert "line 7 is no sample" in done.stdout.replace("\n", " ")
    assert "another log-likelihood here than in the evaluation" in done.stdout.replace("\n", " ")
