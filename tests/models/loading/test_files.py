"""A model's files are whole or refused before anything is read of them: pointers, torn downloads, parts, adapters."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from whence.errors import InvalidRequestError, NotFoundError, UnimplementedError, WhenceError
from whence_backends.models import locate_model, resolve_model
from whence_backends.store.artefact import canonical_json, digest_bytes, digest_file

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0123456789abcdef\nsize 12345678\n"
PAGE = "\n<!DOCTYPE html><html>Sign in to go on</html>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model in two files with an index, and what belongs to its tokenizer."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer.json").write_text('{"model": {}}')
    for number, name in enumerate("ab"):
        save_file({name: np.full(4, number, np.float32)}, folder / f"model-{name}.safetensors")
    write_index(folder, {"a": "model-a.safetensors", "b": "model-b.safetensors"})
    return folder


def write_index(folder: Path, weight_map: object) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def refused(model: Path, kind: type[WhenceError], match: str) -> str:
    with pytest.raises(kind, match=match) as caught:
        resolve_model(str(model))
    return caught.value.reason


@pytest.mark.parametrize(
    "name", ["config.json", "model-b.safetensors", "model.safetensors.index.json", "tokenizer.json"]
)
@pytest.mark.parametrize(
    ("content", "said"),
    [(POINTER, "git-lfs pointer.*git lfs pull"), ("", "is empty; download it again"), (PAGE, "is a web page")],
    ids=["pointer", "empty", "page"],
)
def test_a_file_that_is_not_what_its_name_says_is_named(folder: Path, name: str, content: str, said: str) -> None:
    (folder / name).write_text(content)
    assert refused(folder, InvalidRequestError, f"{name} is .*{said.removeprefix('is ')}") == "INVALID_MODEL_FILE"


@pytest.mark.parametrize("cut", [1, 8, 60])
def test_torn_weights_are_refused(folder: Path, cut: int) -> None:
    whole = (folder / "model-b.safetensors").read_bytes()
    (folder / "model-b.safetensors").write_bytes(whole[:-cut])
    assert refused(folder, InvalidRequestError, r"model-b\.safetensors is torn.*download") == "INVALID_MODEL_FILE"


def test_weights_with_something_behind_them_are_refused(folder: Path) -> None:
    with (folder / "model-a.safetensors").open("ab") as file:
        file.write(b"more")
    assert refused(folder, InvalidRequestError, r"model-a\.safetensors is torn") == "INVALID_MODEL_FILE"


def test_a_file_that_the_index_names_and_that_is_absent_is_named(folder: Path) -> None:
    (folder / "model-b.safetensors").unlink()
    assert refused(folder, NotFoundError, r"not there is .* model-b\.safetensors") == "MISSING_WEIGHTS"


def test_a_link_to_nowhere_is_absent_as_in_a_cache_that_was_cleaned(folder: Path) -> None:
    (folder / "model-b.safetensors").unlink()
    (folder / "model-b.safetensors").symlink_to(folder / "blobs" / "gone")
    assert refused(folder, NotFoundError, "not there is") == "MISSING_WEIGHTS"


@pytest.mark.parametrize("weight_map", [{}, ["model-a.safetensors"], {"a": 1}, None])
def test_an_index_that_names_no_files_is_refused(folder: Path, weight_map: object) -> None:
    write_index(folder, weight_map)
    assert refused(folder, InvalidRequestError, "without a weight_map") == "INVALID_MODEL_FILE"


@pytest.mark.parametrize("name", ["../other.safetensors", "/tmp/other.safetensors"])
def test_weights_outside_the_folder_are_refused(folder: Path, name: str) -> None:
    write_index(folder, {"a": name})
    assert refused(folder, InvalidRequestError, "outside its folder") == "INVALID_MODEL_FILE"


def test_a_configuration_that_names_other_weights_is_followed(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "llama", "transformers_weights": "other.safetensors"}')
    assert refused(folder, NotFoundError, r"not there is .* other\.safetensors") == "MISSING_WEIGHTS"


@pytest.mark.parametrize("content", ["{", "[]", "null", '"llama"'])
def test_a_configuration_that_is_no_json_object_is_refused(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    assert refused(folder, InvalidRequestError, r"config\.json is (not )?JSON") == "INVALID_MODEL_FILE"


def test_weights_that_no_index_names_do_not_make_a_model(folder: Path) -> None:
    (folder / "model.safetensors.index.json").unlink()
    (folder / "model-a.safetensors").rename(folder / "consolidated.safetensors")
    assert refused(folder, NotFoundError, r"consolidated\.safetensors.* not read without an index") == "MODEL_NOT_FOUND"


def test_other_weights_beside_a_whole_model_do_no_harm(folder: Path) -> None:
    """Mistral's repositories have consolidated.safetensors beside the files that transformers reads."""
    save_file({"x": np.zeros(1, np.float32)}, folder / "consolidated.safetensors")
    assert resolve_model(str(folder)).kind == "folder"


def test_two_sets_of_weights_are_not_chosen_between(folder: Path) -> None:
    """As after training into a folder that had a model: transformers would take the one file, others the index."""
    save_file({"a": np.zeros(4, np.float32)}, folder / "model.safetensors")
    said = r"two sets of weights: model\.safetensors, and model-a\.safetensors, model-b\.safetensors"
    assert refused(folder, InvalidRequestError, said) == "INVALID_MODEL_FILE"
    for name in "ab":
        (folder / f"model-{name}.safetensors").unlink()
    assert resolve_model(str(folder)).kind == "folder"


