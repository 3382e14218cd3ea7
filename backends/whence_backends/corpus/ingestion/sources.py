"""The files that a corpus is made from: the inputs as a list of files in order, and those that are skipped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from whence.errors import InvalidRequestError, NotFoundError
from whence.reasons import Reason
from whence_backends.corpus.ingestion.file_kinds import KNOWN, FileKind, kind_of, why_not_asked_for
from whence_backends.corpus.ingestion.rows import InputFile
from whence_backends.store.artefact import MANIFEST

_DATASET: Final = "state.json"  # marks a folder written by save_to_disk of `datasets`
_DATASET_SPLITS: Final = "dataset_dict.json"


@dataclass(frozen=True, kw_only=True)
class SkippedFile:
    """A file or folder that is not read, with the reason, such as "is a link to nothing"."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The files to read, in order, and those that are skipped."""

    files: tuple[InputFile, ...]
    skipped: tuple[SkippedFile, ...]


def find_files(inputs: Sequence[Path], *, out: Path | None = None) -> Selection:
    """Return the files to read, in the order of the inputs and by name within a folder, and those that are skipped.

    A folder is either a saved Hugging Face data set or searched for data files. Plain text in a folder is read only if
    the folder has no tables, and files that document a data set (README, LICENSE, dataset_infos.json) only if they are
    named themselves. Links to files are followed, links to folders are not. The ``source`` of a file is its top-level
    subfolder or, in the folder itself, the folder's name for text and the file's own name for tables. ``out``, where
    the corpus is written, is never an input.

    Raises :class:`~whence.errors.NotFoundError` for an input that does not exist and
    :class:`~whence.errors.InvalidRequestError` for one that holds nothing to read.
    """
    paths = [path.absolute() for path in inputs]
    folders = [path if path.is_dir() else path.parent for path in paths]
    search = _Search(Path(os.path.commonpath(folders)) if folders else Path(), out)
    for path in paths:
        search.take_input(path)
    if not search.files:
        raise InvalidRequestError("no input was named; give at least one file or folder", reason=Reason.MISSING_INPUT)
    return Selection(files=tuple(search.files.values()), skipped=tuple(search.skipped))


