"""A model's files on disk: those with its weights, and checks that each is complete. No torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open

from whence.errors import InvalidRequestError, NotFoundError, UnimplementedError
from whence.reasons import Reason

CONFIG: Final = "config.json"
_SINGLE: Final = "model.safetensors"
_INDEX: Final = "model.safetensors.index.json"
_LFS: Final = b"version https://git-lfs"
# Files that PEFT and the library `adapters` write beside or instead of a model.
_ADAPTER_CONFIG: Final = "adapter_config.json"
_ADAPTERS: Final = (_ADAPTER_CONFIG, "adapter_model.safetensors", "adapter_model.bin", "pytorch_adapter.bin")
_TOKENIZER: Final = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "chat_template.jinja")
_DOWNLOAD: Final = "download it again"


def require_whole(path: Path) -> None:
    """Refuse a file that is a git-lfs pointer, empty, a web page or a truncated download.

    Raises :class:`~whence.errors.InvalidRequestError` with reason ``INVALID_MODEL_FILE``.
    """
    with path.open("rb") as file:
        beginning = file.read(512)
    if beginning.startswith(_LFS):
        raise _invalid(path, "a git-lfs pointer, not the file itself; run: git lfs pull")
    if not beginning:
        raise _invalid(path, f"empty; {_DOWNLOAD}")
    if beginning.lstrip()[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise _invalid(path, f"a web page that was saved under its name; {_DOWNLOAD}")
    if path.suffix == ".safetensors":
        _require_whole_safetensors(path)


def read_json(path: Path) -> Mapping[str, Any]:
    """Read a JSON object, or refuse the file with reason ``INVALID_MODEL_FILE``."""
    require_whole(path)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise _invalid(path, f"not JSON ({str(error)[:100]}); {_DOWNLOAD}") from error
    if not isinstance(value, dict):
        raise _invalid(path, f"JSON but not an object; {_DOWNLOAD}")
    return value


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files that transformers loads from a folder, with their index, after checking each.

    These are ``model.safetensors``, the files named by ``model.safetensors.index.json``, or the file that the
    configuration names as ``transformers_weights``. Raises :class:`~whence.errors.NotFoundError`: ``MISSING_WEIGHTS``
    for a named file that is absent, ``MODEL_NOT_FOUND`` if there are no weights; and
    :class:`~whence.errors.InvalidRequestError` (``INVALID_MODEL_FILE``) for a tensor that is in two of the files.
    """
    named = read_json(folder / CONFIG).get("transformers_weights") if (folder / CONFIG).is_file() else None
    first = named if isinstance(named, str) else _SINGLE if (folder / _SINGLE).is_file() else _INDEX
    names = [first, *(_shards(folder, first) if first.endswith(".index.json") else [])]
    strange = next((name for name in names if Path(name).is_absolute() or ".." in Path(name).parts), None)
    if strange is not None:
        raise _invalid(folder, f"a model that names weights outside its folder ({strange})")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise _missing_files(folder, missing)
    if first == _SINGLE:
        _require_one_set(folder)
    paths = [folder / name for name in names]
    for path in paths:
        require_whole(path)
    _require_each_tensor_once(folder, [path for path in paths if path.suffix == ".safetensors"])
    return paths


def stored_shape(folder: Path, name: str) -> list[int]:
    """Return the shape of a named tensor in a folder's weights; empty if there is none."""
    for file in _opened(folder):
        if name in file.keys():  # noqa: SIM118 - no mapping
            return list(file.get_slice(name).get_shape())
    return []


def stored_types(folder: Path) -> set[str]:
    """Return the safetensors types of all tensors in a folder's weights whose name ends in ``.weight``."""
    named = ((file, name) for file in _opened(folder) for name in file.keys() if name.endswith(".weight"))  # noqa: SIM118
    return {file.get_slice(name).get_dtype() for file, name in named}


def stored_numbers(folder: Path) -> int:
    """Return the number of elements in a folder's weights."""
    named = ((file, name) for file in _opened(folder) for name in file.keys())  # noqa: SIM118
    return sum(prod(file.get_slice(name).get_shape()) for file, name in named)


def _opened(folder: Path) -> Iterator[Any]:
    for path in weight_files(folder):
        if path.suffix == ".safetensors":
            with safe_open(path, framework="numpy") as file:
                yield file


