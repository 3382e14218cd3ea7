"""Which group a sequence is in: its source, its document, or a field of its metadata."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from whence.errors import InvalidRequestError
from whence_backends.corpus import ChunkPolicy, Corpus, IngestConfig, ingest
from whence_backends.models import Tokenizer

ROWS = [
    {"id": "b", "source": "web", "text": "one two three", "year": 1908, "lang": "en"},
    {"id": "a", "source": "book", "text": "four five six", "year": 1910, "tags": ["x", "y"]},
    {"id": "c", "source": "web", "text": "seven eight nine", "lang": "de"},
]


@pytest.fixture
def corpus(tmp_path: Path, tokenizer: Tokenizer) -> Corpus:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    policy = ChunkPolicy(max_tokens=64)
    ingest(IngestConfig(inputs=[rows], out=tmp_path / "corpus", tokenizer=tokenizer, policy=policy))
    return Corpus.open(tmp_path / "corpus")


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("source", ["web", "book", "web"]),
        ("document", ["b", "a", "c"]),
        ("metadata.lang", ["en", "", "de"]),
        ("metadata.year", ["1908", "1910", ""]),
        ("metadata.tags", ["", '["x", "y"]', ""]),
    ],
)
def test_each_row_is_in_its_group(corpus: Corpus, by: str, expected: list[str]):
    found = corpus.grouped(corpus.shards[0].name, by)
    assert [found.names[group] for group in found.groups] == expected
    assert list(found.names) == sorted(set(expected))


def test_another_grouping_is_refused_with_those_there_are(corpus: Corpus):
    with pytest.raises(InvalidRequestError, match=r"source, document or metadata\.NAME") as caught:
        corpus.grouped(corpus.shards[0].name, "year")
    assert caught.value.reason == "UNKNOWN_GROUPING"
