"""A model that can be fitted, with a tokenizer of one token a character, and corpora made with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Backend

from tiny_models import llama
from whence_backends.corpus import ChunkPolicy, Corpus, IngestConfig, ingest
from whence_backends.models import Tokenizer, locate_model

CHARACTERS = "<^> abcdefghijklmnopqrstuvwxyz.,!"
TEXTS = ["the owl keeps the light", "rain fell on the harbour", "bakers rise before the light"]


def write_tokenizer(folder: Path, *, characters: str = CHARACTERS, added: Sequence[str] = ()) -> Path:
    """Put a tokenizer beside the model in a folder."""
    backend = Backend(models.WordLevel({letter: at for at, letter in enumerate(characters)}, unk_token="!"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    backend.decoder = decoders.Fuse()
    backend.add_tokens([AddedToken(token, normalized=False) for token in added])
    folder.mkdir(parents=True, exist_ok=True)
    backend.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    return folder


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 61 tokens, twice the tokenizer's, for sequences of up to 64."""
    folder = tmp_path_factory.mktemp("weights")
    llama().save_pretrained(folder)
    return folder


MakeModel = Callable[..., Path]


@pytest.fixture
def make_model(tmp_path: Path, weights: Path) -> MakeModel:
    """Return a model folder with another tokenizer beside the same weights."""

    def make(name: str = "model", **tokenizer: Any) -> Path:
        folder = write_tokenizer(tmp_path / name, **tokenizer)
        for file in weights.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        return folder

    return make


@pytest.fixture
def make_corpus(tmp_path: Path) -> Callable[..., Corpus]:
    """Ingest texts with a model's tokenizer."""

    def make(model: Path, texts: Sequence[str] = TEXTS, name: str = "corpus", **policy: Any) -> Corpus:
        rows = tmp_path / f"{name}.jsonl"
        rows.write_text("".join(json.dumps({"id": f"d{at}", "text": text}) + "\n" for at, text in enumerate(texts)))
        tokenizer = Tokenizer.load(locate_model(str(model), weights=False))
        chunking = ChunkPolicy(**policy)
        ingest(IngestConfig(inputs=[rows], out=tmp_path / name, tokenizer=tokenizer, policy=chunking))
        return Corpus.open(tmp_path / name)

    return make
