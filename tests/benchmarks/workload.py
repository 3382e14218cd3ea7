"""Work for benchmarks: a Llama-shaped model and a corpus, both random. The arithmetic does not know the difference."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def random_llama(folder: Path, *, width: int, depth: int, vocabulary: int, tokens: int) -> Path:
    """Save a model whose sequences have at most ``tokens`` tokens."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=3 * width, num_hidden_layers=depth,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=tokens,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def random_tokens(*, sequences: int, tokens: int, vocabulary: int) -> np.ndarray:
    """Return token ids, int32 [sequences, tokens]."""
    return np.random.default_rng(0).integers(0, vocabulary, (sequences, tokens)).astype(np.int32)
