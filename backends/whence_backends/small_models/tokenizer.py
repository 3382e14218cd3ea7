"""The tokenizer of a small model: byte-level BPE of its own texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

END: Final = "<|endoftext|>"


def byte_level_tokenizer(texts: Sequence[str], *, vocabulary: int, max_tokens: int) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer of the texts that adds no special tokens by itself.

    :data:`END` is its end of text, its beginning and its padding.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END, eos_token=END, pad_token=END, model_max_length=max_tokens
    )
