"""Rows that cannot be training data: counted, reported by place and reason, and fatal only when asked."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whence.errors import InvalidRequestError
from whence_backends.corpus import BadRowLimit, ChunkPolicy, Columns, Corpus, IngestConfig, ingest

GOOD = {"id": "good", "text": "The owl keeps the light."}


@pytest.fixture
def run(tmp_path, tokenizer):
    """Ingest one file and return the report."""

    def start(path, **settings):
        return ingest(IngestConfig(inputs=[path], out=tmp_path / "out", tokenizer=tokenizer, **settings))

    return start


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('{"text": "unfinished', "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('["a list"]', "is a JSON list; expected an object"),
        ({"body": "x"}, "has no column 'text' (it has body)"),
        ({"messages": []}, "(it has messages); --messages-field messages reads conversations"),
        ({"text": None}, "has a NoneType as 'text'; expected text"),
        ({"text": 5}, "has a int as 'text'; expected text"),
        ({"text": ""}, "has an empty 'text'"),
        ({"text": " \n\t"}, "has an empty 'text'"),
        ({"text": "x"}, "has 1 tokens; a training sequence has at least 2"),
        ('{"text": "half \\ud83d of a pair"}', "has half a surrogate pair in 'text'"),
        ({"text": "The owl", "id": 1.5}, "has a float as 'id'"),
        ({"text": "The owl", "id": True}, "has a bool as 'id'"),
        ({"text": "The owl", "id": "good"}, "has the id 'good' of an earlier row"),
    ],
)
def test_a_bad_row_is_left_out_and_reported_with_its_line(jsonl, run, row, reason):
    report = run(jsonl([GOOD, "", row, {"text": "Another good row"}]))
    (bad,) = report.first_bad_rows
    assert (report.documents, report.bad_rows) == (2, 1)
    assert (bad.file, bad.line) == ("data.jsonl", 3)
    assert reason in bad.reason


def test_bytes_that_are_not_utf_8_spoil_only_their_line(tmp_path, run):
    (tmp_path / "data.jsonl").write_bytes(b'{"text": "The \xff owl"}\n{"text": "The owl"}\n')
    report = run(tmp_path / "data.jsonl")
    assert report.documents == 1
    assert str(report.first_bad_rows[0]) == "data.jsonl, line 1 is not UTF-8 (byte 15)"


def test_a_text_file_that_is_not_utf_8_is_reported_by_line(tmp_path, run):
    (tmp_path / "good.txt").write_text("The owl")
    (tmp_path / "latin.txt").write_bytes("one\ntwo\nZürich".encode("latin-1"))
    report = run(tmp_path)
    assert str(report.first_bad_rows[0]) == "latin.txt, line 3 is not UTF-8"


def test_a_row_of_a_table_is_reported_by_its_number(tmp_path, run):
    texts = ["The owl keeps"] * 700 + [None] + ["the light"] * 10
    pq.write_table(pa.table({"text": texts}), tmp_path / "data.parquet", row_group_size=100)
    (bad,) = run(tmp_path / "data.parquet").first_bad_rows
    assert (bad.file, bad.line) == ("data.parquet", 701)


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        (None, "has no list of messages as 'm'"),
        (["hello"], "has a message in 'm' that is not an object"),
        ([{"role": "user"}], "has no column 'content'"),
        ([{"role": "user", "content": "hello"}], "the last message must be the assistant's"),
    ],
)
def test_a_conversation_that_cannot_be_rendered_is_a_bad_row(jsonl, run, messages, reason):
    good = {"m": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    report = run(jsonl([good, {"m": messages}]), columns=Columns(messages_field="m"))
    assert report.documents == 1
    assert reason in report.first_bad_rows[0].reason


def test_a_prompt_so_long_that_nothing_is_left_to_learn_is_a_bad_row(jsonl, run):
    columns = Columns(prompt_field="p", completion_field="c")
    rows = [{"p": "", "c": "The owl"}, {"p": "The owl", "c": ""}]
    report = run(jsonl(rows), columns=columns)
    assert report.first_bad_rows[0].reason == "has an empty 'c'"


def test_an_empty_file_is_no_reason_to_stop(jsonl, run, tmp_path):
    jsonl([], "data/empty.jsonl")
    jsonl([GOOD], "data/rows.jsonl")
    report = run(tmp_path / "data")
    assert (report.documents, report.bad_rows) == (1, 0)


def test_the_first_twenty_bad_rows_are_kept_and_all_are_counted(jsonl, run, tmp_path):
    report = run(jsonl([GOOD, *["not json"] * 50]), max_bad_rows=BadRowLimit(rows=50))
    assert report.bad_rows == 50
    assert [bad.line for bad in report.first_bad_rows] == list(range(2, 22))
    properties = Corpus.open(tmp_path / "out").properties
    assert properties["counts"]["bad_rows"] == 50
    assert len(properties["first_bad_rows"]) == 20


def test_a_strict_run_stops_at_the_first_bad_row_and_leaves_nothing(jsonl, run, tmp_path):
    with pytest.raises(InvalidRequestError, match=r"data\.jsonl, line 2 is not JSON") as caught:
        run(jsonl([GOOD, "not json", "nor this"]), strict=True)
    assert (caught.value.reason, caught.value.details["line"]) == ("INVALID_CORPUS_ROW", "2")
    assert not list((tmp_path / "out").glob("*"))


def test_a_strict_run_refuses_a_corpus_that_was_made_with_bad_rows_left_out(jsonl, run):
    data = jsonl([GOOD, "not json"])
    run(data)
    with pytest.raises(InvalidRequestError, match="line 2"):
        run(data, strict=True)


def test_nothing_but_bad_rows_is_no_corpus(jsonl, run):
    with pytest.raises(InvalidRequestError, match=r"2 bad rows .*line 1 is not JSON") as caught:
        run(jsonl(["not json", "nor this"]))
    assert caught.value.reason == "EMPTY_CORPUS"


def test_sequences_that_are_too_short_are_counted(jsonl, run):
    report = run(jsonl([{"text": "The owl keeps the light " * 3}]), policy=ChunkPolicy(max_tokens=8, min_tokens=8))
    assert report.dropped_sequences == 1
    assert report.tokens % 8 == 0
