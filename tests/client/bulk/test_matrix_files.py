"""Two files become a matrix of scores: whole, in order, each block asked once."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import whence
from client.conftest import REFUSED, wait_for
from whence import Query, cli
from whence.bulk import RunOptions, attribute_file
from whence.bulk.matrix import score_files
from whence.errors import InvalidRequestError, MismatchError, UnavailableError
from whence.v1 import attribution_service_pb2


@pytest.fixture
def client(target):
    with whence.Client(target, timeout_s=20, retry=None) as client:
        yield client


@pytest.fixture
def queries(tmp_path):
    return write(tmp_path / "queries.jsonl", [{"id": f"q{n}", "completion": f" owl {n}"} for n in range(20)])


@pytest.fixture
def texts(tmp_path):
    """150 texts: with the queries, six blocks of what the canned model takes."""
    return write(tmp_path / "texts.jsonl", [{"text": text_of(n)} for n in range(150)])


def text_of(n):
    return f"{'Brelary ' * (n % 5)}and {n}"


def write(path, rows):
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def read(path):
    """Return the header and the lines of a matrix in CSV, fields without a score as None."""
    with path.open(newline="") as file:
        head, *rows = csv.reader(file)
    return head, {row[0]: [float(value) if value else None for value in row[1:]] for row in rows}


def asked(service):
    """Return the first query's id and the first sequence's text of each block that was asked."""
    scores = [one for one in service.requests if isinstance(one, attribution_service_pb2.ScoreRequest)]
    return [(one.queries[0].query_id, one.sequences[0].text) for one in scores]


def test_the_hits_of_a_table_are_scored_against_every_query(client, queries, tmp_path):
    attribute_file(client, queries, tmp_path / "hits.parquet", direction="both")
    report = score_files(client, queries, tmp_path / "hits.parquet", tmp_path / "scores.csv")
    head, rows = read(tmp_path / "scores.csv")
    names = ["letters/durrow-1#0", "encyclopedia/durrow-2#0", "almanac/feast-of-owls-1#3"]
    expected = client.score([Query.text("", " owl")], sequence_ids=names).influence[0]
    assert head == ["query_id", *names]
    assert rows == {f"q{n}": list(expected) for n in range(20)}
    assert (report.queries, report.sequences, report.scores, report.refused) == (20, 3, 60, 0)
    about = json.loads((tmp_path / "scores.csv.about.json").read_text())
    assert about["provenance"]["model_digest"] == report.provenance.model_digest == "aa" * 32
    assert not (tmp_path / "scores.csv.journal").exists()


def test_it_is_the_matrix_of_the_client(client, queries, texts, tmp_path):
    report = score_files(client, queries, texts, tmp_path / "scores.csv")
    whole = client.score_matrix(
        [Query.text("", f" owl {n}") for n in range(20)], texts=[text_of(n) for n in range(150)]
    )
    head, rows = read(tmp_path / "scores.csv")
    assert head[1:] == whole.sequence_names
    assert list(rows.values()) == [list(row) for row in whole.influence]
    assert report.warnings == whole.warnings


@pytest.mark.parametrize("name", ["scores.parquet", "scores.jsonl"])
def test_pairs_have_a_row_each(client, queries, tmp_path, name):
    texts = write(tmp_path / "texts.jsonl", [{"text": "Brelary"}, {"text": "rain"}, {"text": "Brelary"}])
    score_files(client, queries, texts, tmp_path / name)
    path = tmp_path / name
    parquet = name.endswith("parquet")
    rows = pq.read_table(path).to_pylist() if parquet else list(map(json.loads, path.read_text().splitlines()))
    expected = client.score([Query.text("", " owl")], texts=["Brelary", "rain"]).influence[0]
    assert [row["influence"] for row in rows] == [*expected] * 20
    assert [row["sequence_id"] for row in rows[:2]] == ["text 1", "text 2"]
    if parquet:
        assert json.loads(pq.read_schema(path).metadata[b"whence.provenance"])["model"] == "toy"


@pytest.mark.parametrize("sequences", ["", '{"name": "a"}\n', "{\n", '{"text": ""}\n'])
def test_files_without_sequences_are_refused_before_any_call(client, service, queries, tmp_path, sequences):
    (tmp_path / "s.jsonl").write_text(sequences)
    with pytest.raises(InvalidRequestError):
        score_files(client, queries, tmp_path / "s.jsonl", tmp_path / "scores.csv")
    (tmp_path / "bad.jsonl").write_text('{"question": "?"}\n')
    with pytest.raises(InvalidRequestError, match="row 1"):
        score_files(client, tmp_path / "bad.jsonl", tmp_path / "s.jsonl", tmp_path / "scores.csv")
    assert not service.calls


# What is wrong with the third of five queries, and with the second of three sequences.
BAD_QUERIES = {"no query": {"question": "?"}, "refused": {"id": "bad", "completion": REFUSED}, "not json": "{"}
BAD_SEQUENCES = {
    "no sequence": {"name": "x"}, "refused": {"text": REFUSED}, "unknown": {"sequence_id": "nowhere#0"}, "a list": "[1]"
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD_QUERIES.values(), ids=BAD_QUERIES)
def test_one_bad_query_is_reported_with_its_row_and_has_no_scores(client, tmp_path, bad):
    good = [{"id": f"q{n}", "completion": f" owl {n}"} for n in range(4)]
    queries = write(tmp_path / "q.jsonl", [*good[:2], bad, *good[2:]])
    texts = write(tmp_path / "t.jsonl", [{"text": text_of(n)} for n in range(3)])
    report = score_files(client, queries, texts, tmp_path / "scores.csv")
    [refusal] = report.refusals
    assert (refusal.row, refusal.file, report.scores) == (3, str(queries), 12)
    rows = list(read(tmp_path / "scores.csv")[1].values())
    assert rows[2] == [None] * 3
    assert None not in rows[1] + rows[3]
    with pytest.raises(InvalidRequestError, match="row 3"):
        score_files(client, queries, texts, tmp_path / "strict.csv", RunOptions(strict=True))


@pytest.mark.parametrize("bad", BAD_SEQUENCES.values(), ids=BAD_SEQUENCES)
def test_one_bad_sequence_is_reported_with_its_row_and_has_no_scores(client, queries, tmp_path, bad):
    given = write(tmp_path / "s.jsonl", [{"text": "one"}, bad, {"text": "two"}])
    report = score_files(client, queries, given, tmp_path / "scores.csv")
    [refusal] = report.refusals
    assert (refusal.row, refusal.file, report.scores) == (2, str(given), 40)
    for values in read(tmp_path / "scores.csv")[1].values():
        assert sum(value is None for value in values) == 1
    with pytest.raises(InvalidRequestError, match="row 2"):
        score_files(client, queries, given, tmp_path / "strict.csv", RunOptions(strict=True))


def test_where_the_server_refuses_all_nothing_is_written(client, queries, tmp_path):
    texts = write(tmp_path / "t.jsonl", [{"text": REFUSED}])
    with pytest.raises(InvalidRequestError, match=r"row 1 of .*t\.jsonl is bad.*Nothing else was left"):
        score_files(client, queries, texts, tmp_path / "scores.csv")
    assert not (tmp_path / "scores.csv").exists()


def interrupt(client, service, queries, texts, out, blocks=3):
    """Run until so many blocks are done, then lose the server."""

    def gone(at):
        if at.done and len(asked(service)) == blocks:
            service.failures.append(UnavailableError("gone", reason="GRPC_UNAVAILABLE"))

    with pytest.raises(UnavailableError) as raised:
        score_files(client, queries, texts, out, RunOptions(concurrency=1, progress=gone))
    return raised.value


def test_an_interrupted_matrix_goes_on_and_asks_for_no_block_twice(client, service, queries, texts, tmp_path):
    error = interrupt(client, service, queries, texts, tmp_path / "a.csv")
    assert "2,400 of 3,000 scores are done and kept in" in error.message
    assert error.details["journal"] == str(tmp_path / "a.csv.journal")
    assert len(asked(service)) == 3
    report = score_files(client, queries, texts, tmp_path / "a.csv")
    assert (report.resumed, report.scores) == (2400, 3000)
    assert len(asked(service)) == len(set(asked(service))) == 6
    score_files(client, queries, texts, tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


@pytest.mark.parametrize("bytes_left", [1, 10, 40, 300])
def test_a_block_that_a_kill_tore_is_asked_again(client, service, queries, texts, tmp_path, bytes_left):
    interrupt(client, service, queries, texts, tmp_path / "a.csv")
    journal = tmp_path / "a.csv.journal"
    journal.write_bytes(journal.read_bytes()[:-bytes_left])
    score_files(client, queries, texts, tmp_path / "a.csv")
    score_files(client, queries, texts, tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


class FirstBlockFails(whence.Client):
    """A client that loses the first block once the five others are in the journal."""

    journal = None

    def score_matrix(self, queries, **options):
        if queries[0].query_id == "q0" and options["texts"][0] == text_of(0):
            wait_for(self.journal, '"influence"', 5)
            raise UnavailableError("gone", reason="WORKERS_UNAVAILABLE")
        return super().score_matrix(queries, **options)


def test_a_block_is_kept_although_one_before_it_is_not_done(client, target, service, queries, texts, tmp_path):
    failing = FirstBlockFails(target, timeout_s=20)
    failing.journal = tmp_path / "a.csv.journal"
    with failing, pytest.raises(UnavailableError, match=r"1,976 of 3,000"):
        score_files(failing, queries, texts, tmp_path / "a.csv", RunOptions(concurrency=6))
    assert len(asked(service)) == 5
    score_files(client, queries, texts, tmp_path / "a.csv")
    assert asked(service)[5:] == [("q0", text_of(0))]
    score_files(client, queries, texts, tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


def test_another_run_does_not_go_on_from_a_journal(client, service, queries, texts, tmp_path):
    out = tmp_path / "a.csv"
    interrupt(client, service, queries, texts, out)
    with pytest.raises(MismatchError, match=r"damping_factor was None and is 0\.5"):
        score_files(client, queries, texts, out, damping_factor=0.5)
    other = write(tmp_path / "other.jsonl", [{"completion": " owl"}])
    with pytest.raises(MismatchError, match=r"queries was .*queries\.jsonl' and is .*other\.jsonl"):
        score_files(client, other, texts, out)
    texts.write_text(texts.read_text().replace("and 7", "and seven"))
    with pytest.raises(MismatchError, match="sequences_digest was") as raised:
        score_files(client, queries, texts, out)
    assert raised.value.reason == "JOB_MISMATCH"


def test_blocks_of_another_model_are_not_joined(client, service, queries, texts, tmp_path):
    interrupt(client, service, queries, texts, tmp_path / "a.csv")
    done = (tmp_path / "a.csv.journal").read_text()
    service.corpus_digests = iter(["dd" * 32] * 3)
    with pytest.raises(MismatchError, match=r"corpus_digest was 'cccc.*' and is 'dddd") as raised:
        score_files(client, queries, texts, tmp_path / "a.csv")
    assert raised.value.reason == "JOB_MISMATCH"
    assert (tmp_path / "a.csv.journal").read_text() == done


def test_it_goes_on_where_the_server_takes_other_blocks_now(client, service, queries, texts, tmp_path):
    interrupt(client, service, queries, texts, tmp_path / "a.csv")
    service.models[0].limits.max_queries = 3
    service.models[0].limits.max_score_sequences = 50
    report = score_files(client, queries, texts, tmp_path / "a.csv")
    assert (report.resumed, report.scores) == (2400, 3000)
    whole = client.score_matrix([Query.text("", " owl")], texts=[text_of(n) for n in range(150)])
    assert list(read(tmp_path / "a.csv")[1].values()) == [list(whole.influence[0])] * 20


def test_the_command_writes_the_matrix(target, queries, tmp_path):
    (tmp_path / "s.csv").write_text("sequence_id\nletters/durrow-1#0\nnowhere\n")
    command = ["scores", "--queries", queries, "--sequences", tmp_path / "s.csv", "--out", tmp_path / "out.csv"]
    done = CliRunner().invoke(cli.app, list(map(str, command)), env={"WHENCE_SERVER": target, "COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "20 queries by 2 sequences: 20 scores" in done.output
    assert f"row 2 of {tmp_path / 's.csv'}, nowhere: no sequence nowhere" in done.output.replace("\n", "")
    assert CliRunner().invoke(cli.app, list(map(str, command)), env={"WHENCE_SERVER": target}).exit_code == 1
    arguments = [*map(str, command), "--overwrite", "--json"]
    report = json.loads(CliRunner().invoke(cli.app, arguments, env={"WHENCE_SERVER": target}).stdout)
    assert (report["queries"], report["scores"], report["refused"]) == (20, 20, 1)


def test_the_command_names_the_row_of_what_was_refused_once(target, tmp_path):
    queries = write(tmp_path / "q.jsonl", [{"completion": " owl"}, {"question": "?"}, {"completion": REFUSED}])
    given = write(tmp_path / "s.jsonl", [{"text": "one"}, {"name": "x"}])
    command = ["scores", "--queries", queries, "--sequences", given, "--out", tmp_path / "out.csv", "--server", target]
    done = CliRunner().invoke(cli.app, list(map(str, command)), env={"COLUMNS": "300"})
    assert f"  {queries}: row 2 is no query" in done.output
    assert f"  row 3 of {queries} is bad" in done.output
    assert f"  row 2 of {given} has neither" in done.output


def test_ctrl_c_ends_the_command_with_130_and_the_way_on(target, service, queries, texts, tmp_path):
    service.hold_from = 3
    out = tmp_path / "out.csv"
    command = ["scores", "--queries", queries, "--sequences", texts, "--out", out, "--server", target]
    process = subprocess.Popen(
        [sys.executable, "-m", "whence", *map(str, command), "--concurrency", "1"], stderr=subprocess.PIPE, text=True
    )
    assert service.held.wait(20)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Interrupted. 2,400 of 3,000 scores are done" in said.replace("\n", " ")
    service.over.set()
    assert CliRunner().invoke(cli.app, list(map(str, command))).exit_code == 0
    assert len(read(out)[1]) == 20
