"""What is loaded is the checkpoint: every parameter from it, all of it in the model, all finite; or it is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny_models
from models.loading.checkpoints import Weights, change, configure, load, save
from whence.errors import InvalidRequestError, MismatchError, UnimplementedError, WhenceError
from whence_backends.export import ExportConfig, export
from whence_backends.models import Tokenizer, resolve_model
from whence_backends.models.facts import model_facts


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    return save(tiny_models.llama(), tmp_path / "model")


def refused(folder: Path, match: str, kind: type[WhenceError] = MismatchError, precision: str = "float32") -> str:
    with pytest.raises(kind, match=match) as caught:
        load(folder, precision)
    return caught.value.reason


@pytest.mark.parametrize(
    "name",
    [
        "lm_head.weight",
        "model.embed_tokens.weight",
        "model.norm.weight",
        "model.layers.1.mlp.up_proj.weight",
        "model.layers.0.self_attn.k_proj.weight",
    ],
)
def test_a_parameter_that_the_checkpoint_lacks_is_named_not_drawn(llama: Path, name: str) -> None:
    change(llama, lambda weights: weights.pop(name))
    assert refused(llama, f"lacks {name}") == "WEIGHTS_MISMATCH"


def test_a_configuration_of_a_far_larger_model_costs_no_memory(llama: Path) -> None:
    """A Llama's default configuration has 6.7 billion parameters, which would all be drawn before that is said."""
    (llama / "config.json").write_text('{"model_type": "llama"}')
    assert refused(llama, r"describes 6,738,415,616 parameters, and its files hold \d,\d{3}\.") == "WEIGHTS_MISMATCH"


def test_a_base_model_without_a_head_is_refused(tmp_path: Path) -> None:
    folder = save(tiny_models.llama().model, tmp_path / "model")
    configure(folder, architectures=["LlamaForCausalLM"])
    refused(folder, r'lacks lm_head\.weight.*If the embeddings are its head too, write "tie_word_embeddings": true')


def test_a_base_model_whose_head_is_its_embedding_is_whole(tmp_path: Path) -> None:
    whole = tiny_models.llama(tie=True)
    model = load(save(whole.model, tmp_path / "model"))
    assert torch.equal(model.lm_head.weight, whole.lm_head.weight)


@pytest.mark.parametrize(("layers", "said"), [(3, r"lacks model\.layers\.2"), (1, r"has model\.layers\.1")])
def test_more_or_fewer_layers_than_the_configuration_says_are_refused(llama: Path, layers: int, said: str) -> None:
    assert refused(configure(llama, num_hidden_layers=layers), said) == "WEIGHTS_MISMATCH"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"intermediate_size": 32}, r"up_proj\.weight \[24, 16\] for \[32, 16\]"),
        ({"vocab_size": 99}, r"embed_tokens\.weight \[61, 16\] for \[99, 16\]"),
        ({"num_key_value_heads": 4}, r"k_proj\.weight \[8, 16\] for \[16, 16\]"),
    ],
)
def test_other_shapes_than_the_configuration_says_are_refused(llama: Path, settings: dict[str, int], said: str) -> None:
    assert refused(configure(llama, **settings), said) == "WEIGHTS_MISMATCH"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model.layers.0.mlp.up_proj.bias", "no place"),
        ("score.weight", "no place"),
        ("v_head.summary.weight", "no place"),
        ("base_model.model.model.layers.0.mlp.up_proj.lora_A.weight", "merge_and_unload"),
    ],
)
def test_a_tensor_that_the_model_has_no_place_for_is_named(llama: Path, name: str, said: str) -> None:
    """Biases that the configuration denies, heads of other tasks, an adapter that was saved inside."""
    change(llama, lambda weights: weights.update({name: torch.zeros(24)}))
    assert refused(llama, f"{name.split('.')[-2]}.*{said}") == "WEIGHTS_MISMATCH"


