"""How many tokens a model knows and takes, whatever its configuration calls that and wherever it says so."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from whence_backends.models.shape import UNBOUNDED_TOKENS, ModelShape, text_part

LLAMA = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
LENGTH = {"vocab_size": 61, "max_position_embeddings": 48}
VISION = {**LLAMA, "image_size": 8, "patch_size": 4}


def build(name: str, **settings: Any) -> Any:
    """A causal language model of a configuration, without memory for its weights."""
    config = getattr(transformers, f"{name}Config")(**settings)
    with torch.device("meta"):
        return transformers.AutoModelForCausalLM.from_config(config)


@pytest.mark.parametrize(
    ("name", "settings", "max_tokens"),
    [
        ("Llama", {**LLAMA, **LENGTH}, 48),
        ("GPT2", {"vocab_size": 61, "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 48}, 48),
        ("CTRL", {"vocab_size": 61, "n_embd": 8, "n_layer": 1, "n_head": 2, "dff": 8, "n_positions": 48}, 48),
        ("Mpt", {"vocab_size": 61, "d_model": 8, "n_layers": 1, "n_heads": 2, "max_seq_len": 48}, 48),
        ("OPT", {**LLAMA, **LENGTH, "ffn_dim": 8, "word_embed_proj_dim": 8}, 48),
        ("Bart", {**LENGTH, "d_model": 8, "decoder_layers": 1, "decoder_attention_heads": 2}, 48),
        ("Roberta", {**LLAMA, **LENGTH, "is_decoder": True, "pad_token_id": 1}, 46),
        ("Bloom", {"vocab_size": 61, "hidden_size": 8, "n_layer": 1, "n_head": 2}, UNBOUNDED_TOKENS),
        ("Mamba", {"vocab_size": 61, "hidden_size": 8, "num_hidden_layers": 1}, UNBOUNDED_TOKENS),
        ("XLNet", {"vocab_size": 61, "d_model": 8, "n_layer": 1, "n_head": 2, "d_inner": 8}, UNBOUNDED_TOKENS),
    ],
)
def test_the_longest_sequence_is_what_the_positions_are_good_for(
    name: str, settings: dict[str, Any], max_tokens: int
) -> None:
    assert ModelShape.of(build(name, **settings)) == ModelShape(max_tokens=max_tokens, vocabulary_size=61)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("Gemma3", {"text_config": {**LLAMA, **LENGTH, "num_key_value_heads": 1, "head_dim": 4, "pad_token_id": 0}}),
        ("Git", {**LLAMA, **LENGTH}),
    ],
)
def test_what_a_model_sees_images_with_says_nothing_of_its_text(name: str, settings: dict[str, Any]) -> None:
    """Broken by: the four positions of the tower's patches, the length of its configuration."""
    model = build(name, vision_config=VISION, **settings)
    assert ModelShape.of(model) == ModelShape(max_tokens=48, vocabulary_size=61)


def test_the_text_part_is_the_language_model_beside_the_tower_or_the_whole_body() -> None:
    text = {**LLAMA, **LENGTH, "num_key_value_heads": 1, "head_dim": 4, "pad_token_id": 0}
    multimodal, plain = build("Gemma3", vision_config=VISION, text_config=text), build("Llama", **LLAMA, **LENGTH)
    encoder = build("ModernBertDecoder", **LLAMA, **LENGTH, pad_token_id=0)  # calls its output layer a decoder
    assert text_part(multimodal) is multimodal.model.language_model
    assert (text_part(plain), text_part(encoder)) == (plain.model, encoder.model)


def test_the_vocabulary_is_counted_where_the_configuration_is_wrong() -> None:
    """Mllama's embeddings hold eight rows more than its output layer can name."""
    model = build("Llama", **LLAMA, **LENGTH)
    model.config.vocab_size = 99
    assert ModelShape.of(model).vocabulary_size == 61
    model.model.embed_tokens = torch.nn.Embedding(69, 8)
    assert ModelShape.of(model).vocabulary_size == 61
