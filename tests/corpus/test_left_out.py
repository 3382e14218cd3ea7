"""How much may be left out of a corpus: less than half, unless another number or share is allowed."""

from __future__ import annotations

import gzip

import pytest

from whence.errors import InvalidRequestError
from whence_backends.corpus import BadRowLimit, Columns, Corpus, IngestConfig, ingest

GOOD, BAD = {"text": "The owl keeps the light."}, "not json"


@pytest.fixture
def run(tmp_path, tokenizer):
    def start(*inputs, **settings):
        return ingest(IngestConfig(inputs=inputs, out=tmp_path / "out", tokenizer=tokenizer, **settings))

    return start


def limit(text):
    return {"max_bad_rows": BadRowLimit.parse(text)}


@pytest.mark.parametrize(("good", "bad"), [(1, 1), (3, 2), (10, 9), (100, 90)])
def test_less_than_half_may_be_bad_and_one_row_always(jsonl, run, good, bad):
    assert run(jsonl([GOOD] * good + [BAD] * bad)).bad_rows == bad


@pytest.mark.parametrize(("good", "bad"), [(1, 2), (2, 2), (10, 10), (1, 100)])
def test_half_of_the_rows_is_too_much(jsonl, run, tmp_path, good, bad):
    with pytest.raises(
        InvalidRequestError, match=rf"{bad} of {good + bad} rows would be left out; at most 49 %"
    ) as caught:
        run(jsonl([GOOD] * good + [BAD] * bad))
    assert caught.value.reason == "TOO_MANY_BAD_ROWS"
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize(
    ("text", "is_enough"), [("2", False), ("3", True), ("30%", True), ("29.9%", False), ("0", False), ("100 %", True)]
)
def test_a_number_or_a_share_can_be_allowed(jsonl, run, text, is_enough):
    data = jsonl([GOOD] * 7 + [BAD] * 3)
    if is_enough:
        assert run(data, **limit(text)).bad_rows == 3
    else:
        with pytest.raises(InvalidRequestError, match="rows would be left out"):
            run(data, **limit(text))


def test_a_number_ends_the_run_at_the_row_that_exceeds_it(jsonl, run):
    rows = [BAD, BAD, GOOD]
    with pytest.raises(InvalidRequestError, match="2 of 2 rows"):
        run(jsonl(rows), **limit("1"))


@pytest.mark.parametrize("text", ["", "half", "-1", "101%", "1.5", "5%%", "1e3", "nan", "9" * 40])
def test_a_limit_that_is_none_is_refused(text):
    with pytest.raises(InvalidRequestError, match="expected a number of rows") as caught:
        BadRowLimit.parse(text)
    assert caught.value.reason == "INVALID_BAD_ROW_LIMIT"


def test_a_corpus_that_is_there_is_held_to_the_limit_of_today(jsonl, run):
    data = jsonl([GOOD] * 7 + [BAD] * 3)
    run(data)
    with pytest.raises(InvalidRequestError, match="3 of 10 rows"):
        run(data, **limit("2"))


def test_files_that_cannot_be_read_count_by_their_bytes(tmp_path, jsonl, run, monkeypatch):
    monkeypatch.setattr("whence_backends.corpus.ingestion.bad_rows._SMALL_FILE_BYTES", 0)
    jsonl([GOOD] * 5, "data/good.jsonl")
    torn = gzip.compress(bytes(jsonl([GOOD] * 5, "other.jsonl").read_bytes() + bytes(range(256)) * 9))[:-9]
    (tmp_path / "data" / "torn.jsonl.gz").write_bytes(torn)
    with pytest.raises(InvalidRequestError, match=r"files with [\d,]+ of the input's .* torn\.jsonl\.gz") as caught:
        run(tmp_path / "data")
    assert caught.value.reason == "UNREADABLE_CORPUS_FILE"
    assert len(run(tmp_path / "data", **limit("100%")).unreadable_files) == 1


def test_a_strict_run_ends_at_a_file_that_cannot_be_read(tmp_path, jsonl, run):
    jsonl([GOOD] * 5, "data/good.jsonl")
    (tmp_path / "data" / "none.parquet").write_bytes(b"PAR1")
    with pytest.raises(InvalidRequestError, match=r"cannot read none\.parquet as parquet"):
        run(tmp_path / "data", strict=True)


@pytest.fixture
def numbered_twice(tmp_path, jsonl):
    """Two files that both number their rows from 0."""
    for name in ("tales", "letters"):
        jsonl([{"id": n, "text": f"{name} of owl {n}"} for n in range(5)], f"data/{name}.jsonl")
    return tmp_path / "data"


def test_ids_that_repeat_are_told_with_what_to_do(numbered_twice, run):
    with pytest.raises(InvalidRequestError, match=r"5 have the id of an earlier row: .*id_scope=source"):
        run(numbered_twice)


def test_ids_may_be_unique_within_a_source_only(numbered_twice, run, records):
    report = run(numbered_twice, columns=Columns(id_scope="source"))
    found = records(Corpus.open(report.path))
    assert (report.documents, report.bad_rows) == (10, 0)
    assert [record.document_id for record in found][::5] == ["letters/0", "tales/0"]
    assert found[5].sequence_id == "tales/0#0"


def test_within_a_source_ids_still_may_not_repeat(jsonl, run):
    rows = [{"id": n % 3, "source": "s" if n < 3 else "t", "text": f"owl number {n}"} for n in range(7)]
    report = run(jsonl(rows), columns=Columns(id_scope="source"))
    assert [row.reason for row in report.first_bad_rows] == ["has the id 't/0' of an earlier row"]


def test_an_unknown_scope_of_ids_is_refused():
    with pytest.raises(InvalidRequestError, match="expected 'corpus' or 'source'") as caught:
        Columns(id_scope="file")
    assert caught.value.reason == "UNKNOWN_ID_SCOPE"
