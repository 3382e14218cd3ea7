"""`whence contamination`: items and their evidence become a table of scores, set against the clean ones."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import whence
from client.conftest import REFUSED
from whence import cli
from whence.bulk import RunOptions
from whence.contamination import contamination_file
from whence.errors import ForbiddenError, InvalidRequestError, MismatchError
from whence.v1 import attribution_pb2

# Of the canned service's texts each has its own word, and all influences are the same.
FOUND, NOWHERE = {"completion": " Brelary"}, {"completion": " nowhere"}


@pytest.fixture
def client(target):
    with whence.Client(target, timeout_s=20, retry=None) as client:
        yield client


@pytest.fixture(autouse=True)
def _noise(service):
    service.noise = attribution_pb2.Noise(scale=0.001, degrees_of_freedom=3.0, sequences=100)


def write(path, *rows):
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_item_stands_out_among_clean_ones(client, tmp_path):
    items = write(tmp_path / "eval.jsonl", {"id": "a", "task": "t", **FOUND}, {"id": "b", **NOWHERE})
    clean = write(tmp_path / "clean.jsonl", *[NOWHERE] * 39)
    report = contamination_file(client, items, tmp_path / "t.parquet", clean=clean)
    table = pq.read_table(tmp_path / "t.parquet")
    first, second, *others = table.to_pylist()
    assert (first["query_id"], first["query.task"], first["overlap"]) == ("a", "t", 1.0)
    assert (first["nearest_id"], first["nearest_rank"]) == ("letters/durrow-1#0", 1)
    assert (first["overlap_p"], first["influence_p"], first["nearest_p"]) == (1 / 40, 1.0, 1 / 40)
    assert first["overlap_p_low"] <= first["overlap_p"] <= first["overlap_p_high"]
    assert first["influence_score"] == pytest.approx(first["top_influence"] / 0.001)
    assert (second["overlap"], second["overlap_p"], second["nearest_text"]) == (0.0, 1.0, None)
    assert [row["clean"] for row in others] == [True] * 39
    assert (report.items, report.clean, report.copied, report.overlapping, report.mattering) == (2, 39, 1, 1, 1)
    assert (report.influenced, report.expected, report.least) == (0, pytest.approx(0.1), 1 / 40)
    assert [item.query_id for item in report.first] == ["a", "b"]
    assert json.loads(table.schema.metadata[b"whence.settings"])["clean"] == str(clean)
    assert json.loads(table.schema.metadata[b"whence.provenance"])[0]["provenance"]["model"] == "toy"


def test_without_clean_items_there_are_values_and_no_scores(client, target, tmp_path):
    """Broken by: scores among the items themselves."""
    items = write(tmp_path / "eval.jsonl", {"id": "a", **FOUND}, NOWHERE)
    report = contamination_file(client, items, tmp_path / "t.jsonl")
    first, _ = rows_of(tmp_path / "t.jsonl")
    assert (first["overlap"], first["overlap_p"], first["influence_p"], first["overlap_p_high"]) == (
        1.0,
        None,
        None,
        None,
    )
    assert (report.influenced, report.overlapping, report.expected, report.copied) == (None, None, None, 1)
    command = ["contamination", "--queries", str(items), "--out", str(tmp_path / "u.csv")]
    done = CliRunner().invoke(cli.app, command, env={"WHENCE_SERVER": target, "COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "No item is known to be clean" in done.output
    assert "Not found is not clean" in done.output


@pytest.mark.parametrize(
    ("value", "clean"), [(True, True), ("true", True), (1, True), (False, False), ("", False), (None, False)]
)
def test_a_column_marks_clean_items(client, tmp_path, value, clean):
    items = write(tmp_path / "eval.jsonl", {"new": value, **NOWHERE}, FOUND)
    report = contamination_file(client, items, tmp_path / "t.jsonl", clean_column="new")
    assert [row["clean"] for row in rows_of(tmp_path / "t.jsonl")] == [clean, False]
    assert "query.new" not in rows_of(tmp_path / "t.jsonl")[0]
    assert report.clean == clean


BAD = {
    "not json": "{",
    "neither clean nor not": {"clean": "perhaps", **FOUND},
    "refused by the server": {"completion": REFUSED},
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_item_is_reported_and_ends_nothing(client, tmp_path, bad):
    items = write(tmp_path / "eval.jsonl", FOUND, bad, {"clean": True, **NOWHERE})
    report = contamination_file(client, items, tmp_path / "t.jsonl")
    assert (report.run.queries, report.run.refused, report.run.refusals[0].row) == (3, 1, 2)
    assert (report.items, report.clean) == (1, 1)
    assert [row["error"] is None for row in rows_of(tmp_path / "t.jsonl")] == [True, False, True]
    with pytest.raises(InvalidRequestError):
        contamination_file(client, items, tmp_path / "strict.jsonl", RunOptions(strict=True))


def test_an_interrupted_run_goes_on_and_its_scores_are_those_of_a_whole_one(client, service, tmp_path):
    items = write(tmp_path / "eval.jsonl", *[FOUND, NOWHERE] * 5)
    clean = write(tmp_path / "clean.jsonl", *[NOWHERE] * 5, FOUND)
    few = RunOptions(batch_size=2, concurrency=1)

    def stop(at):
        if at.done == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        contamination_file(client, items, tmp_path / "a.csv", replace(few, progress=stop), clean=clean)
    before = len(service.requests)
    with pytest.raises(MismatchError):
        contamination_file(client, items, tmp_path / "a.csv", few, clean=clean, ngram=5)
    report = contamination_file(client, items, tmp_path / "a.csv", few, clean=clean)
    assert (report.run.resumed, report.run.queries) == (12, 16)
    assert sum(len(request.queries) for request in service.requests[before:] if hasattr(request, "options")) == 4
    contamination_file(client, items, tmp_path / "b.csv", clean=clean)
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


def test_what_cannot_be_done_is_refused_by_its_reason(client, service, tmp_path):
    items = write(tmp_path / "eval.jsonl", FOUND)
    for given, reason in [
        ({"level": 0.0}, "INVALID_LEVEL"),
        ({"level": 1.0}, "INVALID_LEVEL"),
        ({"clean": tmp_path / "none.jsonl"}, "UNREADABLE_FILE"),
    ]:
        with pytest.raises(InvalidRequestError) as caught:
            contamination_file(client, items, tmp_path / "t.jsonl", **given)
        assert caught.value.reason == reason
    assert not service.calls
    with pytest.raises(InvalidRequestError) as caught:
        contamination_file(client, items, tmp_path / "t.jsonl", ngram=1)
    assert caught.value.reason == "INVALID_NGRAM"


def test_a_caller_who_may_not_read_texts_is_refused_before_anything_is_scored(client, service, tmp_path):
    items = write(tmp_path / "eval.jsonl", FOUND)
    service.failures.append(ForbiddenError("no scope", reason="MISSING_SCOPE"))
    with pytest.raises(ForbiddenError):
        contamination_file(client, items, tmp_path / "t.jsonl")
    assert "BatchAttribute" not in service.calls


def test_json_has_the_whole_report(target, tmp_path):
    items = write(tmp_path / "eval.jsonl", {"id": "a", **FOUND}, *[{"clean": True, **NOWHERE}] * 3)
    command = ["contamination", "--queries", str(items), "--out", str(tmp_path / "t.csv"), "--json"]
    done = CliRunner().invoke(cli.app, command, env={"WHENCE_SERVER": target})
    report = json.loads(done.stdout)
    assert (report["items"], report["clean"], report["copied"], report["least"]) == (1, 3, 1, 0.25)
    assert report["first"][0]["query_id"] == "a"
