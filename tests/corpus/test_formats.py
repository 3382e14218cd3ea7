"""Compressed files, JSON, CSV, TSV and Arrow, as other programs write them, whole and broken."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os

import pyarrow as pa
import pytest

from whence_backends.corpus import BadRowLimit, IngestConfig, ingest
from whence_backends.corpus.ingestion.formats import read_rows
from whence_backends.corpus.ingestion.sources import find_files

ROWS = [{"id": "a", "text": "The owl keeps the light."}, {"id": "b", "text": "Grüße, 東京 🎉"}]
OTHER = b'{"text": "The tower"}\n'
MANY = b"".join(b'{"text": "The owl keeps light %d"}\n' % number for number in range(5000))
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
ANY = BadRowLimit.parse("100%")


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


@pytest.fixture
def rows(tmp_path):
    """Write bytes to a file and read its rows: their columns, or what is wrong with them."""

    def read(name: str, content: bytes, max_row_bytes: int = 1 << 20) -> list[object]:
        (tmp_path / name).write_bytes(content)
        (file,) = find_files([tmp_path / name]).files
        return [
            row.columns if row.columns is not None else (row.line, row.problem)
            for row in read_rows(file, max_row_bytes)
        ]

    return read


@pytest.fixture
def run(tmp_path, tokenizer):
    """Ingest a folder of files, given as bytes by name, and return the report."""

    def start(files, **settings):
        for name, content in files.items():
            (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "data" / name).write_bytes(content)
        settings = {"max_bad_rows": ANY, "overwrite": True, **settings}
        return ingest(IngestConfig(inputs=[tmp_path / "data"], out=tmp_path / "out", tokenizer=tokenizer, **settings))

    return start


@pytest.mark.parametrize(
    ("name", "compressed"),
    [
        ("rows.jsonl.gz", gzip.compress(LINES, mtime=0)),
        ("rows.jsonl.gz", gzip.compress(LINES[:9], mtime=0) + gzip.compress(LINES[9:], mtime=0)),
        ("rows.jsonl.zst", zstd(LINES)),
        ("rows.ndjson.zst", zstd(LINES[:9]) + zstd(LINES[9:])),
        ("rows.jsonl.bz2", bz2.compress(LINES)),
        ("rows.jsonl.bz2", bz2.compress(LINES[:9]) + bz2.compress(b"") + bz2.compress(LINES[9:])),
        ("ROWS.JSONL.XZ", lzma.compress(LINES)),
        ("rows.jsonl.xz", lzma.compress(LINES[:9]) + bytes(8) + lzma.compress(LINES[9:]) + bytes(4)),
        ("rows.json.zst", zstd(json.dumps(ROWS).encode())),
        ("rows.csv.gz", gzip.compress('id,text\na,The owl keeps the light.\nb,"Grüße, 東京 🎉"\n'.encode(), mtime=0)),
    ],
)
def test_a_compressed_file_is_read_to_its_end(rows, name, compressed):
    assert rows(name, compressed) == ROWS


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("torn.jsonl.zst", zstd(MANY)[:-9]),
        ("torn.jsonl.gz", gzip.compress(MANY, mtime=0)[:-9]),
        ("torn.jsonl.bz2", bz2.compress(MANY)[:-9]),
        ("torn.jsonl.xz", lzma.compress(MANY)[:-9]),
        ("second.jsonl.zst", zstd(LINES) + zstd(LINES)[:-9]),
        ("second.jsonl.bz2", bz2.compress(OTHER) + b"C" + bz2.compress(OTHER)[1:]),
        ("second.jsonl.xz", lzma.compress(OTHER) + lzma.compress(OTHER)[:-9]),
        ("behind.jsonl.xz", lzma.compress(OTHER) + b"no stream"),
        ("none.jsonl.zst", b"\x28\xb5\x2f\xfd" + b"x" * 50),
        ("none.jsonl.gz", LINES),
        ("torn.json", b'[{"text": "The owl"}, {"text": "The'),
        ("odd.json", b'[{"text": "The owl"} {"text": "The light"}]'),
        ("open.csv", b'text\nThe owl\n"The light\n and more\n'),
        ("none.parquet", b"PAR1 or rather not"),
        ("none.arrow", b"ARROW1 or rather not"),
    ],
)
def test_a_file_that_cannot_be_read_to_its_end_is_listed_and_ends_no_run(run, name, content):
    report = run({"good.jsonl": LINES, name: content}, max_bad_rows=BadRowLimit())
    (unread,) = report.unreadable_files
    assert (unread.file, report.bad_rows) == (name, 1)
    assert any("cannot be read" in bad.reason and bad.file == name for bad in report.first_bad_rows)
    assert report.documents >= 2


def test_nothing_is_taken_of_a_text_whose_end_is_torn(run):
    torn = gzip.compress(os.urandom(3000).hex().encode())[:-9]
    report = run({"good.txt": b"The owl keeps the light.", "torn.txt.gz": torn})
    assert (report.documents, report.unreadable_files[0].file) == (1, "torn.txt.gz")


def test_what_could_be_read_of_a_torn_file_is_kept_and_counted(run):
    report = run({"torn.json": b'[{"text": "The owl"}, {"text": "the light"}, {"text":'})
    assert report.documents == 2
    assert str(report.unreadable_files[0]).startswith("torn.json after 2 rows: it is not JSON")
    assert report.first_bad_rows[0].line == 3


def test_a_file_that_may_not_be_read_is_listed(run, monkeypatch, tmp_path):
    run({"good.jsonl": LINES, "closed.jsonl": LINES})
    real = type(tmp_path).open

    def refuse(path, *arguments, **settings):
        if path.name == "closed.jsonl":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **settings)

    monkeypatch.setattr(type(tmp_path), "open", refuse)
    report = run({})
    assert str(report.unreadable_files[0]) == "closed.jsonl as a whole: [Errno 13] Permission denied"


def test_a_window_of_zstd_larger_than_is_held_is_said(run):
    hello = b"\x28\xb5\x2f\xfd\x00\xa8" + ((6 << 3) | 1).to_bytes(3, "little") + b"hello\n"  # as --long=31 writes
    report = run({"good.jsonl": LINES, "long.jsonl.zst": hello})
    assert "too much memory" in report.unreadable_files[0].reason


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        json.dumps({"data": ROWS}),
        json.dumps({"version": "1.1", "about": {"data": [1]}, "data": ROWS, "more": [1, [2]]}, indent=1),
        "\n\n" + LINES.decode(),  # JSON Lines by another name
        "\n".join(json.dumps(row, indent=2) for row in ROWS),
        "\ufeff" + json.dumps(ROWS),
    ],
)
def test_a_json_document_is_an_array_an_object_with_one_or_objects_in_a_row(rows, content):
    assert rows("rows.json", content.encode()) == ROWS


def test_one_object_is_one_row(rows):
    assert rows("row.json", b'{"id": "a", "text": "The owl"}') == [{"id": "a", "text": "The owl"}]


def test_long_rows_of_a_json_document_are_read_over_the_border_of_what_is_held(rows, monkeypatch):
    monkeypatch.setattr("whence_backends.corpus.ingestion.formats.documents._PIECE_CHARACTERS", 7)
    many = [{"n": n, "text": "The owl " * n, "list": [n, -n / 7, None, True]} for n in range(20)]
    assert rows("rows.json", json.dumps(many).encode()) == many


def test_a_row_of_a_json_document_that_is_no_object_is_a_bad_one(rows):
    assert rows("rows.json", b'["text", {"text": "The owl"}, 5]') == [
        (1, "is a JSON str; expected an object"),
        {"text": "The owl"},
        (3, "is a JSON int; expected an object"),
    ]


def test_a_json_document_that_is_one_huge_object_is_refused(run):
    table = json.dumps({str(n): {"text": "The owl"} for n in range(100)}, indent=1)
    report = run({"good.jsonl": LINES, "table.json": table.encode()}, max_row_bytes=500)
    assert "one object of more than 500 bytes" in report.unreadable_files[0].reason


def test_a_bad_line_of_json_lines_called_json_costs_itself(rows):
    assert rows("rows.json", LINES + b"not json\n" + LINES)[2] == (
        3,
        "is not JSON: Expecting value: line 1 column 1 (char 0)",
    )


CSV = [{"id": "a", "text": 'He said: "No,\nnot I."'}, {"id": "b", "text": " The  owl "}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", 'id,text\r\na,"He said: ""No,\nnot I."""\r\nb, The  owl \r\n'),
        ("rows.csv", 'id;text\na;"He said: ""No,\nnot I."""\n\nb; The  owl '),
        ("rows.csv", 'id|text\na|"He said: ""No,\nnot I."""\nb| The  owl \n'),
        ("rows.tsv", 'id\ttext\na\t"He said: ""No,\nnot I."""\nb\t The  owl \n'),
        ("rows.tsv", 'id\t"text"\na\t"He said: ""No,\nnot I."""\nb\t The  owl \n'),
        ("rows.csv", '\ufeffid,text\na,"He said: ""No,\nnot I."""\nb, The  owl \n'),
    ],
)
def test_delimited_files_are_read_as_spreadsheets_write_them(rows, name, content):
    assert rows(name, content.encode()) == CSV


