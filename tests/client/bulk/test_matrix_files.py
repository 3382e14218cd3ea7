"""Files of queries and of sequences become a matrix of scores."""

from __future__ import annotations

import csv
import json

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import whence
from whence import cli
from whence.bulk import attribute_file
from whence.bulk.matrix import score_files
from whence.errors import InvalidRequestError


@pytest.fixture
def client(target):
    with whence.Client(target, timeout_s=20, retry=None) as client:
        yield client


@pytest.fixture
def queries(tmp_path):
    path = tmp_path / "queries.jsonl"
    path.write_text("".join(json.dumps({"id": f"q{n}", "completion": f" owl {n}"}) + "\n" for n in range(20)))
    return path


def test_the_hits_of_a_table_are_scored_against_every_query(client, queries, tmp_path):
    attribute_file(client, queries, tmp_path / "hits.parquet", direction="both")
    table = score_files(client, queries, tmp_path / "hits.parquet", tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["query_id", "letters/durrow-1#0", "encyclopedia/durrow-2#0", "almanac/feast-of-owls-1#3"]
    assert [row[0] for row in rows] == [f"q{n}" for n in range(20)]
    assert [[float(value) for value in row[1:]] for row in rows] == [list(row) for row in table.influence]
    assert table.query_ids == tuple(f"q{n}" for n in range(20))


@pytest.mark.parametrize("name", ["scores.parquet", "scores.jsonl"])
def test_pairs_have_a_row_each(client, queries, tmp_path, name):
    (tmp_path / "texts.jsonl").write_text('{"text": "Brelary"}\n{"text": "rain"}\n{"text": "Brelary"}\n')
    table = score_files(client, queries, tmp_path / "texts.jsonl", tmp_path / name)
    path = tmp_path / name
    rows = (
        pq.read_table(path).to_pylist()
        if name.endswith("parquet")
        else list(map(json.loads, path.read_text().splitlines()))
    )
    assert [row["influence"] for row in rows] == [value for row in table.influence for value in row]
    assert [row["sequence_id"] for row in rows[:2]] == ["text 1", "text 2"]
    assert len(rows) == 40


@pytest.mark.parametrize("sequences", ["", '{"name": "a"}\n', "{\n", '{"text": ""}\n'])
def test_files_without_sequences_are_refused_before_any_call(client, service, queries, tmp_path, sequences):
    (tmp_path / "s.jsonl").write_text(sequences)
    with pytest.raises(InvalidRequestError):
        score_files(client, queries, tmp_path / "s.jsonl", tmp_path / "scores.csv")
    (tmp_path / "bad.jsonl").write_text('{"question": "?"}\n')
    with pytest.raises(InvalidRequestError, match="row 1"):
        score_files(client, tmp_path / "bad.jsonl", tmp_path / "s.jsonl", tmp_path / "scores.csv")
    assert not service.calls


def test_the_command_writes_the_matrix(target, queries, tmp_path):
    (tmp_path / "s.csv").write_text("sequence_id\nletters/durrow-1#0\n")
    command = ["scores", "--queries", queries, "--sequences", tmp_path / "s.csv", "--out", tmp_path / "out.csv"]
    done = CliRunner().invoke(cli.app, list(map(str, command)), env={"WHENCE_SERVER": target, "COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "20 queries by 1 sequences" in done.output
    assert CliRunner().invoke(cli.app, list(map(str, command)), env={"WHENCE_SERVER": target}).exit_code == 1
