"""Odd cells: what a table or JSON holds that Python or JSON cannot costs itself, never the text nor the run."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whence.errors import InvalidRequestError
from whence_backends.corpus import BadRowLimit, Columns, Corpus, IngestConfig, ingest
from whence_backends.corpus.ingestion.formats.cells import values

TEXTS = ["The owl keeps the light.", "Rain fell at night.", "Ships left the harbour."]
LATIN = pa.array([b"The owl", b"caf\xe9 by the harbour", b"Rain fell"], pa.binary()).view(pa.string())
LARGE_LATIN = LATIN.view(pa.binary()).cast(pa.large_binary()).view(pa.large_string())


@pytest.fixture
def run(tmp_path, tokenizer, records):
    """Ingest Arrow columns as Parquet, or raw lines of JSON; return the report and the metadata of each document."""

    def start(data, **settings):
        path = tmp_path / ("data.jsonl" if isinstance(data, bytes) else "data.parquet")
        if isinstance(data, bytes):
            path.write_bytes(data)
        else:
            pq.write_table(pa.table(data), path)
        settings = {"max_bad_rows": BadRowLimit(rows=9), **settings}
        report = ingest(IngestConfig(inputs=[path], out=tmp_path / "out", tokenizer=tokenizer, **settings))
        return report, {record.document_id: record.metadata for record in records(Corpus.open(tmp_path / "out"))}

    return start


@pytest.mark.parametrize("column", [LATIN, LARGE_LATIN])
def test_text_that_is_not_utf_8_is_a_bad_row(run, column):
    report, _ = run({"text": column})
    assert report.documents == 2
    assert [str(row) for row in report.first_bad_rows] == ["data.parquet, line 2 has a 'text' that is not UTF-8"]


def test_metadata_that_is_not_utf_8_costs_the_cell_alone(run):
    report, metadata = run({"text": TEXTS, "id": ["a", "b", "c"], "title": LATIN})
    assert (report.documents, report.bad_rows, report.bad_cells) == (3, 0, 1)
    assert metadata["b"] == {"title": "caf\ufffd by the harbour"}
    assert [str(cell) for cell in report.first_bad_cells] == ["data.parquet, line 2, column 'title' is not UTF-8"]


@pytest.mark.parametrize("name", ["id", "source"])
def test_an_id_or_a_source_that_is_not_utf_8_is_a_bad_row(run, name):
    report, _ = run({"text": TEXTS, name: LATIN})
    assert (report.documents, report.first_bad_rows[0].line) == (2, 2)


LONG_AGO, FAR = -(10**14), 400_000_000_000_000


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        (pa.array([FAR] * 3, pa.timestamp("ms")), "14645-06-30 15:06:40"),
        (pa.array([LONG_AGO] * 3, pa.timestamp("ms")), "-1199-02-15 14:13:20"),
        (pa.array([FAR] * 3, pa.timestamp("ms", "Europe/Berlin")), "14645-06-30 15:06:40+00:00"),
        (pa.array([3_650_000] * 3, pa.date32()), "11963-05-13"),
        (pa.array([FAR - FAR % 86_400_000] * 3, pa.date64()), "14645-06-30"),
        (pa.array([1_700_000_000_123_456_789] * 3, pa.timestamp("ns")), "2023-11-14 22:13:20.123456789"),
        (pa.array([1_700_000_000_000_000_000] * 3, pa.timestamp("ns")), "2023-11-14 22:13:20"),
        (pa.array([1_700_000_000_123_000_000] * 3, pa.timestamp("ns", "UTC")), "2023-11-14 22:13:20.123+00:00"),
        (pa.array([3_600_000_000_001] * 3, pa.time64("ns")), "01:00:00.000000001"),
        (pa.array([1_500_000_000] * 3, pa.duration("ns")), "1.5 s"),
        (pa.array([2**62] * 3, pa.duration("s")), f"{2**62} s"),
        (pa.array([[10**18 + 1, None]] * 3, pa.list_(pa.timestamp("ns"))), ["2001-09-09 01:46:40.000000001", None]),
        (pa.array([{"at": FAR}] * 3, pa.struct([("at", pa.timestamp("ms"))])), {"at": "14645-06-30 15:06:40"}),
        (pa.array([[("k", FAR)]] * 3, pa.map_(pa.string(), pa.timestamp("ms"))), [["k", "14645-06-30 15:06:40"]]),
    ],
)  # fmt: skip
def test_times_that_python_lacks_are_text(run, column, shown):
    report, metadata = run({"text": TEXTS, "id": ["a", "b", "c"], "at": column})
    assert (report.bad_rows, report.bad_cells) == (0, 0)
    assert metadata["a"] == {"at": shown}


def test_nanoseconds_do_not_depend_on_pandas():
    assert values(pa.array([1, None], pa.timestamp("ns")), 99) == ["1970-01-01 00:00:00.000000001", None]


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        (pa.array([2**64 - 1] * 3, pa.uint64()), 2**64 - 1),
        (pa.array([Decimal("12345678901234567890.12")] * 3), "12345678901234567890.12"),
        (pa.array([float("inf")] * 3), None),
        (pa.array([b"\x00\xff"] * 3), "<2 bytes>"),
        (pa.array(["a", "b", "a"]).dictionary_encode(), "a"),
        (pa.array([[None, 1]] * 3), [None, 1]),
        (pa.array([[("k", None)]] * 3, pa.map_(pa.string(), pa.int64())), [["k", None]]),
        (pa.array([{"a": {"b": [True]}}] * 3), {"a": {"b": [True]}}),
        (pa.nulls(3), None),
        (pa.array(["nul \x00 byte"] * 3), "nul \x00 byte"),
    ],
)
def test_any_type_of_column_is_metadata(run, column, shown):
    report, metadata = run({"text": TEXTS, "id": ["a", "b", "c"], "m": column})
    assert (report.documents, report.bad_cells) == (3, 0)
    assert metadata["a"] == {"m": shown}


@pytest.mark.parametrize(
    "kind", [pa.large_string(), pa.binary(), pa.large_binary(), pa.dictionary(pa.int32(), pa.string())]
)
def test_text_is_text_whatever_its_column_is_called(run, kind):
    report, _ = run({"text": pa.array(TEXTS).cast(kind)})
    assert report.documents == 3


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pa.array([1.0, 2.0, None]), ["1", "2", "data.parquet:3"]),
        (pa.array([Decimal(1), Decimal(2), None]), ["1", "2", "data.parquet:3"]),
        (pa.array([2**64 - 1, 0, 1], pa.uint64()), [str(2**64 - 1), "0", "1"]),
        (pa.array([b"a", b"b", b"c"]), ["a", "b", "c"]),
        (pa.array([uuid.UUID(int=n).bytes for n in range(3)], pa.uuid()), [str(uuid.UUID(int=n)) for n in range(3)]),
    ],
)
def test_ids_are_text_or_whole_numbers_in_any_guise(run, ids, expected):
    assert list(run({"text": TEXTS, "id": ids})[1]) == expected


def test_a_null_and_a_text_of_another_kind_are_bad_rows_with_their_numbers(run):
    report, _ = run({"text": pa.array([*TEXTS, None])})
    assert str(report.first_bad_rows[0]) == "data.parquet, line 4 has a NoneType as 'text'; expected text"


def test_two_columns_of_one_name_spoil_the_text_only_if_they_are_the_text(tmp_path, run, tokenizer):
    table = pa.Table.from_arrays([pa.array(TEXTS), pa.array(TEXTS), pa.array(TEXTS)], names=["text", "m", "m"])
    pq.write_table(table, tmp_path / "twice.parquet")
    report = ingest(IngestConfig(inputs=[tmp_path / "twice.parquet"], out=tmp_path / "o", tokenizer=tokenizer))
    assert (report.documents, report.bad_cells) == (3, 3)
    settings = {"columns": Columns(text_field="m"), "out": tmp_path / "p", "tokenizer": tokenizer}
    with pytest.raises(InvalidRequestError, match="has a 'm' that is there twice"):
        ingest(IngestConfig(inputs=[tmp_path / "twice.parquet"], **settings))


def test_a_cell_larger_than_is_allowed_is_a_bad_one(run):
    report, metadata = run({"text": [*TEXTS, "x" * 2000], "m": ["", "", "y" * 2000, ""]}, max_row_bytes=1000)
    assert str(report.first_bad_rows[0]).endswith(
        "line 4 has a 'text' that has more than 1,000 bytes, the most that a row may have"
    )
    assert (report.documents, report.bad_cells, metadata["data.parquet:3"]) == (3, 1, {"m": None})


def deep(levels):
    return "[" * levels + "]" * levels


@pytest.mark.parametrize(
    ("value", "shown", "problem"),
    [
        ("1e999", None, ""),
        ("NaN", None, ""),
        (str(2**70), 2**70, ""),
        ("9" * 5000, "99999999999999999999…", "has 5000 digits"),
        (r'"half \ud83d"', "half ?", "has bytes that are not UTF-8, or half a surrogate pair"),
        (r'{"\ud83d": 1}', {"?": 1}, "has bytes that are not UTF-8, or half a surrogate pair"),
        ('{"a": 1, "a": 2}', {"a": None}, "is there twice"),
        (deep(32), json.loads(deep(32)), ""),
        (deep(40), json.loads(deep(32).replace("[]", "[null]")), "is nested more than 32 levels deep"),
        (deep(400), json.loads(deep(32).replace("[]", "[null]")), "is nested more than 32 levels deep"),
        (r'"\u0000"', "\0", ""),
    ],
)
def test_what_json_spells_and_no_file_can_hold_costs_itself(run, value, shown, problem):
    report, metadata = run(b'{"id": "a", "text": "The owl keeps", "m": %s}\n' % value.encode())
    assert (report.documents, report.bad_rows) == (1, 0)
    assert metadata["a"] == {"m": shown}
    assert [cell.reason for cell in report.first_bad_cells] == ([problem] if problem else [])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "one owl", "text": "two owls"}', "has a 'text' that is there twice"),
        (b'{"id": 1, "id": 2, "text": "one owl"}', "has a 'id' that is there twice"),
        (b'{"id": %s, "text": "one owl"}' % (b"1" * 5000), "has a 'id' that has 5000 digits"),
        (b'{"text": "an owl", "m": %s}' % deep(5000).encode(), "is not JSON that can be read: it is nested too deeply"),
        (b"null", "is a JSON NoneType; expected an object"),
        (b'{"text": "an owl"', "is not JSON"),
        (b"\x00", "is not JSON"),
    ],
)
def test_what_spoils_a_text_or_an_id_is_a_bad_row(run, line, reason):
    report, _ = run(b'{"text": "The owl keeps"}\n' + line + b"\n")
    assert (report.documents, report.bad_rows, report.first_bad_rows[0].line) == (1, 1, 2)
    assert report.first_bad_rows[0].reason.startswith(reason)


def test_a_row_of_very_many_columns_is_told_in_one_line(run):
    report, _ = run(b'{"text": "The owl keeps"}\n' + json.dumps({str(n): n for n in range(500)}).encode())
    assert report.first_bad_rows[0].reason.endswith("18, 19, and 480 more)")


def test_a_message_that_is_not_utf_8_is_a_bad_row(run, tmp_path):
    contents = pa.array([b"Where?", b"caf\xe9"], pa.binary()).view(pa.string())
    turns = pa.StructArray.from_arrays([pa.array(["user", "assistant"]), contents], names=["role", "content"])
    good = pa.array([[{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Here."}]])
    bad = pa.ListArray.from_arrays(pa.array([0, 2], pa.int32()), turns)
    report, _ = run(
        {"messages": pa.chunked_array([good.cast(bad.type), bad])}, columns=Columns(messages_field="messages")
    )
    assert (report.documents, report.bad_rows) == (1, 1)