class _Search:
    """Searches the inputs. State: the files found, by their place on the disk, and those skipped."""

    def __init__(self, base: Path, out: Path | None) -> None:
        self._base = base
        self._out = out.absolute() if out is not None else None
        self.files: dict[object, InputFile] = {}  # by device and inode, so that a file named twice is read once
        self.skipped: list[SkippedFile] = []

    def take_input(self, path: Path) -> None:
        if not path.exists():
            raise NotFoundError(f"{printable(path)} does not exist; check the path", reason=Reason.INPUT_NOT_FOUND)
        if path.is_dir():
            if _is_dataset_of_splits(path):
                raise _several_splits(path)
            before = len(self.skipped)
            if not self._folder(path):
                raise _nothing_to_read(path, self.skipped[before:])
            return
        kind = kind_of(path.name)
        if kind.format is None or not path.is_file():
            raise InvalidRequestError(
                f"{printable(path)} cannot be read: it {kind.problem if path.is_file() else 'is no ordinary file'}; "
                f"expected {KNOWN}",
                reason=Reason.UNKNOWN_CORPUS_FORMAT,
            )
        self._add(path, kind, source=_stem(path, kind))

    def _folder(self, folder: Path) -> int:
        """Add the data files in a folder; return their number."""
        files = list(self._walk(folder))
        has_tables = any(kind.format != "text" for _, kind in files)
        is_dataset = _dataset_files(folder) is not None
        for path, kind in files:
            if kind.format == "text" and has_tables:
                self._skip(path, "is plain text beside tables; name it to have it read")
            else:
                self._add(path, kind, source=folder.name if is_dataset else _source(path, folder, kind))
        return len(files)

    def _walk(self, folder: Path) -> Iterator[tuple[Path, FileKind]]:
        """Yield the data files in a folder, recursively and in order, and note the others as skipped."""
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            self._skip(folder, f"cannot be listed: {error.strerror}")
            return
        of_dataset = _dataset_files(folder)
        if of_dataset is not None:
            for path in (folder / name for name in names if folder / name not in of_dataset):
                self._skip(path, why_not_asked_for(path.name) or "is not one of the saved data set's files")
            yield from ((path, kind_of(path.name)) for path in of_dataset)
            return
        for path in (folder / name for name in names):
            reason = self._why_not(path)
            if reason:
                self._skip(path, reason)
            elif path.is_dir():
                if not self._is_out(path):
                    yield from self._walk(path)
            else:
                yield path, kind_of(path.name)

    def _why_not(self, path: Path) -> str:
        """Return the reason why an entry of a folder is not read, or an empty string."""
        if path.name.startswith("."):
            return "is hidden"
        if path.is_symlink() and not path.exists():
            return "is a link to nothing"
        if path.is_dir():
            if path.is_symlink():
                return "is a link to a folder; name it to have it read"
            if _is_dataset_of_splits(path):
                return "is a data set with splits; name the split to use"
            return "is an artefact of Whence" if _is_artefact(path) else ""
        if not path.is_file():
            return "is no ordinary file"
        return why_not_asked_for(path.name) or kind_of(path.name).problem

    def _add(self, path: Path, kind: FileKind, source: str) -> None:
        assert kind.format is not None
        status = (
            path.stat() if path.exists() else None
        )  # a file missing from a saved data set is reported when it is read
        file = InputFile(
            path=path,
            name=self._name(path),
            source=printable(source),
            format=kind.format,
            compression=kind.compression,
            size_bytes=status.st_size if status else 0,
        )
        key = (status.st_dev, status.st_ino) if status else path
        earlier = self.files.setdefault(key, file)
        if earlier.path != path:
            self._skip(path, f"is the same file as {earlier.name}")

    def _skip(self, path: Path, reason: str) -> None:
        self.skipped.append(SkippedFile(name=self._name(path), reason=reason))

    def _name(self, path: Path) -> str:
        return printable(os.path.relpath(path, self._base))

    def _is_out(self, path: Path) -> bool:
        return self._out is not None and self._out.exists() and path.samefile(self._out)


def printable(name: Path | str) -> str:
    """Return a file's name as printable text: bytes that are not UTF-8 become backslash escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _is_dataset_of_splits(path: Path) -> bool:
    return (path / _DATASET_SPLITS).is_file() and not (path / _DATASET).is_file()


def _dataset_files(folder: Path) -> list[Path] | None:
    """Return the files of a saved Hugging Face data set in its order, or ``None`` for any other folder."""
    try:
        state = json.loads((folder / _DATASET).read_bytes())
        return [folder / str(entry["filename"]) for entry in state["_data_files"] if kind_of(entry["filename"]).format]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_artefact(folder: Path) -> bool:
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        return str(manifest["format"]).startswith("whence.")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _source(path: Path, folder: Path, kind: FileKind) -> str:
    inside = path.relative_to(folder)
    if len(inside.parts) > 1:
        return inside.parts[0]
    return folder.name if kind.format == "text" else _stem(path, kind)


def _stem(path: Path, kind: FileKind) -> str:
    return path.name[: -len(kind.suffix)]


def _several_splits(path: Path) -> InvalidRequestError:
    splits = ", ".join(sorted(child.parent.name for child in path.glob(f"*/{_DATASET}")))
    return InvalidRequestError(
        f"{printable(path)} is a data set with splits ({splits}); name the one to use, as in {printable(path)}/train",
        reason=Reason.MISSING_SPLIT,
    )


def _nothing_to_read(folder: Path, skipped: Sequence[SkippedFile]) -> InvalidRequestError:
    shown = "; ".join(map(str, skipped[:5])) + (f"; and {len(skipped) - 5} more" if len(skipped) > 5 else "")
    return InvalidRequestError(
        f"{printable(folder)} has no file that can be read; expected {KNOWN}"
        + (f". Left out: {shown}" if shown else ""),
        reason=Reason.MISSING_INPUT,
    )
