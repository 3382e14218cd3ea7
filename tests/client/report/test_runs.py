"""Whole runs: sums over sources, tasks and sequences, the first queries in full, the others as rows."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import whence
from client.conftest import REFUSED
from client.report.conftest import HOSTILE, QUESTION, judged
from client.report.test_page import check
from whence import cli, report
from whence.report.runs.summary import Column, Summary


def page_of(path, **options):
    return report.html(report.read([path]).results, **options)


def with_signals(path, signals):
    """Give the hits of a table in JSON Lines a signal by their query and sequence: (signal, significance)."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        signal, significance = signals.get((row["query_id"], row["sequence_id"]), (0.25, 0.6))
        if row["rank"] is not None:
            row.update(signal=signal, significance=significance)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def summed(path):
    [run] = report.read([path]).results
    summary = Summary()
    for query in run.queries():
        summary.see(query)
    return summary


ROWS = [judged("choice", True, 0), judged("choice", False, 1), judged("choice", False, 2), judged("generate", True, 0)]
LETTERS, ENCYCLOPEDIA = "letters/durrow-1#0", "encyclopedia/durrow-2#0"


@pytest.fixture
def run(table):
    path = table(ROWS)
    return with_signals(path, {
        ("choice/0", LETTERS): (2.0, 0.99),
        ("choice/1", LETTERS): (4.0, 0.97),
        ("choice/2", LETTERS): (-1.0, 0.5),
        ("choice/1", ENCYCLOPEDIA): (1.0, 0.96),
        ("choice/2", ENCYCLOPEDIA): (3.0, 0.96),
    })  # fmt: skip


def test_signals_are_summed_by_source_task_and_verdict(run):
    summary = summed(run)
    wrong = Column(task="choice", correct=False)
    assert summary.over(["letters"], [wrong]).signal == 3.0
    assert summary.over(["encyclopedia"], [wrong]).signal == 4.0
    assert summary.over(["letters"], [wrong]).hits == 2
    assert summary.over(["letters"], [Column(task="choice", correct=True)]).signal == 2.0
    assert [(column.task, column.correct) for column in summary.columns()] == [
        ("choice", True), ("choice", False), ("generate", True),
    ]  # fmt: skip


def test_the_leading_sequences_are_those_told_from_noise_in_most_failures(run):
    first, second, *_ = summed(run).leading(5)
    assert (first.sequence_id, first.of(False).significant) == (ENCYCLOPEDIA, 2)
    assert (second.sequence_id, second.of(False).significant, second.of(True).significant) == (LETTERS, 1, 1)


def test_a_run_is_told_in_sums_and_in_queries(run):
    page = check(page_of(run))
    for words in (
        "Sources behind right and wrong answers", "Which sources help and hurt which tasks", "2 of 4",
        "The most influential sequences over all failures", "choice, wrong (2)", "+4 nats", "wrong answer",
        "Only listed hits count", "The corpus is small", "batches with 4 answers",
    ):  # fmt: skip
        assert words in page.text
    assert page.text.count("Brelary, an old town") >= 4


def test_of_a_long_run_the_first_queries_are_in_full_and_the_others_rows(run):
    page = check(page_of(run, full=1))
    assert "The other 3 queries" in page.text
    assert page.ids == ["results", "r1", "r2", "r3", "provenance"]
    assert "choice/2" in page.text


def test_a_run_of_outputs_that_nobody_judged(table):
    path = with_signals(table([{"id": "a", **QUESTION}, {"id": "b", **QUESTION}]), {})
    page = check(page_of(path))
    assert "The most influential sequences over all outputs" in page.text
    assert "does not say which outputs were wrong" in page.text
    assert "Sources behind right" not in page.text


def test_without_signals_hits_are_counted_and_nothing_is_summed(table):
    page = check(page_of(table(ROWS)))
    assert "No hit has a signal" in page.text
    assert "nats, " not in page.text.partition("Which sources")[2].partition("The most influential")[0]


def test_warnings_of_a_batch_are_said_once_and_noise_begins_for_each_query(run):
    page = check(page_of(run))
    assert page.text.count("The corpus is small") == 1
    assert page.text.count("from here on nothing is told from noise") == 1
    assert page.text.count("all hits above are told from noise") == 1


def test_the_queries_of_a_table_are_shown_where_their_file_is_given(table, tmp_path):
    inputs = report.with_queries(report.read([table(ROWS)]), tmp_path / "queries.jsonl")
    assert check(report.html(inputs.results, full=2)).text.count("The capital of Durrow is") == 2


def test_queries_of_another_run_are_refused(table, results, tmp_path):
    inputs = report.read([table(ROWS)])
    (tmp_path / "other.jsonl").write_text(json.dumps({"id": "other", **QUESTION}))
    with pytest.raises(whence.MismatchError, match="row 1 of the queries is 'other'") as caught:
        report.html(report.with_queries(inputs, tmp_path / "other.jsonl").results)
    assert caught.value.reason == "JOB_MISMATCH"
    (tmp_path / "answer").write_text(results["scores"].to_json())
    with pytest.raises(whence.InvalidRequestError, match="with 0 tables") as caught:
        report.with_queries(report.read([tmp_path / "answer"]), tmp_path / "other.jsonl")
    assert caught.value.reason == "AMBIGUOUS_QUERIES"


