"""Checks that a GGUF file is complete and that transformers reads all of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any, Final

from whence.errors import InvalidRequestError, MismatchError, UnimplementedError
from whence.reasons import Reason
from whence_backends.models.files import shortened

# Experts that transformers assembles from several tensors; a missing tensor shows as a missing parameter.
_EXPERTS: Final = re.compile(r"\.(ffn_(gate|up|down|gate_up)_(exps|projs)|exp_probs_b)\.")


def require_whole_gguf(path: Path) -> None:
    """Refuse a truncated file, a part of a split one, and rotary positions whose scaling transformers ignores.

    Raises :class:`~whence.errors.InvalidRequestError` with reason ``INVALID_MODEL_FILE``, and
    :class:`~whence.errors.UnimplementedError` with reason ``UNKNOWN_ADAPTER`` for an adapter.
    """
    metadata, _ = _read(path)
    count = metadata.get("split.count", 1)
    if count > 1:
        raise _invalid(
            path, f"one of {count} files that make up a model; merge them: llama-gguf-split --merge FIRST OUT.gguf"
        )
    if metadata.get("general.type") == "adapter":
        raise UnimplementedError(
            f"{path} is an adapter, and Whence does not read adapters; merge it: llama-export-lora",
            reason=Reason.UNKNOWN_ADAPTER,
            path=path,
        )
    architecture = metadata["general.architecture"]
    scaling = metadata.get(f"{architecture}.rope.scaling.type", "none")
    if scaling != "none" and architecture != "gpt-oss":
        raise _invalid(
            path,
            f"a model whose rotary positions are scaled ({scaling}), which transformers leaves out when it reads GGUF; "
            "name the Hugging Face folder that it was made from",
        )


def numbers_in_gguf(path: Path) -> int:
    """Return the number of elements in the tensors of a file, after checking that all are there."""
    from gguf import GGUFReader
    from transformers.integrations.gguf.reader import GgufHeader

    try:
        header = GgufHeader.from_file(str(path))
    except ValueError:  # a quantization that only the other reader knows
        return sum(int(tensor.n_elements) for tensor in GGUFReader(path).tensors)
    end = max((header.data_start + tensor.offset + tensor.nbytes for tensor in header.tensors), default=0)
    if end > path.stat().st_size:
        raise EOFError(f"{path.stat().st_size} bytes of {end}")
    return sum(prod(tensor.shape) for tensor in header.tensors)


def require_all_tensors(model: Any, path: Path) -> None:  # noqa: ANN401 - transformers' models have no common type
    """Refuse a file with tensors that transformers ignored silently, as it does for most architectures.

    Raises :class:`~whence.errors.MismatchError` with reason ``WEIGHTS_MISMATCH``.
    """
    from transformers.integrations.gguf.utils import is_gguf_arch_supported

    metadata, names = _read(path)
    if is_gguf_arch_supported(metadata["general.architecture"]):  # from_pretrained reports these
        return
    known = {"output.weight", *_names_of(model, metadata["general.architecture"])}
    left = [name for name in names if name not in known and not _EXPERTS.search(name)]
    if left:
        raise MismatchError(
            f"{path} is not whole as transformers reads it: the model has no place for {shortened(left)}. Name the "
            "Hugging Face folder that it was made from",
            reason=Reason.WEIGHTS_MISMATCH,
            model=path,
        )


def _names_of(model: Any, architecture: str) -> Iterator[str]:  # noqa: ANN401
    """Yield the names in GGUF of a model's parameters, each looked up with and without its enclosing modules."""
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    arch = next(arch for arch, name in MODEL_ARCH_NAMES.items() if name == architecture)
    names = get_tensor_name_map(arch, model.config.num_hidden_layers)
    for parameter in model.state_dict():
        bare = re.sub(r"\.(weight|bias)$", "", parameter)
        parts = bare.split(".")
        for start in range(len(parts)):
            yield f"{names.get_name('.'.join(parts[start:]))}{parameter.removeprefix(bare)}"


def _read(path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a file's metadata and the names of its tensors, after checking that all are there."""
    from transformers.integrations.gguf.reader import read_gguf_metadata

    try:
        metadata, names = read_gguf_metadata(str(path))
        metadata["general.architecture"]
        numbers_in_gguf(path)
    except Exception as error:  # the readers do not validate, and fail in any way
        raise _invalid(
            path, f"torn, or not a GGUF file ({type(error).__name__}: {error}); download it again"
        ) from error
    return metadata, names


def _invalid(path: Path, what: str) -> InvalidRequestError:
    return InvalidRequestError(f"{path} is {what}", reason=Reason.INVALID_MODEL_FILE, field="model", path=path)
