"""The facts about a model for the preflight, from its configuration, without its weights. No torch, except for GGUF."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from whence.errors import NotFoundError
from whence_backends.models.exported import Export
from whence_backends.models.shape import stated_length, text_config
from whence_backends.models.source import ModelLocation, ModelSource
from whence_backends.models.text.tokenizer import Tokenizer
from whence_backends.preflight import ModelFacts

_TOKENS: Final = "tokenizer.ggml.tokens"


def model_facts(source: ModelSource | ModelLocation, tokenizer: Tokenizer | None) -> ModelFacts:
    """Return the facts about a model that need no weights; ``None`` for those that its configuration does not state.

    For a :class:`ModelLocation` the digest is ``None`` too.
    """
    facts = ModelFacts(name=source.reference, digest=source.digest if isinstance(source, ModelSource) else "")
    if tokenizer is not None:
        facts = replace(
            facts,
            tokenizer_digest=tokenizer.digest,
            tokenizer_size=tokenizer.vocabulary_size,
            unverified=tokenizer.unverified,
        )
    if source.kind == "export":
        facts = replace(facts, layers=tuple(map(str, Export.open(source.path, verify=False).card.layers)))
    vocabulary_size, max_tokens = _shape(source)
    return replace(facts, vocabulary_size=vocabulary_size, max_tokens=max_tokens)


def find_tokenizer(source: ModelSource) -> Tokenizer | None:
    """Return a model's tokenizer, or ``None`` if it has none, as for a model that is only called in process."""
    try:
        return Tokenizer.load(source)
    except NotFoundError:
        return None


def _shape(source: ModelSource | ModelLocation) -> tuple[int | None, int | None]:
    """Return the vocabulary size and the longest sequence that a model states, ``None`` for what it does not state."""
    if source.kind == "export":
        card = Export.open(source.path, verify=False).card
        return card.vocabulary_size, card.max_tokens
    if source.kind == "gguf":
        return _shape_of_gguf(source.path)
    return _shape_of_folder(source.path)


def _shape_of_gguf(path: Path) -> tuple[int | None, int | None]:
    from transformers.integrations.gguf import read_gguf_metadata

    metadata, _ = read_gguf_metadata(str(path))
    return metadata.get(_TOKENS), metadata.get(f"{metadata.get('general.architecture')}.context_length")


def _shape_of_folder(folder: Path) -> tuple[int | None, int | None]:
    """Read a Hugging Face configuration. An invalid one is reported when the model is loaded."""
    from transformers import AutoConfig

    try:
        config_of_all = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception:  # its checks raise anything; or it belongs to another engine
        return None, None
    config = text_config(config_of_all)
    return getattr(config, "vocab_size", None), stated_length(config)
