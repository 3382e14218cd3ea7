"""Checkpoints on disk to break: models saved small, their weights changed, and the same model as a GGUF file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors.torch import load_file, save_file

import tiny_models
from whence_backends.models import resolve_model
from whence_backends.models.torch_loading import load_causal_lm

Weights = dict[str, torch.Tensor]


def load(path: Path, precision: str = "float32", **options: Any) -> Any:
    """The model as fits, exports and engines load it."""
    return load_causal_lm(resolve_model(str(path)), precision, "cpu", **options)


def save(model: Any, folder: Path) -> Path:
    return tiny_models.save(model, folder)


def change(folder: Path, edit: Callable[[Weights], object]) -> Path:
    """Change the weights of a saved model."""
    file = folder / "model.safetensors"
    weights = load_file(file)
    edit(weights)
    save_file(weights, file, {"format": "pt"})
    return folder


def configure(folder: Path, **settings: Any) -> Path:
    """Change the configuration of a saved model; ``None`` takes a setting out."""
    file = folder / "config.json"
    config = {**json.loads(file.read_text()), **settings}
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    return folder


def gguf_tensors(model: Any) -> list[tuple[str, np.ndarray]]:
    """What llama.cpp calls the parameters of a Llama, and how it turns those of attention."""
    weights = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    config = model.config
    heads = {"q": config.num_attention_heads, "k": config.num_key_value_heads}
    names = {"self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "input_layernorm": "attn_norm"}
    names |= {"mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
    names |= {"post_attention_layernorm": "ffn_norm"}
    found = [("token_embd.weight", weights["model.embed_tokens.weight"]), ("output.weight", weights["lm_head.weight"])]
    found.append(("output_norm.weight", weights["model.norm.weight"]))
    for layer in range(config.num_hidden_layers):
        path = f"model.layers.{layer}."
        found += [(f"blk.{layer}.{short}.weight", weights[f"{path}{name}.weight"]) for name, short in names.items()]
        for kind, number in heads.items():
            turned = _turned(weights[f"{path}self_attn.{kind}_proj.weight"], number)
            found.append((f"blk.{layer}.attn_{kind}.weight", turned))
    return found


def _turned(x: np.ndarray, heads: int) -> np.ndarray:
    return x.reshape(heads, 2, x.shape[0] // heads // 2, x.shape[1]).swapaxes(1, 2).reshape(x.shape)


def write_gguf(
    path: Path,
    model: Any,
    tensors: Iterable[tuple[str, np.ndarray]],
    raw: gguf.GGMLQuantizationType | None = None,
    **more: Any,
) -> Path:
    """Write a Llama as a GGUF file, of packed bytes where ``raw`` is their type.

    ``more`` are settings beside the usual ones, dots written as two underscores.
    """
    config = model.config
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    for key, value in more.items():
        name = key.replace("__", ".")
        if isinstance(value, str):
            writer.add_string(name, value)
        else:
            writer.add_uint16(name, value)
    for name, tensor in tensors:
        kind = np.float32 if raw is None else np.uint8
        writer.add_tensor(name, np.ascontiguousarray(tensor, dtype=kind), raw_dtype=raw)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
