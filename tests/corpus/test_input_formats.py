"""Every format a corpus can be made from."""

from __future__ import annotations

import gzip
import json
from datetime import date

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whence.errors import InvalidRequestError, NotFoundError
from whence_backends.corpus import ChunkPolicy, Columns

ROWS = [
    {"id": "a", "text": "The owl keeps the light.", "source": "tales", "year": 1201},
    {"id": "b", "text": "Grüße, 東京 🎉", "source": "letters", "year": None},
]


def assert_holds_the_rows(corpus, records):
    found = [(r.document_id, r.text, r.source, r.metadata) for r in records(corpus)]
    assert found == [(row["id"], row["text"], row["source"], {"year": row["year"]}) for row in ROWS]


def test_json_lines(jsonl, make_corpus, records):
    assert_holds_the_rows(make_corpus(jsonl(ROWS)), records)


def test_json_lines_compressed_and_with_a_byte_order_mark(tmp_path, make_corpus, records):
    lines = "".join(json.dumps(row) + "\n\n" for row in ROWS)
    (tmp_path / "data.jsonl.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + lines.encode()))
    assert_holds_the_rows(make_corpus(tmp_path / "data.jsonl.gz"), records)


def test_parquet(tmp_path, make_corpus, records):
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "data.parquet")
    assert_holds_the_rows(make_corpus(tmp_path / "data.parquet"), records)


def test_a_saved_hugging_face_data_set(tmp_path, make_corpus, records):
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "data", num_shards=2)
    assert_holds_the_rows(make_corpus(tmp_path / "data"), records)


def test_a_saved_data_set_with_a_selection_holds_only_the_selection(tmp_path, make_corpus, records):
    chosen = datasets.Dataset.from_list([{"text": "not this", "id": "x"}, *ROWS]).select([1, 2])
    chosen.save_to_disk(tmp_path / "data")
    assert [record.document_id for record in records(make_corpus(tmp_path / "data"))] == ["a", "b"]


def test_a_saved_data_set_in_the_other_arrow_format(tmp_path, make_corpus, records):
    table = pa.Table.from_pylist(ROWS)
    (tmp_path / "data").mkdir()
    with pa.ipc.new_file(tmp_path / "data" / "part.arrow", table.schema) as writer:
        writer.write_table(table)
    (tmp_path / "data" / "state.json").write_text(json.dumps({"_data_files": [{"filename": "part.arrow"}]}))
    assert_holds_the_rows(make_corpus(tmp_path / "data"), records)


def test_a_data_set_with_splits_asks_for_one(tmp_path, make_corpus):
    split = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict({"train": split, "test": split}).save_to_disk(tmp_path / "data")
    with pytest.raises(InvalidRequestError, match=r"\(test, train\)") as caught:
        make_corpus(tmp_path / "data")
    assert caught.value.reason == "MISSING_SPLIT"
    assert make_corpus(tmp_path / "data" / "train").sequences == 2


def test_a_folder_of_text_files(tmp_path, make_corpus, records):
    for name, text in {"top.txt": "One owl.", "poems/a/b.md": "Two owls.", ".hidden/c.txt": "No."}.items():
        (tmp_path / "texts" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "texts" / name).write_text(text)
    found = [(r.document_id, r.source, r.text) for r in records(make_corpus(tmp_path / "texts"))]
    assert found == [("poems/a/b.md", "poems", "Two owls."), ("top.txt", "texts", "One owl.")]


def test_a_readme_beside_tables_is_not_training_data(tmp_path, jsonl, make_corpus, records):
    jsonl(ROWS, "data/rows.jsonl")
    (tmp_path / "data" / "README.md").write_text("About these data.")
    assert_holds_the_rows(make_corpus(tmp_path / "data"), records)


