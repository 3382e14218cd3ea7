"""The queries of a validation, and the log-likelihoods that are measured."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from whence.errors import InvalidRequestError
from whence_backends.contract import TokenSequence
from whence_backends.validation.likelihoods import log_likelihoods
from whence_backends.validation.queries import json_lines, read_queries


class Spelled:
    """A tokenizer whose tokens are letters."""

    def decode(self, ids):
        return "".join(map(chr, ids))


ROWS = [
    {"id": "a", "prompt": "The sea is", "completion": " salt"},
    {"completion": "Salt"},
    {"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Salt."}]},
    {"token_ids": [83, 97, 108, 116], "completion_start": 2},
]
COLUMNS = ("id", "prompt", "completion", "messages", "token_ids", "completion_start")
SAID = [("a", "The sea is salt"), ("2", "Salt"), ("3", "Why?\nSalt."), ("4", "Salt")]


def write_csv(path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for row in ROWS:
            writer.writerow(
                {name: value if isinstance(value, str) else json.dumps(value) for name, value in row.items()}
            )


WRITERS = {
    "q.jsonl": lambda path: path.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS)),
    "q.csv": write_csv,
    "q.parquet": lambda path: pq.write_table(
        pa.table({name: [row.get(name) for row in ROWS] for name in COLUMNS}), path
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_queries_of_every_kind_are_read_from_every_format(tmp_path: Path, name: str):
    WRITERS[name](tmp_path / name)
    queries = read_queries(tmp_path / name)
    assert [(query.id, query.text(Spelled())) for query in queries] == SAID


@pytest.mark.parametrize("name", WRITERS)
def test_a_bank_has_them_as_json_lines_that_say_the_same(tmp_path: Path, name: str):
    WRITERS[name](tmp_path / name)
    (tmp_path / "bank.jsonl").write_bytes(json_lines(tmp_path / name))
    again, first = read_queries(tmp_path / "bank.jsonl"), read_queries(tmp_path / name)
    assert [(query.id, query.query) for query in again] == [(query.id, query.query) for query in first]
    if name.endswith("jsonl"):
        assert json_lines(tmp_path / name) == (tmp_path / name).read_bytes()


@pytest.mark.parametrize(
    ("content", "reason", "message"),
    [
        ("", "INVALID_QUERIES", "has no query"),
        ("{", "INVALID_QUERIES", "q.jsonl: row 1 is not JSON"),
        ("[1]", "INVALID_QUERIES", "q.jsonl: row 1 holds a JSON list"),
        ('{"prompt": "x"}', "INVALID_QUERIES", "is no query"),
        ('{"prompt": 3, "completion": "x"}', "INVALID_QUERIES", "is no query"),
        ('{"messages": [{"role": "user", "content": "?"}]}', "INVALID_LAST_ROLE", "row 1: the last role is 'user'"),
        ('{"id": 1, "completion": "x"}\n{"id": "1", "completion": "y"}', "INVALID_QUERIES", "the id '1' twice"),
    ],
)
def test_a_file_that_has_no_queries_is_refused(tmp_path: Path, content: str, reason: str, message: str):
    (tmp_path / "q.jsonl").write_text(content)
    with pytest.raises(InvalidRequestError, match=message) as raised:
        read_queries(tmp_path / "q.jsonl")
    assert raised.value.reason == reason


@pytest.mark.parametrize(("name", "reason"), [("none.jsonl", "UNREADABLE_FILE"), ("q.txt", "UNKNOWN_TABLE_FORMAT")])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str, reason: str):
    with pytest.raises(InvalidRequestError) as raised:
        read_queries(tmp_path / name)
    assert raised.value.reason == reason


def test_log_likelihoods_are_those_of_each_sequence_alone():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16
    )
    model = LlamaForCausalLM(config).double().eval()
    rng = np.random.default_rng(0)
    sequences = []
    for length in (2, 9, 5, 30, 1):
        weights = rng.integers(0, 3, length).astype(np.float64)
        weights[0] = 0
        sequences.append(TokenSequence(token_ids=rng.integers(0, 50, length).astype(np.int32), weights=weights))
    expected = []
    for sequence in sequences:
        ids = torch.from_numpy(sequence.token_ids).long()
        log_p = model(ids[None]).logits[0].log_softmax(-1)
        expected.append(sum(sequence.weights[t] * log_p[t - 1, ids[t]].item() for t in range(1, len(ids))))
    for batch_tokens in (1, 64):
        np.testing.assert_allclose(
            log_likelihoods(model, sequences, batch_tokens=batch_tokens), expected, rtol=1e-5, atol=1e-6
        )