def test_the_digest_is_of_names_and_digests_as_in_every_version(folder: Path) -> None:
    """Factors, exports and cached gradients hold it: changed, none of them would fit their model any more."""
    names = ["config.json", "model-a.safetensors", "model-b.safetensors", "model.safetensors.index.json"]
    expected = digest_bytes(canonical_json([[name, digest_file(folder / name)] for name in names]))
    assert resolve_model(str(folder)).digest == expected


@pytest.mark.parametrize("name", ["README.md", "training_args.json", "special_tokens_map.json", "LICENSE"])
def test_the_digest_is_of_what_is_computed_with(folder: Path, name: str) -> None:
    before = resolve_model(str(folder)).digest
    (folder / name).write_text("{}")
    assert resolve_model(str(folder)).digest == before


def test_the_digest_covers_weights_in_a_folder_inside(folder: Path) -> None:
    (folder / "parts").mkdir()
    (folder / "model-b.safetensors").rename(folder / "parts" / "b.safetensors")
    write_index(folder, {"a": "model-a.safetensors", "b": "parts/b.safetensors"})
    before = resolve_model(str(folder)).digest
    save_file({"b": np.full(4, 9, np.float32)}, folder / "parts" / "b.safetensors")
    assert resolve_model(str(folder)).digest != before


def test_the_digest_changes_when_two_files_change_places(folder: Path) -> None:
    """Of one size and, as out of an archive, of one time: the file is another all the same."""
    before = resolve_model(str(folder)).digest
    one, other = folder / "model-a.safetensors", folder / "model-b.safetensors"
    time_ns = one.stat().st_mtime_ns
    held = one.rename(folder / "held")
    other.rename(one)
    held.rename(other)
    for file in (one, other):
        os.utime(file, ns=(time_ns, time_ns))
    assert load_file(one).keys() == {"b"}
    assert resolve_model(str(folder)).digest != before


@pytest.mark.parametrize(
    "name", ["adapter_config.json", "adapter_model.safetensors", "adapter_model.bin", "pytorch_adapter.bin"]
)
def test_an_adapter_beside_the_weights_is_said_not_left_out(folder: Path, name: str) -> None:
    (folder / name).write_text('{"peft_type": "LORA", "base_model_name_or_path": "some/base"}')
    assert refused(folder, UnimplementedError, f"beside the weights.*{name}.*merge.*move") == "UNKNOWN_ADAPTER"


def test_an_adapter_alone_says_what_it_is_for_and_how_to_merge_it(tmp_path: Path) -> None:
    settings = {"peft_type": "LORA", "base_model_name_or_path": "some/base"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    save_file({"lora_A": np.zeros(1, np.float32)}, tmp_path / "adapter_model.safetensors")
    assert refused(tmp_path, UnimplementedError, "LORA, for some/base.*merge_and_unload") == "UNKNOWN_ADAPTER"


def test_an_adapter_beside_a_gguf_file_is_said_too(tmp_path: Path) -> None:
    """With peft installed, transformers would load it."""
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF")
    (tmp_path / "adapter_config.json").write_text("{}")
    assert refused(tmp_path / "tiny.gguf", UnimplementedError, "adapter") == "UNKNOWN_ADAPTER"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_part_of_a_gguf_file_is_not_taken_for_the_whole(tmp_path: Path, number: int) -> None:
    for there in (1, 2):
        (tmp_path / f"tiny-{there:05}-of-00003.gguf").write_bytes(b"GGUF")
    part = tmp_path / f"tiny-{number:05}-of-00003.gguf"
    part.write_bytes(b"GGUF")
    absent = "" if number == 3 else r"not here: tiny-00003-of-00003\.gguf.*"
    said = rf"one of 3 files.*{absent}llama-gguf-split --merge tiny-00001-of-00003\.gguf tiny\.gguf"
    assert refused(part, InvalidRequestError, said) == "INVALID_MODEL_FILE"


def test_a_folder_of_the_parts_of_a_gguf_file_says_to_merge_them(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"tiny-{number:05}-of-00002.gguf").write_bytes(b"GGUF")
    assert refused(tmp_path, InvalidRequestError, "gguf-split --merge") == "INVALID_MODEL_FILE"


def test_a_gguf_file_that_is_one_of_one_is_whole(tmp_path: Path) -> None:
    (tmp_path / "tiny-00001-of-00001.gguf").write_bytes(b"GGUF")
    assert resolve_model(str(tmp_path)).kind == "gguf"


@pytest.mark.parametrize(("content", "said"), [(POINTER, "git lfs pull"), ("", "empty"), (PAGE, "web page")])
def test_a_gguf_file_that_is_not_one_is_named(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "tiny.gguf").write_text(content)
    assert refused(tmp_path / "tiny.gguf", InvalidRequestError, said) == "INVALID_MODEL_FILE"


def test_a_tokenizer_can_be_read_where_the_weights_cannot(folder: Path) -> None:
    (folder / "model-b.safetensors").write_text(POINTER)
    assert locate_model(str(folder), weights=False).kind == "folder"
