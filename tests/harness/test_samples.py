"""What `--log_samples` wrote, and what `simple_evaluate` returned, become one table and one report."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

import whence
from harness.conftest import asked, file_of, in_process, lines_of, table_of
from whence.bulk import RunOptions
from whence.errors import InvalidRequestError, MismatchError, NotFoundError, UnavailableError
from whence.harness.lm_eval import attribute

JUDGED = ["world_choice", "world_generate", "world_likelihood", "world_mutual", "world_prompts"]


def test_every_answer_is_asked_once_with_what_the_harness_knows(client, service, saved, tmp_path):
    report = attribute(saved, client, tmp_path / "hits.jsonl", top_k=1)
    rows = table_of(tmp_path / "hits.jsonl")
    assert [task.task for task in report.tasks] == [*JUDGED, "world_rolling"]
    assert len(rows) == len(asked(service)) == report.run.queries == 36  # six documents; the filters' lines are one's
    first = next(row for row in rows if row["query.task"] == "world_choice")
    line = lines_of(saved, "world_choice")[0]
    assert {name: first[f"query.{name}"] for name in ("doc_id", "filter", "target", "correct", "metric", "choice")} == {
        "doc_id": 0, "filter": "none", "target": "1", "correct": True, "metric": "acc", "choice": 1,
    }  # fmt: skip
    assert first["query_id"] == "world_choice/0"
    assert first["query.metrics"] == {"acc": 1.0, "acc_norm": 1.0}
    assert first["query.doc_hash"] == line["doc_hash"]
    query = asked(service)["world_choice/0"].text
    assert (query.prompt, query.completion) == ("<|endoftext|>The capital of Myrrenland is", " Marrford")
    assert first["query.answer"] == " Marrford"


def test_accuracies_are_those_that_lm_eval_reports(client, saved, tmp_path):
    [results] = saved.glob("results_*.json")
    told = json.loads(results.read_text())["results"]
    report = attribute(saved, client, tmp_path / "hits.jsonl", top_k=1)
    for task in report.tasks[:-1]:
        assert task.accuracy == pytest.approx(told[task.task][f"{task.metric},{task.filter}"])
    assert [task.metric for task in report.tasks] == ["acc", "exact_match", "acc", "acc_norm", "acc", None]
    others = attribute(
        saved, client, tmp_path / "others.jsonl", tasks=["world_[gm]*"], metric="acc_mutual_info", filter="first-word"
    )
    assert [(task.metric, task.filter) for task in others.tasks] == [
        ("exact_match", "first-word"), ("acc_mutual_info", "none"),
    ]  # fmt: skip
    for task in others.tasks:
        assert task.accuracy == pytest.approx(told[task.task][f"{task.metric},{task.filter}"])


def test_an_answer_that_is_logged_twice_is_asked_once(client, saved, tmp_path):
    file = file_of(saved, "world_generate")  # two filters of each answer, and now each of these twice
    file.write_text(file.read_text() * 2)
    report = attribute(saved, client, tmp_path / "hits.jsonl", tasks=["world_generate"], top_k=1)
    assert (report.tasks[0].samples, report.run.queries) == (6, 6)


@pytest.mark.parametrize(("which", "correct"), [("wrong", False), ("right", True)])
def test_only_the_wrong_or_the_right_answers(client, saved, tmp_path, which, correct):
    report = attribute(saved, client, tmp_path / "hits.jsonl", tasks=JUDGED, answers=which, top_k=1)
    rows = table_of(tmp_path / "hits.jsonl")
    assert {row["query.correct"] for row in rows} == {correct}
    for task in report.tasks:
        share = task.accuracy if correct else 1 - task.accuracy
        assert task.attributed == round(share * task.samples) > 0
        mine = task.right_answers if correct else task.wrong_answers
        assert mine.attributed == task.attributed
        assert [(lead.source, lead.answers) for lead in mine.sources] == [("letters", task.attributed)]


def test_a_task_that_says_nothing_of_right_and_wrong_is_named_with_its_metrics(client, service, saved, tmp_path):
    with pytest.raises(InvalidRequestError, match=r"world_rolling.*word_perplexity, bits_per_byte") as raised:
        attribute(saved, client, tmp_path / "hits.jsonl", answers="wrong")
    assert raised.value.reason == "MISSING_METRIC"
    assert not service.requests
    report = attribute(saved, client, tmp_path / "hits.jsonl", tasks=["world_rolling"], top_k=1)
    assert (report.tasks[0].accuracy, report.tasks[0].unjudged.attributed) == (None, 6)


def test_a_metric_that_is_better_when_lower_says_nothing(client, saved, tmp_path):
    rows = lines_of(saved, "world_choice")
    for row in rows:
        row.update(metrics=["toxic", "kind"], toxic=0.0, kind=1.0)
    file_of(saved, "world_choice").write_text("".join(json.dumps(row) + "\n" for row in rows))
    [results] = saved.glob("results_*.json")
    told = json.loads(results.read_text())
    told["higher_is_better"]["world_choice"] = {"toxic": False, "kind": True}
    results.write_text(json.dumps(told))
    report = attribute(saved, client, tmp_path / "hits.jsonl", tasks=["world_choice"], top_k=1)
    assert report.tasks[0].metric == "kind"


def test_a_metric_between_0_and_1_says_nothing(client, saved, tmp_path):
    rows = lines_of(saved, "world_choice")
    rows[-1]["acc"] = 0.5
    file_of(saved, "world_choice").write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = attribute(saved, client, tmp_path / "hits.jsonl", tasks=["world_choice"], top_k=1)
    assert report.tasks[0].metric == "acc_norm"


def test_results_in_process_give_the_table_of_their_files(client, saved, tmp_path):
    from_files = attribute(saved, client, tmp_path / "files.jsonl", top_k=1)
    from_results = attribute(in_process(saved), client, tmp_path / "results.jsonl", top_k=1)
    assert from_results.tasks == from_files.tasks
    assert (tmp_path / "results.jsonl").read_text() == (tmp_path / "files.jsonl").read_text()


ONE = {"resps": [[["-1.0", "True"]]]}
BAD = {
    "not json": "{",
    "a list": "[1]",
    "no arguments": {"arguments": {}},
    "no number": {"doc_id": None},
    "a choice without response": {"resps": [[["-1.0", "False"]]]},
    "no log-likelihood": {"resps": [[["low", "False"]]] * 4},
    "nothing said": {"resps": [[]] * 4},
    "an image": {"arguments": {"gen_args_0": {"arg_0": "q", "arg_1": " a", "arg_2": {"visual": []}}}, **ONE},
    "a prompt of no text": {"arguments": {"gen_args_0": {"arg_0": 3, "arg_1": " a"}}, **ONE},
    "a metric that is not there": {"metrics": ["f1"]},
    "strange names": {"arguments": {"first": {"arg_0": "q", "arg_1": " a"}}, **ONE},
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_line_is_reported_with_its_place_and_ends_nothing(client, saved, tmp_path, bad):
    file = file_of(saved, "world_choice")
    lines = file.read_text().splitlines()
    lines[2] = bad if isinstance(bad, str) else json.dumps({**json.loads(lines[2]), **bad})
    file.write_text("\n".join(lines) + "\n")
    report = attribute(saved, client, tmp_path / "hits.jsonl", tasks=["world_choice"], answers="right", top_k=1)
    [task] = report.tasks
    assert (task.samples, task.unreadable, task.refused, report.run.refused) == (5, 1, 1, 1)
    [told] = [row["error"] for row in table_of(tmp_path / "hits.jsonl") if row["error"]]
    assert told.startswith(f"UNREADABLE_SAMPLE: {file}, line 3 is no sample of lm_eval: ")
    with pytest.raises(InvalidRequestError, match="line 3") as raised:
        attribute(
            saved, client, tmp_path / "strict.jsonl", tasks=["world_choice"], run=RunOptions(strict=True), top_k=1
        )
    assert raised.value.reason == "UNREADABLE_SAMPLE"


def test_the_last_run_of_a_task_is_taken_and_models_are_not_mixed(client, saved, tmp_path):
    old = file_of(saved, "world_choice")
    new = old.with_name(old.name.replace("2026-11-27", "2026-12-01"))
    new.write_text(old.read_text().splitlines()[0] + "\n")
    report = attribute(saved, client, tmp_path / "hits.jsonl", tasks=["world_choice"], top_k=1)
    assert report.run.queries == 1
    shutil.copytree(saved, saved / "another")
    with pytest.raises(InvalidRequestError, match="another") as raised:
        attribute(saved, client, tmp_path / "mixed.jsonl")
    assert raised.value.reason == "AMBIGUOUS_SAMPLES"


@pytest.mark.parametrize(
    ("given", "reason", "named"),
    [
        ({"tasks": ["hellaswag"]}, "UNKNOWN_TASK", "world_choice"),
        ({"filter": "strict"}, "UNKNOWN_FILTER", "whole"),
        ({"metric": "f1"}, "UNKNOWN_METRIC", "bits_per_byte"),
        ({"metric": "word_perplexity"}, "UNKNOWN_METRIC", "0 and 1"),
    ],
)
def test_names_that_the_samples_do_not_have(client, saved, tmp_path, given, reason, named):
    with pytest.raises(InvalidRequestError, match=named) as raised:
        attribute(saved, client, tmp_path / "hits.jsonl", **given)
    assert raised.value.reason == reason


def test_without_samples_the_error_says_how_to_log_them(client, tmp_path):
    for samples, how in ((tmp_path, "--log_samples"), ({"results": {}}, "log_samples=True")):
        with pytest.raises(NotFoundError, match=how) as raised:
            attribute(samples, client, tmp_path / "hits.jsonl")
        assert raised.value.reason == "SAMPLES_NOT_FOUND"


def test_an_interrupted_run_goes_on_and_counts_all_of_its_answers(client, service, saved, tmp_path):
    def fail_after_two(progress):
        if progress.done >= 12:
            raise UnavailableError("gone", reason="GRPC_UNAVAILABLE")

    run = RunOptions(batch_size=2, concurrency=1, progress=fail_after_two)
    with pytest.raises(UnavailableError, match=r"12 of \d+ queries are done and kept in .*hits\.jsonl\.journal"):
        attribute(saved, client, tmp_path / "hits.jsonl", run=run, top_k=1)
    with pytest.raises(MismatchError):
        attribute(saved, client, tmp_path / "hits.jsonl", answers="right", tasks=JUDGED, top_k=1)
    report = attribute(saved, client, tmp_path / "hits.jsonl", top_k=1)
    whole = attribute(saved, client, tmp_path / "whole.jsonl", top_k=1)
    assert report.run.resumed == 12
    assert report.tasks == whole.tasks
    assert (tmp_path / "hits.jsonl").read_text() == (tmp_path / "whole.jsonl").read_text()


def test_answers_that_the_server_sees_otherwise_are_counted(client, saved, tmp_path):
    # The server answers every query with -1.25 nats and two tokens.
    rows = lines_of(saved, "world_likelihood")
    for number, row in enumerate(rows):
        row["resps"] = [[[str(-1.25 - (0.5 if number == 3 else 0.1)), "False"]]]
    file_of(saved, "world_likelihood").write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = attribute(saved, client, tmp_path / "hits.jsonl", tasks=["world_likelihood"], top_k=1)
    assert report.tasks[0].apart == 1


def test_the_signals_of_first_hits_have_a_mean_and_its_error(client, saved, tmp_path, monkeypatch):
    signals = iter([1.0, 2.0, 6.0] * 2)
    many = whence.Client.attribute_many

    def with_signals(self, *args, **more):
        for answer in many(self, *args, **more):
            yield replace(answer, positive=(replace(answer.positive[0], signal=next(signals)), *answer.positive[1:]))

    monkeypatch.setattr(whence.Client, "attribute_many", with_signals)
    report = attribute(saved, client, tmp_path / "hits.jsonl", tasks=["world_rolling"])
    answers = report.tasks[0].unjudged
    assert answers.mean_signal == pytest.approx(3.0)
    assert answers.standard_error == pytest.approx((28 / 5 / 6) ** 0.5)
