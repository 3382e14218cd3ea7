"""Which files of what the user named become the corpus, and what is said of the others."""

from __future__ import annotations

import json
import os
import socket

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whence.errors import InvalidRequestError
from whence_backends.corpus import Corpus, IngestConfig, ingest
from whence_backends.corpus.ingestion.sources import find_files

ROW = '{"text": "The owl keeps the light."}\n'


@pytest.fixture
def data(tmp_path):
    """A folder with one file of rows."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "rows.jsonl").write_text(ROW)
    return folder


def selected(*inputs, **settings):
    found = find_files(inputs, **settings)
    return [file.name for file in found.files], {skipped.name: skipped.reason for skipped in found.skipped}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("README.md", "describes the data"),
        ("readme.txt", "describes the data"),
        ("LICENSE.txt", "describes the data"),
        ("dataset_infos.json", "describes the data"),
        ("state.json", "describes the data"),
        ("notes.txt", "is plain text beside tables"),
        ("rows.bin", "is of no format that is read"),
        ("LICENSE", "is of no format that is read"),
        ("rows.zip", "is an archive"),
        ("rows.tar.gz", "is an archive"),
        ("rows.parquet.gz", "is a compressed .parquet file"),
        ("cache-0123.arrow", "is a cache"),
        (".hidden.jsonl", "is hidden"),
    ],
)
def test_what_is_not_read_is_listed_with_why(data, name, reason):
    (data / name).write_text("{}")
    files, skipped = selected(data)
    assert files == ["rows.jsonl"]
    assert skipped[name].startswith(reason)


def test_links_pipes_and_sockets_are_listed(data, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "more.jsonl").write_text(ROW)
    (data / "folder").symlink_to(tmp_path / "elsewhere")
    (data / "loop").symlink_to(data)
    (data / "broken.jsonl").symlink_to(tmp_path / "nowhere")
    (data / "circle.jsonl").symlink_to(data / "circle.jsonl")
    (data / "linked.jsonl").symlink_to(tmp_path / "elsewhere" / "more.jsonl")
    (data / "again.jsonl").symlink_to(data / "rows.jsonl")
    os.mkfifo(data / "pipe.jsonl")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(data / "socket.jsonl"))
    files, skipped = selected(data)
    assert files == ["again.jsonl", "linked.jsonl"]  # by name: rows.jsonl is the same file as again.jsonl
    assert skipped == {
        "folder": "is a link to a folder; name it to have it read",
        "loop": "is a link to a folder; name it to have it read",
        "broken.jsonl": "is a link to nothing",
        "circle.jsonl": "is a link to nothing",
        "rows.jsonl": "is the same file as again.jsonl",
        "pipe.jsonl": "is no ordinary file",
        "socket.jsonl": "is no ordinary file",
    }


def test_a_link_to_a_folder_that_is_named_is_followed(data, tmp_path):
    (tmp_path / "linked").symlink_to(data)
    assert selected(tmp_path / "linked")[0] == ["rows.jsonl"]


def test_a_readme_alone_is_no_corpus(tmp_path):
    (tmp_path / "README.md").write_text("# The data set")
    (tmp_path / "rows.bin").write_text("x")
    with pytest.raises(
        InvalidRequestError, match=r"README\.md describes the data.*rows\.bin is of no format"
    ) as caught:
        selected(tmp_path)
    assert caught.value.reason == "MISSING_INPUT"
    assert selected(tmp_path / "README.md")[0] == ["README.md"]  # asked for by name


def test_suffixes_may_be_in_upper_case(tmp_path):
    names = ["A.JSONL", "B.Jsonl.GZ", "C.PARQUET", "D.CSV"]
    for name in names:
        (tmp_path / name).write_text("")
    assert selected(tmp_path)[0] == names


def test_a_folder_that_cannot_be_listed_is_said(data, monkeypatch):
    (data / "closed").mkdir()

    def listdir(path, real=os.listdir):
        if path == data / "closed":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "listdir", listdir)
    assert selected(data) == (["rows.jsonl"], {"closed": "cannot be listed: Permission denied"})


def test_the_corpus_inside_its_own_input_is_no_input(data, tokenizer):
    config = IngestConfig(inputs=[data], out=data / "corpus", tokenizer=tokenizer)
    first = ingest(config)
    assert ingest(config).already_there
    assert (first.documents, first.skipped_files) == (1, ())


def test_other_artefacts_are_not_taken_for_data(data, tokenizer):
    ingest(IngestConfig(inputs=[data], out=data / "old", tokenizer=tokenizer))
    assert selected(data) == (["rows.jsonl"], {"old": "is an artefact of Whence"})


def test_a_saved_data_set_inside_a_folder_is_read_as_one(data):
    datasets.Dataset.from_dict({"text": ["one owl"]}).save_to_disk(data / "saved")
    (data / "saved" / "cache-1.arrow").write_text("")
    files, skipped = selected(data)
    assert files == ["rows.jsonl", "saved/data-00000-of-00001.arrow"]
    assert sorted(skipped) == ["saved/cache-1.arrow", "saved/dataset_info.json", "saved/state.json"]


def test_splits_inside_a_folder_are_left_to_the_user(data):
    split = datasets.Dataset.from_dict({"text": ["one owl"]})
    datasets.DatasetDict({"train": split, "test": split}).save_to_disk(data / "splits")
    assert selected(data)[1] == {"splits": "is a data set with splits; name the split to use"}


def test_names_that_are_not_utf_8_are_read_and_shown(tmp_path, tokenizer, records):
    folder = tmp_path / os.fsdecode(b"donn\xe9es")
    folder.mkdir()
    (folder / os.fsdecode(b"caf\xe9.jsonl")).write_text(ROW)
    (folder / os.fsdecode(b"th\xe9.bin")).write_text("")
    report = ingest(IngestConfig(inputs=[folder], out=tmp_path / "out", tokenizer=tokenizer))
    (record,) = records(Corpus.open(tmp_path / "out"))
    assert (record.document_id, record.source) == (r"caf\xe9.jsonl:1", r"caf\xe9")
    assert [str(skipped) for skipped in report.skipped_files] == [r"th\xe9.bin is of no format that is read"]


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "csv", "json", "txt", "jsonl.zst"])
def test_every_format_is_read_whatever_its_name_and_the_corpus_name(tmp_path, tokenizer, records, suffix):
    path, out = tmp_path / os.fsdecode(b"caf\xe9." + suffix.encode()), tmp_path / os.fsdecode(b"out\xe9")
    table = pa.table({"text": ["The owl keeps the light."]})
    with path.open("wb") as file:
        if suffix == "parquet":
            pq.write_table(table, file)
        elif suffix == "arrow":
            with pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table)
        elif suffix == "jsonl.zst":
            with pa.CompressedOutputStream(file, "zstd") as stream:
                stream.write(ROW.encode())
        else:
            file.write(
                {"csv": b"text\nThe owl keeps the light.\n", "json": ROW.encode(), "txt": b"The owl keeps the light."}[
                    suffix
                ]
            )
    ingest(IngestConfig(inputs=[path], out=out, tokenizer=tokenizer))
    assert [record.text for record in records(Corpus.open(out))] == ["The owl keeps the light."]


def test_names_that_are_not_utf_8_can_be_printed_in_errors(tmp_path, tokenizer):
    strange = tmp_path / os.fsdecode(b"caf\xe9.jsonl")
    for broken in (strange, tmp_path / os.fsdecode(b"caf\xe9.bin"), tmp_path):
        if broken.suffix:
            broken.write_bytes(b"\xff")
        with pytest.raises(InvalidRequestError) as caught:
            ingest(IngestConfig(inputs=[broken], out=tmp_path / "out", tokenizer=tokenizer))
        assert json.dumps(caught.value.message, ensure_ascii=False).encode()
        assert r"caf\xe9" in caught.value.message or broken == tmp_path


def test_what_lies_beside_the_data_does_not_change_the_corpus(data, tmp_path, tokenizer):
    first = ingest(IngestConfig(inputs=[data], out=tmp_path / "a", tokenizer=tokenizer))
    (data / "README.md").write_text("About.")
    second = ingest(IngestConfig(inputs=[data], out=tmp_path / "b", tokenizer=tokenizer))
    assert first.digest == second.digest
    assert [skipped.name for skipped in second.skipped_files] == ["README.md"]
