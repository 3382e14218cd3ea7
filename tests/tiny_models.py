"""Tiny language models with random weights, strong attention and every feature the tracked layers must survive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

VOCABULARY = 61


def llama(*, tie: bool = False, bias: bool = False, blocks: int = 2) -> Any:
    """Llama-shaped: grouped-query attention; biases or tied embeddings where asked."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=blocks,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=tie,
        mlp_bias=bias,
        attention_bias=bias,
    )
    return _strengthened(LlamaForCausalLM(config))


def gpt2() -> Any:
    """GPT-2-shaped: Conv1D with biases, tied embeddings, learned positions."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=2, n_positions=64, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0
    )
    return _strengthened(GPT2LMHeadModel(config))


def _strengthened(model: Any) -> Any:
    """Enlarge the weights, so that attention is far from uniform and layers differ in scale."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or "ln_" in name:
                continue
            scale = 0.6 if parameter.dim() == 2 else 0.3
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return model.eval()


def save(model: Any, folder: Path) -> Path:
    """Save a model where ``resolve_model`` finds it."""
    model.save_pretrained(folder)
    return folder
