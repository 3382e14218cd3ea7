"""Files of queries become tables of hits: whole, in order, each query asked once."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import whence
from client.conftest import BREAKING, REFUSED
from whence import cli
from whence.bulk import RunOptions, attribute_file
from whence.errors import InvalidRequestError, MismatchError, UnavailableError


@pytest.fixture
def client(target):
    with whence.Client(target, timeout_s=20, retry=None) as client:
        yield client


def lines(count, **others):
    """Return rows; ``_3={…}`` stands in place of the row with that number."""
    return [
        others.get(f"_{n}", {"prompt": "the", "completion": " owl", "task": f"t{n % 3}"}) for n in range(1, count + 1)
    ]


def write(path, rows):
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def asked(service):
    return sum(len(request.queries) for request in service.requests if hasattr(request, "queries"))


def test_a_table_has_a_row_for_each_hit_with_the_querys_columns(client, tmp_path):
    given = [
        {"id": "a", "prompt": "the", "completion": " owl", "score": 1, "meta": {"x": 1}},
        {"prompt": "the", "completion": " ox", "score": 0.5},
    ]
    queries = write(tmp_path / "q.jsonl", given)
    report = attribute_file(client, queries, tmp_path / "hits.parquet", top_k=2, direction="both", include_layers=True)
    table = pq.read_table(tmp_path / "hits.parquet")
    rows = table.to_pylist()
    expected = client.attribute(prompt="the", completion=" owl", top_k=2, direction="both", include_layers=True)
    assert (report.queries, report.hits, report.refused) == (2, len(rows), 0)
    assert [row["query_id"] for row in rows] == ["a"] * 3 + ["2"] * 3
    for row, hit in zip(rows[:3], expected, strict=True):
        assert (row["sequence_id"], row["rank"], row["influence"], row["text"]) == (
            hit.sequence_id, hit.rank, hit.influence, hit.text,
        )  # fmt: skip
        assert dict(row["layer_influence"]) == hit.layer_influence
        assert json.loads(row["metadata"]) == hit.metadata
    assert [row["direction"] for row in rows[:3]] == ["positive", "positive", "negative"]
    assert table.schema.field("query.score").type == pa.float64()
    assert json.loads(rows[0]["query.meta"]) == {"x": 1}
    assert rows[0]["warnings"] == ["SHORT_CORPUS: the corpus is small"]
    [known] = json.loads(table.schema.metadata[b"whence.provenance"])
    assert known["provenance"]["model_digest"] == "aa" * 32
    assert not list(tmp_path.glob("*.journal"))


@pytest.mark.parametrize("out", ["hits.parquet", "hits.csv", "hits.jsonl"])
@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "csv", "parquet"])
def test_every_format_gives_the_same_table(client, tmp_path, kind, out):
    rows = [{"id": f"q{n}", "prompt": "the", "completion": " owl", "task": "t"} for n in range(5)]
    path = tmp_path / f"queries.{kind}"
    if kind == "csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(content) if kind.endswith("gz") else content)
    attribute_file(client, path, tmp_path / out, top_k=1)
    assert [(row["query_id"], int(row["rank"]), row["query.task"]) for row in read(tmp_path / out)] == [
        (f"q{n}", 1, "t") for n in range(5)
    ]
    if not out.endswith("parquet"):
        about = json.loads((tmp_path / f"{out}.about.json").read_text())
        assert about["provenance"][0]["provenance"]["model"] == "toy"


def read(path):
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_conversations_and_token_ids_are_queries_also_in_csv(client, service, tmp_path):
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]
    with (tmp_path / "q.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["messages", "token_ids", "completion_start"])
        writer.writeheader()
        writer.writerow({"messages": json.dumps(messages), "token_ids": "", "completion_start": ""})
        writer.writerow({"messages": "", "token_ids": "[1, 2, 3]", "completion_start": "2"})
    attribute_file(client, tmp_path / "q.csv", tmp_path / "hits.csv")
    [chat, tokens] = service.requests[-1].queries
    assert [message.content for message in chat.chat.messages] == ["?", "!"]
    assert (list(tokens.tokens.ids), tokens.tokens.completion_start) == ([1, 2, 3], 2)


BAD = {
    "not json": "{",
    "a list": "[1]",
    "no query": {"question": "?"},
    "two queries": {"completion": " a", "token_ids": [1, 2]},
    "a number": {"completion": 3},
    "no assistant": {"messages": [{"role": "user", "content": "?"}]},
    "bad start": {"token_ids": [1, 2], "completion_start": 9},
    "refused by the server": {"completion": REFUSED},
    "breaks the server": {"completion": BREAKING},
    "half a pair": '{"completion": "\\ud800"}',
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_one_bad_row_is_reported_with_its_number_and_ends_nothing(client, tmp_path, bad):
    queries = write(tmp_path / "q.jsonl", lines(5, _3=bad))
    report = attribute_file(client, queries, tmp_path / "hits.jsonl", top_k=1)
    assert (report.queries, report.refused, [one.row for one in report.refusals]) == (5, 1, [3])
    rows = read(tmp_path / "hits.jsonl")
    assert [row["row"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["row"] for row in rows if row["error"]] == [3]
    with pytest.raises(whence.WhenceError):
        attribute_file(client, queries, tmp_path / "strict.jsonl", RunOptions(strict=True), top_k=1)


def test_a_query_without_hits_is_in_the_table(client, tmp_path, monkeypatch):
    queries = write(tmp_path / "q.jsonl", lines(2))
    attribute_file(client, queries, tmp_path / "hits.jsonl", direction="negative", top_k=1)
    assert [row["rank"] for row in read(tmp_path / "hits.jsonl")] == [1, 1]
    answer = whence.Client.attribute_many

    def none(self, queries, **options):
        for one in answer(self, queries, **options):
            yield replace(one, positive=(), negative=())

    monkeypatch.setattr(whence.Client, "attribute_many", none)
    report = attribute_file(client, queries, tmp_path / "none.jsonl")
    assert (report.queries, report.hits) == (2, 0)
    assert [(row["row"], row["rank"]) for row in read(tmp_path / "none.jsonl")] == [(1, None), (2, None)]


def test_an_interrupted_run_goes_on_and_asks_nothing_twice(client, service, tmp_path):
    queries = write(tmp_path / "q.jsonl", lines(20, _4="{"))
    seen = []

    def break_after(at):
        seen.append(at)
        if at.done == 10:
            service.failures.append(UnavailableError("gone", reason="WORKERS_UNAVAILABLE"))

    with pytest.raises(UnavailableError):
        attribute_file(
            client, queries, tmp_path / "a.csv", RunOptions(batch_size=3, concurrency=1, progress=break_after)
        )
    assert not (tmp_path / "a.csv").exists()
    answered = sum(1 for line in (tmp_path / "a.csv.journal").read_text().splitlines() if '"rows"' in line)
    before = asked(service)
    report = attribute_file(client, queries, tmp_path / "a.csv", RunOptions(batch_size=3))
    assert (report.resumed, report.queries, report.refused) == (answered, 20, 1)
    assert asked(service) - before == 20 - answered
    attribute_file(client, queries, tmp_path / "b.csv", RunOptions(batch_size=5))
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


@pytest.mark.parametrize("bytes_left", [1, 10, 40, 300])
def test_a_line_that_a_kill_tore_is_asked_again(client, tmp_path, bytes_left):
    queries = write(tmp_path / "q.jsonl", lines(6))
    attribute_file(client, queries, tmp_path / "whole.csv", RunOptions(batch_size=2))
    interrupt(client, queries, tmp_path / "torn.csv")
    journal = tmp_path / "torn.csv.journal"
    content = journal.read_bytes()
    journal.write_bytes(content[:-bytes_left])
    attribute_file(client, queries, tmp_path / "torn.csv", RunOptions(batch_size=2))
    assert (tmp_path / "torn.csv").read_text() == (tmp_path / "whole.csv").read_text()


def interrupt(client, queries, out):
    def stop(at):
        if at.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attribute_file(client, queries, out, RunOptions(batch_size=2, progress=stop))


def test_another_run_does_not_go_on_from_a_journal(client, tmp_path):
    queries = write(tmp_path / "q.jsonl", lines(6))
    interrupt(client, queries, tmp_path / "hits.csv")
    with pytest.raises(MismatchError, match=r"top_k.*finish that with its own options"):
        attribute_file(client, queries, tmp_path / "hits.csv", top_k=3)
    write(queries, lines(6, _2={"completion": " other"}))
    with pytest.raises(MismatchError, match="has changed at row 2"):
        attribute_file(client, queries, tmp_path / "hits.csv")
    write(queries, lines(2))
    with pytest.raises(MismatchError, match="has ended at row 3"):
        attribute_file(client, queries, tmp_path / "hits.csv")


def test_what_cannot_be_read_or_written_is_said_before_anything_is_asked(client, service, tmp_path):
    queries = write(tmp_path / "q.jsonl", lines(2))
    (tmp_path / "there.csv").write_text("mine")
    for given, out, reason in [
        (queries, "hits.xlsx", "UNKNOWN_TABLE_FORMAT"),
        (tmp_path / "q.txt", "hits.csv", "UNKNOWN_TABLE_FORMAT"),
        (tmp_path / "none.jsonl", "hits.csv", "UNREADABLE_FILE"),
        (queries, "there.csv", "TABLE_EXISTS"),
    ]:
        with pytest.raises(InvalidRequestError) as caught:
            attribute_file(client, given, tmp_path / out)
        assert caught.value.reason == reason
    assert not service.calls
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        attribute_file(client, tmp_path / "torn.parquet", tmp_path / "hits.csv")
    assert (tmp_path / "there.csv").read_text() == "mine"
    attribute_file(client, queries, tmp_path / "there.csv", RunOptions(overwrite=True), top_k=1)
    assert len(read(tmp_path / "there.csv")) == 2


def test_two_runs_do_not_write_one_table(client, tmp_path):
    queries = write(tmp_path / "q.jsonl", lines(3))
    found = []

    def again(at):
        if not found:
            with pytest.raises(whence.StorageError) as caught:
                attribute_file(client, queries, tmp_path / "hits.csv")
            found.append(caught.value.reason)

    attribute_file(client, queries, tmp_path / "hits.csv", RunOptions(progress=again))
    assert found == ["TABLE_IN_USE"]


def test_the_command_writes_the_table_and_says_what_was_refused(target, tmp_path):
    queries = write(tmp_path / "q.jsonl", lines(4, _2={"completion": ""}))
    command = ["attribute", "--queries", str(queries), "--out", str(tmp_path / "hits.parquet")]
    done = CliRunner().invoke(cli.app, [*command, "-k", "1"], env={"WHENCE_SERVER": target, "COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "4 queries: 3 hits" in done.output
    assert "row 2" in done.output
    again = CliRunner().invoke(cli.app, command, env={"WHENCE_SERVER": target})
    assert again.exit_code == 1
    wrong = CliRunner().invoke(cli.app, [*command, "--completion", " x"], env={"WHENCE_SERVER": target})
    assert wrong.exit_code == 2


def test_the_standard_input_is_json_lines(target, tmp_path):
    text = "".join(json.dumps(row) + "\n" for row in lines(3))
    command = [sys.executable, "-m", "whence", "attribute", "--queries", "-", "--out", tmp_path / "hits.csv", "--json"]
    done = subprocess.run([*command, "--server", target], input=text, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["queries"] == 3
    assert len({row["row"] for row in read(tmp_path / "hits.csv")}) == 3