def test_the_weights_of_another_kind_of_model_are_refused_in_a_few_words(llama: Path, tmp_path: Path) -> None:
    other = save(tiny_models.gpt2(), tmp_path / "other")
    (other / "model.safetensors").replace(llama / "model.safetensors")
    refused(llama, r"lacks .* and \d+ more.*, and it has .* and \d+ more")


def test_tied_weights_that_differ_are_not_guessed_about(tmp_path: Path) -> None:
    folder = save(tiny_models.llama(tie=True), tmp_path / "model")
    change(folder, lambda weights: weights.update({"lm_head.weight": weights["model.embed_tokens.weight"] + 1}))
    refused(folder, r"different weights for .*lm_head\.weight.*tie_word_embeddings")
    assert load(configure(folder, tie_word_embeddings=False)).lm_head.weight.shape == (61, 16)


def test_tied_weights_that_are_stored_twice_are_one(tmp_path: Path) -> None:
    folder = save(tiny_models.llama(tie=True), tmp_path / "model")
    change(folder, lambda weights: weights.update({"lm_head.weight": weights["model.embed_tokens.weight"].clone()}))
    model = load(folder)
    assert model.lm_head.weight is model.model.embed_tokens.weight


def set_value(name: str, value: float) -> Any:
    def edit(weights: Weights) -> None:
        weights[name].view(-1)[-1] = value

    return edit


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["model.layers.1.mlp.down_proj.weight", "model.norm.weight", "lm_head.weight"])
def test_a_weight_that_is_not_finite_is_named(llama: Path, name: str, value: float) -> None:
    change(llama, set_value(name, value))
    assert refused(llama, f"NaN or infinite in float32: {name}", InvalidRequestError) == "INVALID_WEIGHTS"


def test_a_weight_too_large_for_the_precision_is_named(llama: Path) -> None:
    change(llama, set_value("model.norm.weight", 3.4e38))
    load(llama, "float64")
    refused(llama, r"in bfloat16: model\.norm\.weight.*choose another", InvalidRequestError, "bfloat16")
    with pytest.raises(InvalidRequestError, match="in float16"):
        load(llama, "float16", for_export=True)


def test_a_buffer_that_is_not_finite_is_named(llama: Path) -> None:
    """Rotary frequencies of a base of 0."""
    configure(llama, rope_parameters={"rope_type": "default", "rope_theta": 0.0}, rope_theta=0.0)
    refused(llama, r"rotary_emb\.inv_freq", InvalidRequestError)


MASK = torch.ones(1, 1, 64, 64).tril()


@pytest.mark.parametrize(
    ("build", "name", "tensor"),
    [
        (tiny_models.gpt2, "transformer.h.0.attn.bias", MASK.bool()),
        (tiny_models.gpt2, "transformer.h.0.attn.masked_bias", torch.tensor(-1e9)),
        (tiny_models.llama, "model.layers.0.self_attn.rotary_emb.inv_freq", torch.ones(2)),
        (tiny_models.llama, "model.layers.0.attn.bias", MASK),
        (tiny_models.llama, "model.layers.0.attn.causal_mask", MASK),
        (tiny_models.llama, "model.embed_positions.weights", torch.ones(64, 16)),
        (tiny_models.llama, "model.pooler.dense.weight", torch.ones(16, 16)),
    ],
)
def test_what_older_versions_saved_beside_the_weights_does_no_harm(
    tmp_path: Path, build: Any, name: str, tensor: torch.Tensor
) -> None:
    """Masks and tables that are made anew, and heads of tasks that are not asked for here."""
    folder = save(build(), tmp_path / "model")
    change(folder, lambda weights: weights.update({name: tensor}))
    assert load(folder).training is False


