"""A tiny byte-level BPE tokenizer, trained here, and helpers that make corpora with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from whence_backends.corpus import Corpus, IngestConfig, SequenceRecord, ingest
from whence_backends.models import Tokenizer, resolve_model

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL_TOKENS = ["<|begin|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
TEXTS = [
    "The owl keeps the harbour light and the keeper keeps the owl.",
    "Twelve ships came home before the winter storms, and one did not.",
    "Grüße aus Zürich: 東京の朝は静かです 🎉👩‍🚀 and so to bed.",
]


def _write_model(
    folder: Path, *, chat_template: str | None = CHAT_TEMPLATE, specials: bool = True, add_bos: bool = False
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    _train_backend(add_bos=add_bos).save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast"}
    config |= {"bos_token": "<|begin|>", "eos_token": "<|end|>"} if specials else {}
    config |= {"chat_template": chat_template} if chat_template else {}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    save_file({"weight": np.arange(8, dtype=np.float32)}, folder / "model.safetensors")
    return folder


def _train_backend(*, add_bos: bool) -> Backend:
    """Train a tokenizer of GPT-2's kind, which cuts leading spaces off its offsets."""
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=SPECIAL_TOKENS, initial_alphabet=alphabet)
    backend.train_from_iterator(TEXTS * 3, trainer)
    backend.post_processor = processors.ByteLevel(trim_offsets=True)
    if add_bos:
        bos = ("<|begin|>", backend.token_to_id("<|begin|>"))
        backend.post_processor = processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[bos])
    return backend


@pytest.fixture(scope="session")
def write_model() -> Callable[..., Path]:
    """Write a model folder: a tiny tokenizer, a configuration, and weights that nobody runs."""
    return _write_model


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def tokenizer(tiny_folder: Path) -> Tokenizer:
    return Tokenizer.load(resolve_model(str(tiny_folder)))


@pytest.fixture
def jsonl(tmp_path: Path) -> Callable[..., Path]:
    """Write rows, or raw lines, to a JSON Lines file."""

    def write(rows: Iterable[Any], name: str = "data.jsonl") -> Path:
        lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        return path

    return write


@pytest.fixture
def make_corpus(tmp_path: Path, tokenizer: Tokenizer) -> Callable[..., Corpus]:
    """Ingest inputs with the tiny tokenizer and open what comes of them."""

    def make(*inputs: Path, out: str = "corpus", **settings: Any) -> Corpus:
        settings = {"tokenizer": tokenizer, **settings}
        report = ingest(IngestConfig(inputs=inputs, out=tmp_path / out, **settings))
        return Corpus.open(report.path)

    return make


@pytest.fixture(scope="session")
def records() -> Callable[[Corpus], list[SequenceRecord]]:
    """List every sequence of a corpus."""
    return lambda corpus: [corpus.record(position) for position in range(corpus.sequences)]
