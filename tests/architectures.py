"""Tiny models of the architectures that the installed transformers knows, with random weights and strong attention."""

from __future__ import annotations

from typing import Any

import torch

# What configurations call their sizes; each takes those that it has.
SIZES: dict[str, Any] = {
    "vocab_size": 61,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
    "is_decoder": True,
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "word_embed_proj_dim", "embedding_size", "lru_width"), 16),
    **dict.fromkeys(("intermediate_size", "n_inner", "ffn_dim", "decoder_ffn_dim", "encoder_ffn_dim"), 24),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "decoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "decoder_attention_heads"), 2),
    **dict.fromkeys(("encoder_layers", "num_key_value_heads", "n_group", "topk_group", "n_shared_experts"), 1),
    **dict.fromkeys(("encoder_attention_heads", "num_experts_per_tok"), 2),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len"), 64),
    **dict.fromkeys(("head_dim", "rotary_dim", "v_head_dim", "sliding_window", "moe_intermediate_size"), 8),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "shared_expert_intermediate_size"), 8),
    **dict.fromkeys(("qk_rope_head_dim", "qk_nope_head_dim", "num_experts", "num_local_experts"), 4),
    **dict.fromkeys(("n_routed_experts", "state_size", "time_step_rank", "mamba_d_state", "mamba_dt_rank"), 4),
    **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop", "attention_dropout", "dropout"), 0.0),
}


def build(kind: str, **settings: Any) -> Any:
    """Return a tiny float64 model of a ``model_type``, weights drawn with a seed."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = type(AutoConfig.for_model(kind))
    known = {name: value for name, value in SIZES.items() if _takes(config, name)}
    model = AutoModelForCausalLM.from_config(config(**{**known, **settings}), dtype=torch.float64)
    if model._can_set_experts_implementation():
        model.set_experts_implementation("eager")  # the default has no float64
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() >= 2 and "norm" not in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
    return model.eval()


def _takes(config: Any, name: str) -> bool:
    return name in config.__dataclass_fields__ or name in config.attribute_map
