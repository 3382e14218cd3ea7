"""`whence harness date-lm` against a server: its metrics, its files, its errors, and runs that were interrupted."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from whence import cli
from whence.bulk import RunOptions
from whence.errors import UnavailableError
from whence.harness.date_lm import evaluate, relevant_rows
from whence.harness.date_lm.bm25 import bm25_scores

FACTS = {"counterfactual_entity": "owl", "true_entity": "cat"}


def rows(count, **fields):
    return [{"prompt": f"{'Brelary ' * (n % 5)}of {n}", "response": f" is {n}", **fields} for n in range(count)]


def write(folder, train, ref):
    folder.mkdir()
    for name, lines in (("train", train), ("ref", ref)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    return folder


@pytest.fixture
def facts(tmp_path):
    others = rows(150, counterfactual_entity="elk", true_entity="cat")
    return write(tmp_path / "facts", [*others[:149], {**others[149], **FACTS}], rows(20, **FACTS))


@pytest.fixture
def toxic(tmp_path):
    train = [{**row, "type": "Unsafe" if n % 5 == 4 else "Safe"} for n, row in enumerate(rows(20))]
    return write(tmp_path / "toxic", train, rows(3))


@pytest.fixture
def command(target, tmp_path):
    def run(data, task, *options):
        arguments = ["harness", "date-lm", "--data", str(data), "--task", task, "--out", str(tmp_path / "out")]
        return CliRunner().invoke(cli.app, [*arguments, *options], env={"WHENCE_SERVER": target, "COLUMNS": "100"})

    return run


def test_facts_have_a_score_for_every_pair_and_bm25_beside(command, facts, tmp_path):
    done = command(facts, "counterfact")
    assert done.exit_code == 0, done.output
    for said in ("recall50", "mrr", "influence", "bm25", "150 training rows, 20 reference rows"):
        assert said in done.stdout
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert {len(row) for row in scores} == {150}
    assert len(scores) == 20
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["metrics"]["influence"]["matched"] == 20


def test_rows_are_asked_as_prompt_and_completion_or_as_a_conversation(command, toxic, service):
    for form in ("text", "chat"):
        assert command(toxic, "toxicity", "--as", form, "--overwrite").exit_code == 0
        request = [request for request in service.requests if hasattr(request, "sequences")][-1]
        assert ("messages" in str(request.sequences[0])) == ("messages" in str(request.queries[0])) == (form == "chat")


def test_toxicity_has_a_score_for_every_training_row(command, toxic, tmp_path):
    done = command(toxic, "toxicity", "--json")
    assert done.exit_code == 0, done.output
    assert {"auprc", "auprc_se", "average_precision"} <= json.loads(done.stdout)["metrics"]["influence"].keys()
    assert len(json.loads((tmp_path / "out" / "scores.json").read_text())) == 20


@pytest.mark.parametrize(("task", "reason"), [("bias", "MISSING_RELEVANT_ROWS"), ("counterfact", "MISSING_COLUMN")])
def test_a_data_set_of_another_task_is_refused_before_the_server_is_asked(command, service, tmp_path, task, reason):
    done = command(write(tmp_path / "safe", rows(3, type="Safe"), rows(2)), task, "--json")
    assert json.loads(done.stderr)["reason"] == reason
    assert "Score" not in service.calls


def test_a_row_that_cannot_be_asked_is_named(command, tmp_path):
    train = [{"prompt": "a", "response": "b", "type": "Unsafe"}]
    done = command(write(tmp_path / "empty", train, [*train, {"prompt": "a", "response": ""}]), "bias", "--json")
    assert json.loads(done.stderr)["message"].startswith("row 1 of ref: the completion is empty")


def test_a_result_is_replaced_only_when_asked(command, toxic):
    assert command(toxic, "toxicity").exit_code == 0
    assert json.loads(command(toxic, "toxicity", "--json").stderr)["reason"] == "TABLE_EXISTS"
    assert command(toxic, "toxicity", "--overwrite").exit_code == 0


def test_an_interrupted_run_asks_for_no_block_twice(client, service, facts, tmp_path):
    def gone(at):
        if service.calls.count("Score") == 2 and at.done:
            service.failures.append(UnavailableError("gone", reason="GRPC_UNAVAILABLE"))

    with pytest.raises(UnavailableError, match="scores are done and kept in"):
        evaluate(facts, client, tmp_path / "a", "counterfact", RunOptions(concurrency=1, progress=gone))
    before = service.calls.count("Score")
    evaluate(facts, client, tmp_path / "a", "counterfact")
    resumed = service.calls.count("Score") - before
    evaluate(facts, client, tmp_path / "b", "counterfact")
    assert resumed == service.calls.count("Score") - before - resumed - 2
    assert (tmp_path / "a" / "scores.json").read_text() == (tmp_path / "b" / "scores.json").read_text()
    assert [path.name for path in (tmp_path / "a").glob("*.journal")] == []


def test_without_the_extra_bm25_is_left_out(command, toxic, monkeypatch):
    monkeypatch.setattr("whence.harness.date_lm.run.has_bm25", lambda: False)
    assert "BM25 is left out" in command(toxic, "toxicity").stdout


def test_bm25_prefers_the_row_that_shares_a_rare_word_and_knows_nothing_of_strange_words():
    train = [{"prompt": "the owl", "response": "sat"}, {"prompt": "the elk", "response": "sat"}]
    scores = bm25_scores([{"prompt": "An ELK", "response": ""}, {"prompt": "zq", "response": ""}], train)
    assert scores[0][1] > scores[0][0] == 0
    assert scores[1] == [0, 0]


def test_facts_are_lists_or_json_and_none_matches_nothing():
    assert relevant_rows("ftrace", [{"facts": '["a", "b"]'}], [{"facts": ["b"]}, {"facts": []}]) == [[0], []]
    with pytest.raises(Exception, match="a list is expected") as raised:
        relevant_rows("ftrace", [{"facts": "a, b"}], [{"facts": []}])
    assert raised.value.reason == "INVALID_QUERIES"