def test_a_bias_is_not_taken_for_a_mask(llama: Path) -> None:
    change(llama, lambda weights: weights.update({"model.layers.0.attn.bias": torch.ones(16)}))
    refused(llama, r"attn\.bias")


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.float8_e4m3fn])
def test_weights_of_a_quantized_type_are_not_taken_for_numbers(llama: Path, dtype: torch.dtype) -> None:
    """transformers would read 127 where 127 times a scale is meant."""
    change(llama, lambda weights: weights.update({"lm_head.weight": weights["lm_head.weight"].to(dtype)}))
    assert refused(llama, r"quantized \((I|U|F)8", UnimplementedError) == "UNKNOWN_QUANTIZATION"


def test_a_model_in_several_files_is_the_model(tmp_path: Path) -> None:
    whole = tiny_models.llama()
    whole.save_pretrained(tmp_path / "model", max_shard_size="5KB")
    assert len(list((tmp_path / "model").glob("*.safetensors"))) > 1
    got = load(tmp_path / "model").state_dict()
    assert all(torch.equal(got[name], tensor) for name, tensor in whole.state_dict().items())


def test_an_index_that_leaves_a_file_out_is_refused(tmp_path: Path) -> None:
    tiny_models.llama().save_pretrained(tmp_path / "model", max_shard_size="5KB")
    index = tmp_path / "model" / "model.safetensors.index.json"
    settings = json.loads(index.read_text())
    head = settings["weight_map"]["lm_head.weight"]
    settings["weight_map"] = {name: file for name, file in settings["weight_map"].items() if file != head}
    index.write_text(json.dumps(settings))
    refused(tmp_path / "model", r"lacks .*lm_head\.weight")


def test_a_tensor_in_two_files_is_refused_by_name(tmp_path: Path) -> None:
    """Broken by: loading either of the two without a word."""
    tiny_models.llama().save_pretrained(tmp_path / "model", max_shard_size="5KB")
    weights = load_file(tmp_path / "model" / "model-00001-of-00006.safetensors")
    other = tmp_path / "model" / "model-00002-of-00006.safetensors"
    name = min(weights)
    save_file({**load_file(other), name: weights[name] + 1}, other, {"format": "pt"})
    with pytest.raises(InvalidRequestError, match=f"{name} in two files, model-00001.*model-00002") as caught:
        resolve_model(str(tmp_path / "model"))
    assert caught.value.reason == "INVALID_MODEL_FILE"


def test_an_export_refuses_what_a_fit_refuses(llama: Path, tmp_path: Path) -> None:
    change(llama, lambda weights: weights.pop("lm_head.weight"))
    with pytest.raises(MismatchError, match=r"lm_head\.weight"):
        export(ExportConfig(model=str(llama), out=tmp_path / "export"))


def test_nothing_is_printed_beside_the_error(llama: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """transformers' own report of what did not fit is a table with colours."""
    change(llama, lambda weights: weights.pop("lm_head.weight"))
    refused(llama, "lacks")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("settings", "said", "reason"),
    [
        ({"model_type": None}, "names no model_type", "INVALID_MODEL_FILE"),
        ({"model_type": 7}, "names no model_type", "INVALID_MODEL_FILE"),
        ({"model_type": "llamma"}, "no architecture 'llamma'", "UNKNOWN_ARCHITECTURE"),
        ({"model_type": "t5"}, "'t5' is an encoder with a decoder", "UNKNOWN_ARCHITECTURE"),
        ({"model_type": "bart"}, "'bart' is an encoder with a decoder", "UNKNOWN_ARCHITECTURE"),
        ({"model_type": "vit"}, "no language model of type 'vit'", "UNKNOWN_ARCHITECTURE"),
        ({"hidden_size": "wide"}, "cannot be loaded", "MODEL_NOT_LOADABLE"),
    ],
)
def test_a_configuration_of_no_decoder_of_text_is_refused(
    llama: Path, settings: dict[str, Any], said: str, reason: str
) -> None:
    assert refused(configure(llama, **settings), said, InvalidRequestError) == reason