def test_refused_queries_are_counted_and_named(table):
    page = check(page_of(table([{"id": "a", **QUESTION}, {"id": "bad", "prompt": "a", "completion": REFUSED}, {}])))
    assert "2 refused" in page.text
    assert "EMPTY_COMPLETION" in page.text
    assert "INVALID_QUERIES: row 3" in page.text


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_every_format_of_a_table_makes_the_same_page(table, tmp_path, kind):
    rows = [{**row, "metrics": {"acc": 1}} for row in ROWS]
    pages = []
    for name in ("hits.jsonl", f"hits.{kind}"):
        path = table(rows, name, include_layers=True, include_tokens=True)
        pages.append(page_of(path).replace(name, "hits"))
    assert pages[0] == pages[1]
    assert "aa" * 32 in pages[0]


def test_a_table_is_known_by_what_it_holds(table, tmp_path):
    for kind in ("jsonl", "csv", "parquet"):
        path = table(ROWS, f"hits.{kind}").rename(tmp_path / f"{kind}.txt")
        assert "4" in check(page_of(path)).text


def test_a_folder_is_read_and_what_is_no_result_is_passed_over(results, table, tmp_path):
    table(ROWS, "hits.csv")
    (tmp_path / "answer.json").write_text(results["attribution"].to_json())
    (tmp_path / "notes.txt").write_text("nothing")
    inputs = report.read([tmp_path])
    assert len(inputs.results) == 2
    assert [path.name for path in inputs.passed_over] == ["notes.txt", "queries.jsonl"]


def test_hostile_columns_are_text(table):
    row = {"id": HOSTILE, **QUESTION, "task": HOSTILE, "answer": HOSTILE, "correct": False, HOSTILE: HOSTILE}
    path = table([row])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        line.update(source=HOSTILE, text=HOSTILE, sequence_id=HOSTILE, warnings=[HOSTILE], signal=1.0, significance=1.0)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    check(page_of(path))


@pytest.mark.parametrize(
    "change",
    [
        {"row": None},
        {"rank": "first"},
        {"influence": "much"},
        {"metadata": "{"},
        {"tokens": [{"text": "a"}]},
        {"layer_influence": {"a": "b"}},
        {"rank": 1, "text": 5},
    ],
)
def test_a_damaged_row_is_named(table, change):
    path = table(ROWS)
    first, *others = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps({**json.loads(first), **change}), *others]))
    with pytest.raises(whence.InvalidRequestError, match="row 1 of hits") as caught:
        page_of(path)
    assert caught.value.reason == "UNREADABLE_RESULT"


@pytest.fixture
def command(tmp_path):
    def run(*arguments):
        return CliRunner().invoke(cli.app, ["report", *map(str, arguments), "--out", str(tmp_path / "report.html")])

    return run


def test_the_command_writes_a_page_and_says_how_large_it_is(command, results, table, tmp_path):
    (tmp_path / "answer").write_text(results["attribution"].to_json())
    done = command(tmp_path / "answer", table(ROWS), "--title", "What went wrong")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("6 sections in")
    assert "<title>What went wrong</title>" in (tmp_path / "report.html").read_text()


def test_the_command_says_what_it_passes_over(command, results, tmp_path):
    (tmp_path / "answer.json").write_text(results["scores"].to_json())
    (tmp_path / "notes").write_text("nothing")
    assert "passed over" in command(tmp_path).stderr


OTHERS = {
    "not there": (None, "INPUT_NOT_FOUND"),
    "prose": (b"Dear Greta,", "UNREADABLE_RESULT"),
    "another table": (b"a,b\n1,2\n", "UNREADABLE_RESULT"),
    "a picture": (b"\x89PNG\r\n\x1a\n", "UNREADABLE_RESULT"),
    "of a later version": (b'{"kind": "attributions", "version": 9, "attributions": []}', "UNSUPPORTED_RESULT"),
    "empty": (b"", "UNREADABLE_RESULT"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_that_is_something_else_is_refused(command, tmp_path, name):
    content, reason = OTHERS[name]
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    done = command(tmp_path / "file")
    assert done.exit_code == 1
    assert reason in done.stderr
    assert not (tmp_path / "report.html").exists()


def test_another_parquet_file_is_refused(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(whence.InvalidRequestError, match="no table of hits: it has the columns a"):
        report.read([tmp_path / "a.parquet"])


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(whence.NotFoundError, match="no result among its 0 files"):
        report.read([tmp_path])


def test_a_report_is_not_written_over_a_table(results, tmp_path):
    (tmp_path / "answer").write_text(results["attribution"].to_json())
    arguments = ["report", str(tmp_path / "answer"), "--out", str(tmp_path / "hits.parquet")]
    assert CliRunner().invoke(cli.app, arguments).exit_code == 2
