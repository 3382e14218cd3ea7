"""Architectures of the installed transformers: each tracked layer's gradient is autograd's, or the model is refused.

One padded batch, one sequence of it with a masked prompt. The oracle shares no code with what is tested.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from architectures import build
from data import sequence
from dense_oracle import DenseOracle
from whence.errors import WhenceError
from whence_backends.batching import probe_sequences
from whence_backends.ekfac.batch import collate
from whence_backends.ekfac.language_model import TrackedLanguageModel
from whence_backends.ekfac.self_check import check_model
from whence_backends.models.tracked import track

PROBES = probe_sequences(61, 64)
SEQUENCES = [sequence(12, 1), sequence(7, 2, masked=2)]

MLP = [
    "apertus", "arcee", "bart", "biogpt", "bitnet", "bloom", "cohere", "cohere2", "ctrl", "cwm", "deepseek_v3",
    "doge", "ernie4_5", "ernie4_5_moe", "exaone4", "falcon", "gemma", "gemma2", "gemma3_text", "glm", "glm4",
    "gpt2", "gpt_bigcode", "gpt_neox", "gpt_neox_japanese", "granite", "helium", "hrm_text", "hunyuan_v1_dense",
    "jais2", "lfm2", "llama", "minicpm3", "ministral", "mistral", "modernbert-decoder", "moshi", "nanochat",
    "nemotron", "olmo", "olmo2", "olmo3", "openai-gpt", "opt", "persimmon", "phi", "phi3", "qwen2", "qwen2_moe",
    "qwen3", "seed_oss", "smollm3", "stablelm", "starcoder2", "vaultgemma", "whisper",
]  # fmt: skip
ALL_LINEAR = ["bert", "bert-generation", "gpt2", "llama", "mixtral", "opt", "qwen2_moe", "recurrent_gemma", "roberta"]

REFUSED = {
    "mamba": ("all-linear", {}, "LAYER_GRADIENT_MISMATCH", "dt_proj"),
    "falcon_mamba": ("all-linear", {}, "LAYER_GRADIENT_MISMATCH", "dt_proj"),
    "deepseek_v3": ("all-linear", {}, "UNSUPPORTED_LAYER", "kv_b_proj"),
    "phimoe": ("all-linear", {}, "UNSUPPORTED_LAYER", "gives a tuple"),
    "big_bird": ("all-linear", {}, "UNSUPPORTED_LAYER", "bert.pooler"),
    "mixtral": ("mlp", {}, "LAYERS_NOT_FOUND", "experts of a mixture.*--layers all-linear"),
    "bert": ("all-linear", {"is_decoder": False}, "MODEL_NOT_CAUSAL", "is_decoder"),
    "llama": ("mlp", {"is_causal": False}, "MODEL_NOT_CAUSAL", "later tokens"),
    "gemma3_text": ("mlp", {"use_bidirectional_attention": True}, "MODEL_NOT_CAUSAL", "later tokens"),
    "xlm": ("all-linear", {}, "MODEL_NOT_CAUSAL", "later tokens"),
    "cpmant": ("mlp", {}, "MODEL_NOT_CAUSAL", "later tokens"),
    "xmod": ("all-linear", {}, "MODEL_NOT_RUNNABLE", "set_default_language"),
}


@pytest.mark.filterwarnings("ignore")  # transformers warns of its own models
@pytest.mark.parametrize(("kind", "layers"), [(k, "mlp") for k in MLP] + [(k, "all-linear") for k in ALL_LINEAR])
def test_the_gradient_of_each_layer_is_autograds(kind: str, layers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tracked(build(kind), layers)
    monkeypatch.setattr(torch.nn.functional, "softmax", in_the_precision_of(torch.nn.functional.softmax))
    check = check_model(model, PROBES)
    got: dict[int, Any] = {}
    batch = collate(SEQUENCES, model.device)
    model.trace(batch, model.data_targets(batch), lambda index, a, s: got.update({index: s.transpose(1, 2) @ a}))
    oracle = DenseOracle(model.model, model.specs)
    for row, one in enumerate(SEQUENCES):
        for index, want in enumerate(oracle.gradient(one)):
            assert float((got[index][row] - want).norm()) <= 1e-9 * float(want.norm()), model.specs[index].name
    assert check.gradient_error < 1e-9


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_attributed_is_refused_by_name(kind: str) -> None:
    layers, settings, reason, named = REFUSED[kind]
    with pytest.raises(WhenceError, match=named) as caught:
        check_model(tracked(build(kind, **settings), layers), PROBES)
    assert caught.value.reason == reason


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["mamba", "deepseek_v3", "phimoe"])
def test_the_layers_that_a_refusal_proposes_work(kind: str) -> None:
    model = build(kind)
    with pytest.raises(WhenceError) as caught:
        check_model(tracked(model, "all-linear"), PROBES)
    proposed = caught.value.message.rpartition("--layers '")[2].rstrip("'")
    assert check_model(tracked(model, proposed), PROBES).gradient_error < 1e-6


def in_the_precision_of(softmax: Any) -> Any:
    """Return a softmax that ignores ``dtype``.

    Bloom, Gemma 2 and VaultGemma compute it in float32 whatever their weights are, and its last bits then depend on the
    padding and on the processor.
    """
    return lambda scores, dim=None, dtype=None, **options: softmax(scores, dim=dim, **options)


def tracked(model: torch.nn.Module, layers: str) -> TrackedLanguageModel:
    return TrackedLanguageModel(model, track(model, layers))
