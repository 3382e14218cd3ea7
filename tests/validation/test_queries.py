"""The queries of a validation, and the log-likelihoods that are measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from whence.errors import InvalidRequestError
from whence_backends.contract import TokenSequence
from whence_backends.validation.likelihoods import log_likelihoods
from whence_backends.validation.queries import read_queries


def test_queries_are_texts_or_conversations(tmp_path: Path):
    file = tmp_path / "q.jsonl"
    file.write_text(
        '{"id": "a", "prompt": "The sea is", "completion": " salt"}\n\n{"completion": "Salt"}\n'
        '{"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Salt."}]}\n'
    )
    queries = read_queries(file)
    assert [(query.id, query.text) for query in queries] == [
        ("a", "The sea is salt"),
        ("3", "Salt"),
        ("4", "Why?\nSalt."),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no query"),
        ("{", "q.jsonl:1 is not JSON"),
        ("[1]", "q.jsonl:1 is no query"),
        ('{"prompt": "x"}', "is no query"),
        ('{"prompt": 3, "completion": "x"}', "is no query"),
        ('{"id": 1, "completion": "x"}\n{"id": "1", "completion": "y"}', "the id '1' twice"),
    ],
)
def test_a_file_that_has_no_queries_is_refused(tmp_path: Path, content: str, message: str):
    (tmp_path / "q.jsonl").write_text(content)
    with pytest.raises(InvalidRequestError, match=message):
        read_queries(tmp_path / "q.jsonl")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        read_queries(tmp_path / "none.jsonl")


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
