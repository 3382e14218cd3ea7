"""Which files a corpus is made from: what the user named, turned into an ordered list of files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from whence.errors import InvalidRequestError, NotFoundError
from whence_backends.corpus.rows import FileFormat, InputFile

_SUFFIXES: Final[dict[str, FileFormat]] = {
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".ndjson": "jsonl",
    ".ndjson.gz": "jsonl",
    ".parquet": "parquet",
    ".txt": "text",
    ".md": "text",
}
_DATASET: Final = "state.json"  # marks a folder that datasets' save_to_disk wrote
_DATASET_SPLITS: Final = "dataset_dict.json"


def find_files(inputs: Sequence[Path]) -> tuple[InputFile, ...]:
    """Return the files to read, in the order of the inputs and by name within a folder.

    A folder is a saved Hugging Face dataset, or is searched for data files; plain text files in it count only
    where it has no tables (a data set's README is not a part of it). A file's ``source`` is the top-level
    subfolder it is in, else the folder's name for text and the file's own for tables.

    Raises :class:`~whence.errors.NotFoundError` for an input that does not exist and
    :class:`~whence.errors.InvalidRequestError` for one that holds nothing to read.
    """
    paths = [path.absolute() for path in inputs]
    folders = [path if path.is_dir() else path.parent for path in paths]
    base = Path(os.path.commonpath(folders)) if folders else Path()
    found = {file.path: file for path in paths for file in _expand(path, base)}  # named twice, read once
    if not found:
        raise InvalidRequestError("no input was named; give at least one file or folder", reason="NO_CORPUS_FILES")
    return tuple(found.values())


def _expand(path: Path, base: Path) -> Iterable[InputFile]:
    if not path.exists():
        raise NotFoundError(f"{path} does not exist; check the path", reason="INPUT_NOT_FOUND", path=path)
    if path.is_file():
        return [_single_file(path, base)]
    if (path / _DATASET).is_file():
        return _dataset(path, base)
    if (path / _DATASET_SPLITS).is_file():
        splits = ", ".join(sorted(child.parent.name for child in path.glob(f"*/{_DATASET}")))
        raise InvalidRequestError(
            f"{path} is a data set with splits ({splits}); name the one to use, as in {path}/train",
            reason="DATASET_HAS_SPLITS",
            path=path,
        )
    return _folder(path, base)


def _single_file(path: Path, base: Path) -> InputFile:
    kind = _format(path)
    if kind is None:
        raise InvalidRequestError(
            f"{path} cannot be read; expected {', '.join(_SUFFIXES)} or a saved data set's folder",
            reason="UNKNOWN_CORPUS_FORMAT",
            path=path,
        )
    return InputFile(path=path, name=_name(path, base), source=_stem(path), format=kind)


def _folder(folder: Path, base: Path) -> list[InputFile]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path, folder))
    formats = {path: kind for path in paths if (kind := _format(path)) is not None}
    if any(kind != "text" for kind in formats.values()):
        formats = {path: kind for path, kind in formats.items() if kind != "text"}
    if not formats:
        raise InvalidRequestError(
            f"{folder} has no file that can be read; expected {', '.join(_SUFFIXES)} or a saved data set",
            reason="NO_CORPUS_FILES",
            path=folder,
        )
    return [
        InputFile(path=path, name=_name(path, base), source=_source(path, folder, kind), format=kind)
        for path, kind in formats.items()
    ]


def _dataset(folder: Path, base: Path) -> list[InputFile]:
    try:
        state = json.loads((folder / _DATASET).read_text(encoding="utf-8"))
        paths = [folder / entry["filename"] for entry in state["_data_files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidRequestError(
            f"{folder / _DATASET} is not the state of a saved data set ({error!r}); save it again",
            reason="UNREADABLE_CORPUS_FILE",
            file=folder / _DATASET,
        ) from error
    return [InputFile(path=path, name=_name(path, base), source=folder.name, format="arrow") for path in paths]


def _format(path: Path) -> FileFormat | None:
    return next((kind for suffix, kind in _SUFFIXES.items() if path.name.lower().endswith(suffix)), None)


def _source(path: Path, folder: Path, kind: FileFormat) -> str:
    inside = path.relative_to(folder)
    if len(inside.parts) > 1:
        return inside.parts[0]
    return folder.name if kind == "text" else _stem(path)


def _stem(path: Path) -> str:
    suffix = next(suffix for suffix in _SUFFIXES if path.name.lower().endswith(suffix))
    return path.name[: -len(suffix)]


def _name(path: Path, base: Path) -> str:
    return path.relative_to(base).as_posix()


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)
