"""Which groups a sequence is in: its source, its document, or a field of its metadata; and that filters find them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from whence.errors import InvalidRequestError
from whence_backends.corpus import ChunkPolicy, Corpus, IngestConfig, ingest
from whence_backends.corpus.filters import SequenceFilter
from whence_backends.models import Tokenizer

ENDS = ("first_document_id", "last_document_id")

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
        ("source", [("web",), ("book",), ("web",)]),
        ("document", [("b",), ("a",), ("c",)]),
        ("metadata.lang", [("en",), ("",), ("de",)]),
        ("metadata.year", [("1908",), ("1910",), ("",)]),
        ("metadata.tags", [("",), ("x", "y"), ("",)]),
    ],
)
def test_each_row_is_in_its_groups(corpus: Corpus, by: str, expected: list[tuple[str, ...]]):
    found = corpus.grouped(corpus.shards[0].name, by)
    assert [found.names[group] for group in found.groups] == expected
    assert list(found.names) == sorted(set(expected))


def test_another_grouping_is_refused_with_those_there_are(corpus: Corpus):
    with pytest.raises(InvalidRequestError, match=r"source, document or metadata\.NAME") as caught:
        corpus.grouped(corpus.shards[0].name, "year")
    assert caught.value.reason == "UNKNOWN_GROUPING"


ODD = [
    {"v": 1908}, {"v": 1908.0}, {"v": "1908"}, {"v": "1908.0"}, {"v": "1.9080e3"}, {"v": 0}, {"v": -0.0}, {"v": "0"},
    {"v": True}, {"v": "true"}, {"v": 1}, {"v": 1.0}, {"v": "1"}, {"v": None}, {"v": "null"}, {"v": ""}, {},
    {"v": float("nan")}, {"v": 2**53 + 1}, {"v": 2.0**53}, {"v": 10**22}, {"v": 1e22}, {"v": 1e300}, {"v": 0.1},
    {"v": "(none)"}, {"v": " x"}, {"v": "x"}, {"v": '"x"'}, {"v": "x\ty\x1b[31m"}, {"v": "é"}, {"v": "e\u0301"},
    {"v": ["x", ["y", None, 1]]}, {"v": []}, {"v": ["x", "x"]}, {"v": "[1, 2]"}, {"v": {"a": 1.0}}, {"v": '{"a":1}'},
    {"v": '{"a": 1}'}, {"v": {"w": 3}}, {"v.w": "3"}, {"v": [{"w": 3}, {"w": "4"}]},
]  # fmt: skip


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Corpus:
    folder = tmp_path_factory.mktemp("odd")
    lines = [json.dumps({"id": f"{number:02}", "text": "one two three", **row}) for number, row in enumerate(ODD)]
    (folder / "rows.jsonl").write_text("\n".join(lines))
    policy = ChunkPolicy(max_tokens=64)
    ingest(IngestConfig(inputs=[folder / "rows.jsonl"], out=folder / "corpus", tokenizer=tokenizer, policy=policy))
    return Corpus.open(folder / "corpus")


@pytest.mark.parametrize("name", ["v", "v.w", "v.w.x"])
def test_each_groups_name_is_a_filter_that_finds_just_the_group(odd: Corpus, name: str):
    """Broken by: a text that looks like a number, named like the number; a group of no value that nothing finds."""
    [shard] = odd.shards
    found = odd.grouped(shard.name, f"metadata.{name}")
    for group in set().union(*found.names):
        held = [group in found.names[of_row] for of_row in found.groups]
        assert odd.matching(shard.name, SequenceFilter(metadata=((name, group),))).tolist() == held, group


@pytest.mark.parametrize("by", ["source", "document"])
def test_so_are_sources_and_documents(odd: Corpus, by: str):
    [shard] = odd.shards
    found = odd.grouped(shard.name, by)
    for number, (group,) in enumerate(found.names):
        wanted = {"source": {"sources": frozenset([group])}, "document": dict.fromkeys(ENDS, group)}[by]
        assert odd.matching(shard.name, SequenceFilter(**wanted)).tolist() == (found.groups == number).tolist()