def require_no_adapter(folder: Path) -> None:
    """Refuse a folder with an adapter, which would be ignored.

    Raises :class:`~whence.errors.UnimplementedError` with reason ``UNKNOWN_ADAPTER``.
    """
    adapter = next((name for name in _ADAPTERS if (folder / name).is_file()), None)
    if adapter is None:
        return
    settings = read_json(folder / _ADAPTER_CONFIG) if (folder / _ADAPTER_CONFIG).is_file() else {}
    base = settings.get("base_model_name_or_path") or "its base model"
    beside = "beside the weights lies" if (folder / CONFIG).is_file() else "there is"
    otherwise = (
        f", or move {adapter} elsewhere if the weights are meant without it" if (folder / CONFIG).is_file() else ""
    )
    raise UnimplementedError(
        f"{folder}: {beside} an adapter ({adapter}{_kind(settings)}, for {base}), and Whence does not read adapters; "
        "name what comes of peft.AutoPeftModelForCausalLM.from_pretrained(folder), .merge_and_unload(), "
        f".save_pretrained(out){otherwise}",
        reason=Reason.UNKNOWN_ADAPTER,
        path=folder,
    )


def _kind(settings: Mapping[str, Any]) -> str:
    return f", {settings['peft_type']}" if settings.get("peft_type") else ""


def _require_one_set(folder: Path) -> None:
    """Refuse a single file of weights beside sharded ones, as left by saving into a folder that already had weights."""
    try:
        others = {name for name in _shards(folder, _INDEX) if name != _SINGLE and (folder / name).is_file()}
    except InvalidRequestError:  # an invalid index, which is not read if there is a single file
        return
    if others:
        raise _invalid(
            folder,
            f"a folder with two sets of weights: {_SINGLE}, and {shortened(sorted(others))}, which {_INDEX} names; "
            "move the ones that are not meant elsewhere, index included",
        )


def _shards(folder: Path, index: str) -> list[str]:
    """Return the names of the files in an index, in order."""
    if not (folder / index).is_file():
        return []
    named = read_json(folder / index).get("weight_map")
    if not isinstance(named, dict) or not named or not all(isinstance(name, str) for name in named.values()):
        raise _invalid(folder / index, f"an index without a weight_map from parameters to files; {_DOWNLOAD}")
    return sorted(set(named.values()))


def require_whole_tokenizer(folder: Path) -> None:
    """Refuse a folder in which a file of the tokenizer is a git-lfs pointer, empty, or a web page."""
    for name in _TOKENIZER:
        if (folder / name).is_file():
            require_whole(folder / name)


def _require_whole_safetensors(path: Path) -> None:
    try:
        with safe_open(path, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise _invalid(path, f"torn, or not a safetensors file ({error}); {_DOWNLOAD}") from error


def _require_each_tensor_once(folder: Path, files: Sequence[Path]) -> None:
    """Refuse a tensor that is in two files: only one of the two would be loaded, and they may differ."""
    holders: dict[str, Path] = {}
    for path in files:
        with safe_open(path, framework="numpy") as file:
            names = file.keys()
        for name in names:
            if (other := holders.setdefault(name, path)) != path:
                raise _invalid(
                    folder, f"a model with the tensor {name} in two files, {other.name} and {path.name}; save it again"
                )


def _missing_files(folder: Path, missing: list[str]) -> NotFoundError | InvalidRequestError:
    """Return the error for missing weights: missing shards, a pickle, files of other names, or none."""
    if missing != [_INDEX]:
        return NotFoundError(
            f"{folder} has not all of its weights: not there is what it calls {shortened(missing)}; {_DOWNLOAD}",
            reason=Reason.MISSING_WEIGHTS,
            path=folder,
        )
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")) or any(folder.glob("*.pth")):
        return InvalidRequestError(
            f"{folder} has its weights only as a pickle, which could run code when it is read; expected "
            "*.safetensors: convert them with save_pretrained(..., safe_serialization=True)",
            reason=Reason.UNSUPPORTED_WEIGHTS,
            path=folder,
        )
    others = sorted(file.name for file in folder.glob("*.safetensors"))
    beside = f"; {shortened(others)} is not read without an index" if others else ""
    return NotFoundError(
        f"{folder} is no model: expected {_SINGLE}, or {_INDEX} with the *.safetensors files that it names{beside}. "
        "Save the model with save_pretrained",
        reason=Reason.MODEL_NOT_FOUND,
        model=folder,
    )


def shortened(names: list[str], most: int = 6) -> str:
    """Return the first names and the number of the others."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def _invalid(path: Path, what: str) -> InvalidRequestError:
    return InvalidRequestError(f"{path} is {what}", reason=Reason.INVALID_MODEL_FILE, field="model", path=path)
