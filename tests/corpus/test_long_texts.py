"""Texts too long to be encoded at once: the same tokens as if they were, in memory that does not grow with them."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest

from whence_backends.corpus import ChunkPolicy, Columns, windows
from whence_backends.corpus.ingestion import documents
from whence_backends.corpus.ingestion.formats import text as plain_text
from whence_backends.corpus.windows import encode_pieces

WORDS = ["owl", "light", "harbour", "keeps", "Grüße", "東京", "🎉👩‍🚀", "and so to bed.", "\n", "\n\n  ", "\t", "   "]


@pytest.fixture
def short_windows(monkeypatch):
    """Have windows, and what counts as long, so short that a page is a long text."""
    monkeypatch.setattr(windows, "WINDOW_CHARACTERS", 300)
    monkeypatch.setattr(windows, "OVERLAP_CHARACTERS", 60)
    monkeypatch.setattr(documents, "LONG_CHARACTERS", 500)
    monkeypatch.setattr(plain_text, "_HELD_CHARACTERS", 500)
    monkeypatch.setattr(plain_text, "_PIECE_BYTES", 170)


@pytest.fixture
def page():
    return "".join(random.Random(3).choices([*WORDS, " "], k=1500)) + "x" * 50


@pytest.mark.parametrize("size", [1, 97, 10_000])
def test_windows_give_the_tokens_of_the_whole(short_windows, tokenizer, page, size):
    ids, offsets = tokenizer.encode(page)
    pieces = list(encode_pieces([page[at : at + size] for at in range(0, len(page), size)], tokenizer))
    starts = np.cumsum([0] + [len(piece.text) for piece in pieces])
    assert "".join(piece.text for piece in pieces) == page
    assert np.concatenate([piece.ids for piece in pieces]).tolist() == ids
    placed = [piece.offsets + start for piece, start in zip(pieces, starts, strict=False)]
    assert np.concatenate(placed).tolist() == [list(span) for span in offsets]
    assert len(pieces) > 5


def test_a_word_longer_than_a_window_loses_no_character(short_windows, tokenizer):
    word = "".join(random.Random(5).choices("owlight", k=5000))
    pieces = list(encode_pieces([word], tokenizer))
    assert "".join(tokenizer.decode(piece.ids) for piece in pieces) == word


@pytest.mark.parametrize("text", ["", "owl", "x" * 299, "x" * 360, "x" * 361])
def test_a_text_that_one_window_holds_is_one_piece_or_two(short_windows, tokenizer, text):
    pieces = list(encode_pieces([text], tokenizer))
    assert "".join(piece.text for piece in pieces) == text
    assert len(pieces) == 1 + (len(text) > 360)


POLICIES = [
    ChunkPolicy(max_tokens=40, bos=True, eos=True),
    ChunkPolicy(max_tokens=40, stride=24, boundary="packed", eos=True),
]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("kind", ["txt", "jsonl"])
def test_a_long_document_is_cut_as_if_it_were_read_at_once(
    tmp_path, jsonl, make_corpus, records, page, policy, kind, request
):
    if kind == "txt":
        (tmp_path / "long.txt").write_text(page)
        (tmp_path / "short.txt").write_text("One owl more.")
        inputs = [tmp_path / "long.txt", tmp_path / "short.txt"]
    else:
        inputs = [jsonl([{"text": page, "id": "long"}, {"text": "One owl more.", "id": "short"}])]
    whole = records(make_corpus(*inputs, out="whole", policy=policy))
    request.getfixturevalue("short_windows")
    parts = records(make_corpus(*inputs, out="parts", policy=policy))
    assert len(whole) > 20
    for ours, theirs in zip(parts, whole, strict=True):
        assert (ours.sequence_id, ours.text, ours.metadata) == (theirs.sequence_id, theirs.text, theirs.metadata)
        assert ours.token_ids.tolist() == theirs.token_ids.tolist()
        assert ours.weights.tolist() == theirs.weights.tolist()
        assert ours.offsets.tolist() == theirs.offsets.tolist()


def test_the_prompt_of_a_long_row_is_context(short_windows, jsonl, make_corpus, records, page):
    columns = Columns(prompt_field="p", completion_field="c")
    found = records(
        make_corpus(jsonl([{"p": page, "c": " Not an owl."}]), columns=columns, policy=ChunkPolicy(max_tokens=4096))
    )
    counted = [
        record.text[a:b]
        for record in found
        for (a, b), weight in zip(record.offsets, record.weights, strict=True)
        if weight
    ]
    assert "".join(counted) == " Not an owl."


def test_a_long_text_counts_as_one_document(short_windows, tmp_path, make_corpus, page):
    (tmp_path / "long.txt").write_text(page)
    counts = make_corpus(tmp_path / "long.txt", policy=ChunkPolicy(max_tokens=40)).properties["counts"]
    assert (counts["documents"], counts["bad_rows"]) == (1, 0)


@pytest.mark.parametrize(
    ("content", "line"), [(b"a line\n" * 500 + b"caf\xe9", 501), (b"a line\n" * 500 + b"\xc3", 501)]
)
def test_a_long_text_that_is_not_utf_8_at_its_end_gives_nothing(short_windows, tmp_path, make_corpus, content, line):
    (tmp_path / "bad.txt").write_bytes(content)
    (tmp_path / "good.txt").write_text("One owl more.")
    properties = make_corpus(tmp_path / "bad.txt", tmp_path / "good.txt").properties
    assert properties["counts"]["documents"] == 1
    assert properties["first_bad_rows"] == [{"file": "bad.txt", "line": line, "reason": "is not UTF-8"}]


def test_a_long_text_of_nothing_but_space_is_empty(short_windows, tmp_path, make_corpus):
    (tmp_path / "blank.txt").write_text(" \n" * 2000)
    (tmp_path / "good.txt").write_text("One owl more.")
    properties = make_corpus(tmp_path / "blank.txt", tmp_path / "good.txt").properties
    assert properties["first_bad_rows"] == [{"file": "blank.txt", "line": 1, "reason": "has an empty 'text'"}]


MEASURE = """
import sys
sys.modules["torch"] = None  # not needed, and slow to import
from pathlib import Path
from whence_backends.corpus import IngestConfig, ingest, windows
from whence_backends.corpus.ingestion import documents
from whence_backends.corpus.ingestion.formats import text
from whence_backends.models import Tokenizer, locate_model
windows.WINDOW_CHARACTERS = 1 << 15  # so that memory is at its most after a small part of the small file
documents.LONG_CHARACTERS = text._HELD_CHARACTERS = 1 << 16
model, out, small, large = sys.argv[1:]
tokenizer = Tokenizer.load(locate_model(model, weights=False))
peaks = []
for name in (small, large):
    ingest(IngestConfig(inputs=[Path(name)], out=Path(out) / Path(name).stem, tokenizer=tokenizer))
    status = Path("/proc/self/status").read_text()  # getrusage's maximum is inherited from the parent
    peaks.append(int(status.partition("VmHWM:")[2].split()[0]) >> 10)
print(*peaks)
"""


def test_a_text_file_five_times_as_large_takes_no_more_memory(tmp_path, tiny_folder):
    line = "The owl keeps the harbour light and the keeper keeps the owl.\n"
    for name, size in (("small", 1 << 20), ("large", 5 << 20)):
        (tmp_path / f"{name}.txt").write_text(line * (size // len(line)))
    command = [
        sys.executable,
        "-c",
        MEASURE,
        *map(str, (tiny_folder, tmp_path, tmp_path / "small.txt", tmp_path / "large.txt")),
    ]
    small, large = map(int, subprocess.check_output(command, text=True).split())
    assert large - small < 200, (small, large)  # MB; held whole, four more megabytes took 700