def test_code_that_comes_with_a_model_is_neither_run_nor_asked_about(llama: Path) -> None:
    (llama / "code.py").write_text(f"open({str(llama / 'ran')!r}, 'w')")
    configure(llama, model_type="strange", auto_map={"AutoConfig": "code.A", "AutoModelForCausalLM": "code.B"})
    said = "no architecture 'strange'; the model comes with code of its own"
    assert refused(llama, said, InvalidRequestError) == "UNKNOWN_ARCHITECTURE"
    assert not (llama / "ran").exists()


def test_code_beside_an_architecture_that_transformers_has_is_not_needed(llama: Path) -> None:
    configure(llama, auto_map={"AutoModelForCausalLM": "code.B"})
    assert type(load(llama)).__module__.startswith("transformers.")


@pytest.mark.parametrize(
    "settings",
    [
        {"quantization_config": {"quant_method": "gptq", "bits": 4}},
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
        {"compression_config": {"quant_method": "compressed-tensors"}},
        {"text_config": {"quantization_config": {"quant_method": "fp8"}}},
    ],
)
def test_quantized_weights_are_refused_with_the_way_out(llama: Path, settings: dict[str, Any]) -> None:
    assert refused(configure(llama, **settings), "quantized.*unpack", UnimplementedError) == "UNKNOWN_QUANTIZATION"


def test_weights_quantized_without_a_word_in_the_configuration_are_refused(llama: Path) -> None:
    def pack(weights: Weights) -> None:
        del weights["model.layers.0.mlp.up_proj.weight"]
        weights["model.layers.0.mlp.up_proj.qweight"] = torch.zeros(2, 24, dtype=torch.int32)

    refused(change(llama, pack), "lacks.*up_proj.*qweight")


def test_a_head_for_classes_instead_of_words_is_refused(tmp_path: Path) -> None:
    from transformers import LlamaForSequenceClassification

    for tie in (False, True):
        config = tiny_models.llama(tie=tie).config
        folder = save(LlamaForSequenceClassification(config), tmp_path / str(tie))
        refused(folder, r"score\.weight")


def test_nobody_is_asked_about_code_that_comes_with_a_model(
    llama: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """By the preflight and the tokenizer either; transformers would ask on the terminal, and wait."""
    configure(llama, model_type="strange", auto_map={"AutoConfig": "code.A"})
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("was asked"))
    source = resolve_model(str(llama))
    assert model_facts(source, None).vocabulary_size is None
    with pytest.raises(WhenceError):
        Tokenizer.load(source)
    assert "trust_remote_code" not in capfd.readouterr().out


@pytest.mark.parametrize("content", ["{", "", "version https://git-lfs.github.com/spec/v1", '{"max_length": "long"}'])
def test_settings_of_generation_are_not_asked(llama: Path, content: str) -> None:
    (llama / "generation_config.json").write_text(content)
    assert load(llama).training is False


@pytest.mark.parametrize("settings", [{"hidden_size": "128"}, {"num_hidden_layers": "two"}, {"layer_types": ["odd"]}])
def test_settings_of_the_wrong_type_are_told_of_where_the_model_is_loaded(
    llama: Path, settings: dict[str, Any]
) -> None:
    """The preflight, which asks before, knows nothing then. Broken by: an error of the library that reads them."""
    source = resolve_model(str(configure(llama, **settings)))
    assert model_facts(source, None).vocabulary_size is None
    with pytest.raises(InvalidRequestError, match="cannot be loaded") as caught:
        load(llama)
    assert caught.value.reason == "MODEL_NOT_LOADABLE"


def test_a_configuration_that_asks_for_tuples_is_no_obstacle(llama: Path) -> None:
    """Broken by: outputs that are asked for by name, and have none."""
    model = load(configure(llama, return_dict=False))
    assert model(input_ids=torch.zeros(1, 3, dtype=torch.int64)).logits.shape[:2] == (1, 3)
