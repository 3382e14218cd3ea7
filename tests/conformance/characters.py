"""A tokenizer with one token for each character, so that any sequence of token ids can be written as a text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, decoders, pre_tokenizers
from tokenizers import Tokenizer as Backend
from tokenizers.models import WordLevel

import tiny_models

CHARACTERS = "^ abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,;:!?'"
BOS = "^"
UNKNOWN = "?"
CHAT_TEMPLATE = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }};{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)

assert len(set(CHARACTERS)) == tiny_models.VOCABULARY


def write_tokenizer(folder: Path, *, chat_template: str | None = None, characters: str = CHARACTERS) -> None:
    """Put the tokenizer into a model's folder; token i is the i-th of the ``characters``."""
    vocabulary = {character: number for number, character in enumerate(characters)}
    backend = Backend(WordLevel(vocabulary, unk_token=UNKNOWN))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    backend.decoder = decoders.Fuse()
    backend.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BOS, "chat_template": chat_template}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def text_of(token_ids: Iterable[int]) -> str:
    """Return the text that has these tokens."""
    return "".join(CHARACTERS[token] for token in token_ids)
