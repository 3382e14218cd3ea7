"""A GGUF file is read whole, with nothing left out and nothing drawn, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

import tiny_models
from models.loading.checkpoints import gguf_tensors, load, write_gguf
from whence.errors import InvalidRequestError, MismatchError, UnimplementedError, WhenceError
from whence_backends.models import Tokenizer, locate_model, resolve_model
from whence_backends.models.gguf_file import numbers_in_gguf
from whence_backends.store.artefact import digest_file


@pytest.fixture(scope="module")
def llama() -> Any:
    return tiny_models.llama()


def refused(path: Path, match: str, kind: type[WhenceError] = InvalidRequestError) -> str:
    with pytest.raises(kind, match=match) as caught:
        load(path)
    return caught.value.reason


def test_a_whole_file_is_the_model(llama: Any, tmp_path: Path) -> None:
    """Also where the file that is named lies beside the working folder's own of that name."""
    path = write_gguf(tmp_path / "tiny.gguf", llama, gguf_tensors(llama))
    got = load(path).state_dict()
    assert all(torch.equal(got[name], tensor) for name, tensor in llama.state_dict().items())


def test_a_file_of_the_same_name_in_the_working_folder_is_not_taken_for_it(
    llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers looks there first, and would take the weights of the one with the settings of the other."""
    path = write_gguf(tmp_path / "tiny.gguf", llama, gguf_tensors(llama))
    (tmp_path / "here").mkdir()
    write_gguf(tmp_path / "here" / "tiny.gguf", llama, [(name, x + 1) for name, x in gguf_tensors(llama)])
    monkeypatch.chdir(tmp_path / "here")
    for named in (path, Path("../tiny.gguf")):
        assert torch.equal(load(named).lm_head.weight, llama.lm_head.weight)


def test_the_digest_is_that_of_the_file(llama: Any, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", llama, gguf_tensors(llama))
    assert resolve_model(str(path)).digest == digest_file(path)


@pytest.mark.parametrize("missing", ["blk.1.ffn_up.weight", "token_embd.weight", "blk.0.attn_norm.weight"])
def test_a_tensor_that_is_missing_is_named(llama: Any, tmp_path: Path, missing: str) -> None:
    tensors = [(name, tensor) for name, tensor in gguf_tensors(llama) if name != missing]
    assert refused(write_gguf(tmp_path / "tiny.gguf", llama, tensors), "lacks", MismatchError) == "WEIGHTS_MISMATCH"


@pytest.mark.parametrize("name", ["rope_freqs.weight", "blk.2.ffn_up.weight", "blk.0.attn_q.bias", "blk.0.lora.weight"])
def test_a_tensor_that_transformers_leaves_out_is_named(llama: Any, tmp_path: Path, name: str) -> None:
    """Factors of rotary positions, more layers than the file says, biases that a Llama does not have."""
    tensors = [*gguf_tensors(llama), (name, np.ones((16,), np.float32))]
    path = write_gguf(tmp_path / "tiny.gguf", llama, tensors)
    assert refused(path, f"no place for {name}", MismatchError) == "WEIGHTS_MISMATCH"


def test_a_shape_that_the_settings_deny_is_refused(llama: Any, tmp_path: Path) -> None:
    tensors = [(name, tensor[:-1] if "ffn_up" in name else tensor) for name, tensor in gguf_tensors(llama)]
    refused(write_gguf(tmp_path / "tiny.gguf", llama, tensors), r"up_proj\.weight \[23, 16\] for", MismatchError)


def test_a_part_is_known_by_what_it_says_whatever_its_name(llama: Any, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "renamed.gguf", llama, gguf_tensors(llama)[:12], split__no=0, split__count=2)
    assert refused(path, "one of 2 files") == "INVALID_MODEL_FILE"


def test_scaled_positions_are_refused_since_transformers_drops_them(llama: Any, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "long.gguf", llama, gguf_tensors(llama), llama__rope__scaling__type="yarn")
    assert refused(path, r"scaled \(yarn\)") == "INVALID_MODEL_FILE"
    none = write_gguf(tmp_path / "plain.gguf", llama, gguf_tensors(llama), llama__rope__scaling__type="none")
    assert load(none).config.vocab_size == tiny_models.VOCABULARY


@pytest.mark.parametrize("kept", [4, 20, 200, -1000, -1])
def test_a_torn_file_is_refused_wherever_it_ends(llama: Any, tmp_path: Path, kept: int) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", llama, gguf_tensors(llama))
    path.write_bytes(path.read_bytes()[:kept])
    assert refused(path, "is torn.*download it again") == "INVALID_MODEL_FILE"


def test_a_value_that_is_not_finite_is_refused(llama: Any, tmp_path: Path) -> None:
    tensors = [
        (name, np.full_like(tensor, np.nan) if name == "output.weight" else tensor)
        for name, tensor in gguf_tensors(llama)
    ]
    refused(write_gguf(tmp_path / "tiny.gguf", llama, tensors), r"lm_head\.weight")


def test_a_torn_file_is_named_where_only_its_tokenizer_is_wanted(llama: Any, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", llama, gguf_tensors(llama))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InvalidRequestError, match="is torn"):
        Tokenizer.load(locate_model(str(path), weights=False))


def test_an_adapter_is_said_to_be_one(llama: Any, tmp_path: Path) -> None:
    tensors = [("blk.0.attn_v.weight.lora_a", np.ones((2, 16), np.float32))]
    path = write_gguf(tmp_path / "lora.gguf", llama, tensors, general__type="adapter")
    with pytest.raises(UnimplementedError, match="llama-export-lora") as caught:
        load(path)
    assert caught.value.reason == "UNKNOWN_ADAPTER"


def test_numbers_of_a_type_that_only_one_reader_knows_are_read(llama: Any, tmp_path: Path) -> None:
    """Q5_0, of which transformers' newer reader says that it is not supported; torn, it is refused as well."""
    path = tmp_path / "tiny.gguf"
    packed = [(name, np.ones((61, 22), np.uint8)) for name in ("token_embd.weight",)]
    write_gguf(path, llama, packed, raw=gguf.GGMLQuantizationType.Q5_0)
    assert numbers_in_gguf(path) == 61 * 32
    path.write_bytes(path.read_bytes()[:-300])
    assert refused(path, "is torn") == "INVALID_MODEL_FILE"
