"""Architectures beside Llama, GPT-2 and Mistral: exported and equal to the model, or refused with the cause."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from whence.errors import InvalidRequestError
from whence_backends.export import ExportConfig, export

SIZES = {
    "vocab_size": 61,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
}
GROUPED = {"num_key_value_heads": 1, "head_dim": 8}

pytestmark = pytest.mark.slow


def save(name: str, folder: Path, **settings: Any) -> Path:
    """Save a tiny model with random weights."""
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**settings)
    getattr(transformers, f"{name}ForCausalLM")(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("name", "settings", "max_tokens"),
    [
        ("Qwen3", GROUPED, 64),  # normalized queries and keys
        ("GPTNeoX", {}, 64),  # attention and MLP side by side, biases, rotary embedding of a part
        (
            "Gemma2",
            {**GROUPED, "num_hidden_layers": 2, "sliding_window": 16},
            16,
        ),  # logits with a soft cap: no linear head; a window in turns
        ("Olmo2", {"num_key_value_heads": 1}, 64),  # norms after the layers
        ("OPT", {"ffn_dim": 24, "word_embed_proj_dim": 16}, 64),  # an MLP that reads all tokens in one row
    ],
    ids=["qwen3", "gpt-neox", "gemma2", "olmo2", "opt"],
)
def test_the_graph_is_the_model(name: str, settings: dict[str, Any], max_tokens: int, tmp_path: Path) -> None:
    model = save(name, tmp_path / "model", **{**SIZES, **settings})
    card = export(ExportConfig(model=str(model), out=tmp_path / "export")).card
    assert card.verification.worst < 1e-5
    assert card.max_tokens == max_tokens


def test_a_model_that_cannot_be_recorded_is_refused(tmp_path: Path) -> None:
    """BLOOM makes its positions of a two-dimensional mask."""
    model = save("Bloom", tmp_path / "model", vocab_size=61, hidden_size=16, n_layer=1, n_head=2)
    with pytest.raises(InvalidRequestError, match="cannot be turned into an ONNX") as caught:
        export(ExportConfig(model=str(model), out=tmp_path / "export"))
    assert caught.value.reason == "MODEL_NOT_EXPORTABLE"
    assert not (tmp_path / "export").exists()
