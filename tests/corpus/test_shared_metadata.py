"""A document's metadata is stored once, however many sequences are cut from it."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from whence_backends.corpus import ChunkPolicy, Corpus
from whence_backends.corpus.filters import SequenceFilter
from whence_backends.corpus.shard import _FIRST_SCHEMA, SCHEMA
from whence_backends.store.artefact import MANIFEST, ArtefactWriter

POLICY = ChunkPolicy(max_tokens=16)
TEXT = "The owl keeps the light. " * 40


@pytest.fixture
def corpus(jsonl, make_corpus, monkeypatch):
    """Three documents of many sequences, in several shards of several batches."""
    monkeypatch.setattr("whence_backends.corpus.shard._ROWS_PER_BATCH", 4)
    rows = [{"id": f"d{n}", "text": TEXT, "n": n, "html": "<p>" * 1000} for n in range(3)]
    return make_corpus(jsonl(rows), policy=POLICY, shard_tokens=400)


def test_it_is_in_a_shard_once_for_each_document(corpus):
    column = [text for shard in corpus.shards for text in stored(corpus.path / f"{shard.name}.arrow", "metadata")]
    documents = {record.document_id for record in map(corpus.record, range(corpus.sequences))}
    assert len([text for text in column if text is not None]) <= len(documents) + len(corpus.shards)
    assert len(column) == corpus.sequences > 40


def test_each_sequence_has_its_documents(corpus):
    for record in map(corpus.record, range(corpus.sequences)):
        assert record.metadata == {"n": int(record.document_id[1:]), "html": "<p>" * 1000}


def test_filters_and_groups_see_it_on_every_sequence(corpus):
    for shard in corpus.shards:
        numbers = [corpus.record(position).metadata["n"] for position in corpus.positions(shard.name)]
        kept = corpus.matching(shard.name, SequenceFilter(metadata=(("n", "1"),)))
        assert kept.tolist() == [number == 1 for number in numbers]
        grouped = corpus.grouped(shard.name, "metadata.n")
        assert [grouped.names[group][0] for group in grouped.groups.tolist()] == [str(number) for number in numbers]


def test_a_shard_opened_alone_has_all_of_it(corpus):
    last = corpus.shards[-1]
    alone = Corpus.open(corpus.path, shards=[last.name])
    for position in last.positions:
        assert alone.record(position).metadata == corpus.record(position).metadata


@pytest.mark.parametrize("boundary", ["document", "packed"])
def test_a_corpus_grows_with_its_input_not_with_its_square(jsonl, make_corpus, boundary):
    policy = ChunkPolicy(max_tokens=16, boundary=boundary, eos=True)

    def size_bytes(times):
        row = {"id": "a", "text": TEXT * times, "html": TEXT * times}
        corpus = make_corpus(jsonl([row], f"{times}.jsonl"), out=f"{boundary}{times}", policy=policy)
        return sum(path.stat().st_size for path in corpus.path.iterdir())

    assert size_bytes(20) < 11 * size_bytes(2)


def test_equal_metadata_of_two_documents_is_not_mixed_up(jsonl, make_corpus, records):
    rows = [{"id": n, "text": "The owl keeps", "m": value} for n, value in enumerate([1, 1, 2, 1])]
    assert [record.metadata["m"] for record in records(make_corpus(jsonl(rows)))] == [1, 1, 2, 1]


def test_a_corpus_of_the_earlier_format_is_read(corpus, records, tmp_path):
    old = tmp_path / "old"
    properties = dict(corpus.properties)
    for name in ("first_bad_cells", "unreadable_files"):
        del properties[name]
    properties["counts"] = {name: count for name, count in properties["counts"].items() if name != "bad_cells"}
    writer = ArtefactWriter(old, "whence.corpus/1")
    files = [
        writer.add(f"{shard.name}.arrow", lambda path, s=shard: _write_as_before(corpus, s, path))
        for shard in corpus.shards
    ]
    writer.finish(files, properties)
    reopened = Corpus.open(old)
    assert json.loads((old / MANIFEST).read_text())["format"] == "whence.corpus/1"
    assert [record.metadata for record in records(reopened)] == [record.metadata for record in records(corpus)]
    assert [tokens.token_ids.tolist() for tokens in reopened.tokens_at(range(reopened.sequences))] == [
        tokens.token_ids.tolist() for tokens in corpus.tokens_at(range(corpus.sequences))
    ]
    kept = reopened.matching(reopened.shards[0].name, SequenceFilter(metadata=(("n", "0"),)))
    assert kept.tolist() == corpus.matching(corpus.shards[0].name, SequenceFilter(metadata=(("n", "0"),))).tolist()


def stored(path, name):
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all().column(name).to_pylist()


def _write_as_before(corpus, shard, path):
    names = [name for name in SCHEMA.names if name != "metadata_row"]
    columns = {name: stored(corpus.path / f"{shard.name}.arrow", name) for name in names}
    columns["metadata"] = [json.dumps(corpus.record(position).metadata) for position in shard.positions]
    with pa.ipc.new_file(path, _FIRST_SCHEMA) as writer:
        writer.write_batch(pa.RecordBatch.from_pydict(columns, schema=_FIRST_SCHEMA))
