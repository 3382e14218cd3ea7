"""A small language model of real text, with everything that the response function needs of it on disk."""

from __future__ import annotations

import json
import re
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from whence_backends.validation.pbrf.config import PbrfConfig

DOCUMENTS = 240
QUERIES = 10
MODULES = (
    "argparse.py",
    "ast.py",
    "asyncio/base_events.py",
    "configparser.py",
    "decimal.py",
    "_pydecimal.py",
    "inspect.py",
)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The widths of the residual stream and of the MLP, the blocks, and the tokens of a sequence."""

    width: int = 32
    hidden: int = 64
    blocks: int = 2
    tokens: int = 64


def make_language_artefacts(
    folder: Path, *, documents: int = DOCUMENTS, points: int = 40, epochs: int = 8, shape: Shape = Shape()
) -> PbrfConfig:
    """Train a model on paragraphs of Python's library and fit factors on all of them; some are held out as queries."""
    from whence_backends.corpus import ChunkPolicy, Corpus, IngestConfig, ingest
    from whence_backends.fit import FitConfig, fit
    from whence_backends.models import Tokenizer, resolve_model

    texts = paragraphs(documents + QUERIES)
    _train(folder / "model", texts[:documents], epochs, shape)
    rows = [{"id": f"d{number}", "text": text} for number, text in enumerate(texts[:documents])]
    _write(folder / "documents.jsonl", rows)
    _write(folder / "queries.jsonl", [{"prompt": text[:60], "completion": text[60:]} for text in texts[documents:]])
    tokenizer = Tokenizer.load(resolve_model(str(folder / "model")))
    policy = ChunkPolicy(max_tokens=shape.tokens, bos=False, eos=False)
    ingest(IngestConfig(inputs=[folder / "documents.jsonl"], out=folder / "corpus", tokenizer=tokenizer, policy=policy))
    corpus, model = Corpus.open(folder / "corpus"), str(folder / "model")
    fit(FitConfig(model=model, out=folder / "factors", precision="float64", device="cpu"), corpus)
    return PbrfConfig(
        model=model,
        factors=folder / "factors",
        corpus=folder / "corpus",
        queries=folder / "queries.jsonl",
        points=points,
        sequences=corpus.sequences,
        device="cpu",
    )


def paragraphs(count: int) -> list[str]:
    """Docstrings' and comments' paragraphs of 120 to 240 characters, in the order of the files."""
    root = Path(sysconfig.get_path("stdlib"))
    files = [(root / name).read_text(encoding="utf-8") for name in MODULES if (root / name).is_file()]
    cut = [re.sub(r"\s+", " ", part).strip() for text in files for part in re.split(r"\n\s*\n", text)]
    return [part[:240] for part in cut if len(part) >= 120][:count]


def _train(folder: Path, texts: list[str], epochs: int, shape: Shape) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from whence_backends.demo.train_model import Recipe, train

    torch.manual_seed(0)
    words = Tokenizer(models.BPE())
    words.pre_tokenizer, words.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=384, initial_alphabet=alphabet, show_progress=False)
    words.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=256)
    config = LlamaConfig(
        vocab_size=384,
        hidden_size=shape.width,
        intermediate_size=shape.hidden,
        num_hidden_layers=shape.blocks,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = LlamaForCausalLM(config)
    sequences = [ids[: shape.tokens] for ids in (tokenizer.encode(text) for text in texts)]
    train(model, sequences, Recipe(epochs=epochs, documents_per_batch=8, warmup_steps=20))
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
