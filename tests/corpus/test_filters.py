"""Which sequences a filter lets through, against a look at each of them."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from conformance.characters import write_tokenizer
from whence_backends.corpus import ChunkPolicy, Corpus, IngestConfig, ingest
from whence_backends.corpus.filters import SequenceFilter
from whence_backends.corpus.shard import SequenceRecord
from whence_backends.engines.fake import FakeModel
from whence_backends.models import Tokenizer, resolve_model


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("filtered")
    FakeModel.random(61).save(folder / "model")
    write_tokenizer(folder / "model")
    rows = [
        {
            "id": f"doc{number:02}",
            "source": ("log", "tale", "letter")[number % 3],
            "text": "the keeper lit the lamp",
            "year": 1900 + number % 4,
            "tags": ["sea", f"t{number % 5}"],
            "printed": number % 2 == 0,
        }
        for number in range(40)
    ]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    tokenizer = Tokenizer.load(resolve_model(str(folder / "model")))
    policy = ChunkPolicy(max_tokens=16)
    ingest(
        IngestConfig(
            inputs=[folder / "rows.jsonl"], out=folder / "corpus", tokenizer=tokenizer, policy=policy, shard_tokens=400
        )
    )
    opened = Corpus.open(folder / "corpus")
    assert len(opened.shards) > 1
    return opened


def let_through(corpus: Corpus, **wanted: object) -> list[int]:
    masks = [(shard, corpus.matching(shard.name, SequenceFilter(**wanted))) for shard in corpus.shards]
    return [shard.first_position + row for shard, mask in masks for row in np.flatnonzero(mask).tolist()]


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [
        ({}, lambda record: True),
        ({"sources": frozenset(["log", "letter"])}, lambda record: record.source in ("log", "letter")),
        ({"metadata": (("year", "1902"),)}, lambda record: record.metadata["year"] == 1902),
        ({"metadata": (("tags", "t3"),)}, lambda record: "t3" in record.metadata["tags"]),
        ({"metadata": (("printed", "true"),)}, lambda record: record.metadata["printed"]),
        (
            {"sources": frozenset(["tale"]), "metadata": (("tags", "sea"), ("year", "1901"))},
            lambda record: record.source == "tale" and record.metadata["year"] == 1901,
        ),
        ({"first_document_id": "doc30"}, lambda record: record.document_id >= "doc30"),
        ({"last_document_id": "doc05"}, lambda record: record.document_id <= "doc05"),
        (
            {"first_document_id": "doc10", "last_document_id": "doc12"},
            lambda record: "doc10" <= record.document_id <= "doc12",
        ),
        ({"sources": frozenset(["nowhere"])}, lambda record: False),
        ({"metadata": (("colour", "red"),)}, lambda record: False),
        ({"metadata": (("year", "190"),)}, lambda record: False),
    ],
)
def test_a_filter_lets_through_what_it_says(
    corpus: Corpus, wanted: dict[str, object], holds: Callable[[SequenceRecord], bool]
) -> None:
    """Broken by: a number compared with its text; a list compared as a whole; conditions that are joined by or."""
    expected = [position for position in range(corpus.sequences) if holds(corpus.record(position))]
    assert let_through(corpus, **wanted) == expected


def test_only_an_empty_filter_lets_everything_through() -> None:
    assert SequenceFilter().lets_all_through
    assert not SequenceFilter(last_document_id="z").lets_all_through