def test_ids_and_sources_are_made_where_the_columns_are_absent(tmp_path, jsonl, make_corpus, records):
    texts = [{"text": "The owl keeps"}, {"text": "the light", "id": None, "source": ""}]
    jsonl(texts, "data/web/page.jsonl")
    jsonl(texts, "data/books.jsonl")
    found = [(r.document_id, r.source) for r in records(make_corpus(tmp_path / "data"))]
    assert found == [
        ("books.jsonl:1", "books"),
        ("books.jsonl:2", "books"),
        ("web/page.jsonl:1", "web"),
        ("web/page.jsonl:2", "web"),
    ]


def test_columns_may_have_other_names(jsonl, make_corpus, records):
    data = jsonl([{"body": "The owl keeps", "key": 7, "part": "tales", "text": "kept as metadata"}])
    columns = Columns(text_field="body", id_field="key", source_field="part")
    (record,) = records(make_corpus(data, columns=columns))
    assert (record.document_id, record.source, record.text) == ("7", "tales", "The owl keeps")
    assert record.metadata == {"text": "kept as metadata"}


def test_metadata_of_any_type_becomes_json(tmp_path, make_corpus, records):
    row = {
        "text": "The owl",
        "when": date(1999, 12, 31),
        "raw": b"\x00\xff",
        "score": float("nan"),
        "tags": ["a"],
    }
    pq.write_table(pa.Table.from_pylist([row | {"nested": {"deep": 1.5}}]), tmp_path / "data.parquet")
    (record,) = records(make_corpus(tmp_path / "data.parquet"))
    assert record.metadata == {
        "when": "1999-12-31",
        "raw": "<2 bytes>",
        "score": None,
        "tags": ["a"],
        "nested": {"deep": 1.5},
    }


def test_a_prompt_is_context_and_its_completion_counts(jsonl, make_corpus, records, tokenizer):
    data = jsonl([{"question": "Where is the owl?", "answer": " At the light.", "text": "x"}])
    columns = Columns(prompt_field="question", completion_field="answer")
    (record,) = records(make_corpus(data, columns=columns, policy=ChunkPolicy(eos=True)))
    assert record.text == "Where is the owl? At the light."
    counted = tokenizer.decode(record.token_ids[record.weights == 1])
    assert counted == " At the light.<|end|>"
    assert record.metadata == {"text": "x"}


@pytest.mark.parametrize(
    "columns",
    [{"prompt_field": "p"}, {"prompt_field": "p", "completion_field": "c", "messages_field": "m"}],
)
def test_columns_that_contradict_each_other_are_refused(columns):
    with pytest.raises(InvalidRequestError) as caught:
        Columns(**columns)
    assert caught.value.reason == "INVALID_CORPUS_COLUMNS"


def test_an_input_named_twice_is_read_once(jsonl, make_corpus):
    data = jsonl(ROWS, "data/rows.jsonl")
    assert make_corpus(data, data.parent).sequences == 2


def test_an_input_that_does_not_exist_is_named(tmp_path, make_corpus):
    with pytest.raises(NotFoundError, match=r"nowhere\.jsonl does not exist"):
        make_corpus(tmp_path / "nowhere.jsonl")


@pytest.mark.parametrize("name", ["data.bin", "folder/data.bin"])
def test_an_unknown_format_lists_the_known(tmp_path, make_corpus, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("a,b")
    with pytest.raises(InvalidRequestError, match=r"\.jsonl\.gz.*\.parquet.*saved data set"):
        make_corpus(tmp_path / name.split("/")[0])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("torn.jsonl.gz", gzip.compress(b'{"text": "The owl"}\n' * 1000, mtime=0)[:-20]),
        ("plain.jsonl.gz", b'{"text": "The owl"}'),
        ("not.parquet", b"PAR1 or rather not"),
    ],
)
def test_a_file_that_cannot_be_read_to_its_end_makes_no_corpus(tmp_path, make_corpus, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidRequestError, match=name) as caught:
        make_corpus(tmp_path / name)
    assert caught.value.reason == "UNREADABLE_CORPUS_FILE"
    assert not list((tmp_path / "corpus").glob("*"))