def test_a_record_with_too_many_or_too_few_cells_is_a_bad_row_with_its_line(rows):
    found = rows("rows.csv", b'id,text\na,"The\nowl"\nb\nc,The light,more\nd,The harbour\n')
    assert found == [
        {"id": "a", "text": "The\nowl"},
        (4, "has 1 cells; the first line names 2 columns"),
        (5, "has 3 cells; the first line names 2 columns"),
        {"id": "d", "text": "The harbour"},
    ]


def test_a_csv_without_a_line_of_names_says_which_columns_it_has(run):
    report = run({"rows.csv": b"1,The owl keeps\n2,the light\n", "good.jsonl": LINES})
    assert report.first_bad_rows[0].reason == "has no column 'text' (it has 1, The owl keeps)"


def test_a_field_longer_than_csv_allows_by_itself_is_read(rows):
    assert rows("rows.csv", b"text\n" + b"x" * 200_000 + b"\n") == [{"text": "x" * 200_000}]


def test_two_columns_of_one_name_are_told(run):
    report = run({"rows.csv": b"text,text\na b c,d e f\n", "good.jsonl": LINES})
    assert report.first_bad_rows[0].reason == "has a 'text' that is there twice"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", LINES.decode().encode("utf-16")),
        ("rows.jsonl", b"\xfe\xff" + LINES.decode().encode("utf-16-be")),
        ("rows.jsonl", LINES.decode().encode("utf-32")),
        ("rows.jsonl", LINES.replace(b"\n", b"\r\n")),
        ("rows.jsonl", b"\xef\xbb\xbf" + LINES + b"\n  \n\xef\xbb\xbf"),
        ("rows.json", json.dumps(ROWS, ensure_ascii=False).encode("utf-16")),
        ("rows.csv", 'id,text\r\na,The owl keeps the light.\r\nb,"Grüße, 東京 🎉"\r\n'.encode("utf-16")),
    ],
)
def test_what_says_that_it_is_in_another_encoding_is_read_in_it(rows, name, content):
    assert rows(name, content) == ROWS


