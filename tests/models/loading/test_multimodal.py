"""Models that also see or hear are served through their text part: what text does not run through is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import data
from models.loading.checkpoints import change, load, save
from whence.errors import InvalidRequestError, MismatchError
from whence_backends.contract import EngineConfig
from whence_backends.engines import load_engine
from whence_backends.fit import FitConfig, fit
from whence_backends.models.shape import ModelShape, towers_of
from whence_backends.models.tracked import coverage, track

TEXT = {
    "vocab_size": 61, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2,
}  # fmt: skip
VISION = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28,
    "patch_size": 14,
}  # fmt: skip
ROTARY = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
QWEN = {"depth": 1, "hidden_size": 16, "out_hidden_size": 16, "num_heads": 2, "patch_size": 14, "intermediate_size": 24}
CASES: dict[str, dict[str, Any]] = {
    "Gemma3": {"text_config": TEXT, "vision_config": VISION, "mm_tokens_per_image": 4, "image_token_index": 60},
    "Llava": {
        "text_config": {**TEXT, "model_type": "llama"},
        "vision_config": {**VISION, "model_type": "clip_vision_model"},
        "image_token_index": 60,
    },
    "Qwen2_5_VL": {"text_config": {**TEXT, "rope_parameters": ROTARY}, "vision_config": QWEN},
    "Voxtral": {
        "text_config": TEXT,
        "audio_config": {
            "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2,
            "num_mel_bins": 8, "max_source_positions": 16,
        },
    },
    "SmolVLM": {"text_config": {**TEXT, "model_type": "llama"}, "vision_config": VISION},
    "Mllama": {
        "text_config": {**TEXT, "cross_attention_layers": [1]},
        "vision_config": {
            "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "attention_heads": 2, "image_size": 28,
            "patch_size": 14, "num_global_layers": 1, "vision_output_dim": 32, "intermediate_layers_indices": [0],
            "max_num_tiles": 1, "supported_aspect_ratios": [[1, 1]],
        },
    },
}  # fmt: skip


def build(name: str) -> Any:
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**CASES[name])
    return getattr(transformers, f"{name}ForConditionalGeneration")(config).eval()


@pytest.mark.parametrize("name", CASES)
def test_what_is_loaded_computes_what_was_saved(name: str, tmp_path: Path) -> None:
    whole = build(name)
    loaded = load(save(whole, tmp_path / "model"))
    tokens = torch.arange(3, 12)[None]
    torch.testing.assert_close(loaded(input_ids=tokens).logits, whole(input_ids=tokens).logits.detach())
    assert ModelShape.of(loaded) == ModelShape(max_tokens=64, vocabulary_size=61)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("selection", ["mlp", "all-linear"])
def test_towers_are_neither_tracked_nor_counted(name: str, selection: str) -> None:
    model = build(name)
    layers = track(model, selection)
    assert towers_of(model)
    for layer in layers:
        assert "language_model" in layer.spec.name or "text_model" in layer.spec.name
    text = [model.get_decoder(), model.get_output_embeddings()]
    counted = {id(parameter): parameter.numel() for module in text for parameter in module.parameters()}
    assert coverage(model, layers).parameters == sum(counted.values())


def test_a_pattern_that_matches_only_a_tower_lists_what_there_is() -> None:
    with pytest.raises(InvalidRequestError, match=r"no linear layer matches 'vision.*language_model") as caught:
        track(build("Gemma3"), "vision_tower.*mlp")
    assert "vision" not in caught.value.message.split("some of:")[1]


def test_a_tower_within_the_text_model_is_left_out_and_a_model_of_parts_is_not() -> None:
    """GIT keeps its image encoder inside; BLT's encoder, decoder and middle have configurations of their own."""
    sizes = {key: TEXT[key] for key in ("vocab_size", "hidden_size", "intermediate_size", "max_position_embeddings")}
    settings = {**sizes, "num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.device("meta"):
        git = transformers.GitForCausalLM(transformers.GitConfig(**settings, vision_config=VISION))
        parts = transformers.BltForCausalLM(transformers.BltConfig())
        shared = transformers.ProphetNetForCausalLM(transformers.ProphetNetConfig())  # its embeddings lie beside
    assert towers_of(git) == ["git.image_encoder"]
    assert (towers_of(parts), towers_of(shared)) == ([], [])


def test_a_tower_without_its_weights_is_refused(tmp_path: Path) -> None:
    """It does not run for text; but a checkpoint of which a part is lost may have lost another."""
    folder = save(build("Gemma3"), tmp_path / "model")
    change(folder, lambda weights: weights.pop(next(name for name in weights if "vision_tower" in name)))
    with pytest.raises(MismatchError, match=r"lacks model\.vision_tower"):
        load(folder)


@pytest.mark.parametrize("name", ["Gemma3", "Llava"])
def test_influences_come_from_the_text_part(name: str, tmp_path: Path) -> None:
    folder, items = save(build(name), tmp_path / "model"), data.sequences(6)
    factors = fit(FitConfig(model=str(folder), out=tmp_path / "factors", device="cpu"), data.InMemory(items))
    assert len(factors.card.layers) == 6
    assert all("language_model" in layer.name for layer in factors.card.layers)
    engine = load_engine("pytorch", EngineConfig(model=str(folder), factors=tmp_path / "factors", device="cpu"))
    assert (engine.info.vocabulary_size, engine.info.max_tokens) == (61, 64)
    scores = engine.score(engine.precondition(engine.query_gradients(items[:1]), 0.1), items)
    assert scores[0].argmax() == 0