def test_utf_16_that_ends_in_the_middle_of_a_character_is_unreadable(run):
    report = run({"good.jsonl": LINES, "half.jsonl": LINES.decode().encode("utf-16")[:-1]})
    assert report.unreadable_files[0].file == "half.jsonl"


@pytest.mark.parametrize("name", ["empty.jsonl", "empty.json", "empty.csv", "empty.tsv", "empty.jsonl.zst"])
def test_an_empty_file_has_no_rows(rows, name):
    assert rows(name, b"") == []


def test_bytes_that_are_not_utf_8_spoil_their_own_row_only(run):
    report = run(
        {
            "rows.csv": b"id,text\n1,caf\xe9 au lait\n2,The owl\n",
            "rows.json": b'[{"id": 3, "text": "caf\xe9 au lait"}, {"id": 4, "text": "The light"}]',
        }
    )
    assert report.documents == 2
    assert [str(row) for row in report.first_bad_rows] == [
        "rows.csv, line 2 has a 'text' that is not UTF-8",
        "rows.json, line 1 has bytes that are not UTF-8 in 'text', which is not text",
    ]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("rows.jsonl", b'{"text": "%s"}\n' % (b"x" * 5000) + LINES, 1),
        ("rows.jsonl", LINES + b'{"text": "%s"}' % (b"x" * 5000), 3),
        ("rows.csv", b'id,text\na,"%s"\nb,The owl\nc,The light\n' % (b"x\n" * 2500), 2),
        ("rows.csv", b"id,text\na,%s\nb,The owl\nc,The light\n" % (b"x" * 5000), 2),
    ],
)
def test_a_row_larger_than_is_allowed_is_a_bad_one(rows, name, content, line):
    found = rows(name, content, max_row_bytes=1000)
    assert (line, "has more than 1,000 bytes, the most that a row may have") in found
    assert len(found) == 3


def test_arrow_files_and_streams_in_a_folder_are_read(tmp_path, run, records, make_corpus):
    table = pa.Table.from_pylist(ROWS)
    (tmp_path / "data").mkdir()
    for name, writer in (("file", pa.ipc.new_file), ("stream", pa.ipc.new_stream)):
        with writer(tmp_path / "data" / f"{name}.arrow", table.schema) as sink:
            sink.write_table(table)
    report = run({}, max_bad_rows=BadRowLimit.parse("2"))
    assert (report.documents, report.bad_rows) == (2, 2)  # the same ids twice
    assert {name: counts.documents for name, counts in report.sources.items()} == {"file": 2}
