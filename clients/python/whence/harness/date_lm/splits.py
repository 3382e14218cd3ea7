"""The rows of a data set's splits, from local copies of its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from whence.bulk.files import read_rows
from whence.errors import NotFoundError
from whence.reasons import Reason

Split: TypeAlias = Literal["train", "ref"]

_SUFFIXES: Final = ("parquet", "jsonl", "csv")


def read_split(folder: Path, split: Split) -> list[dict[str, Any]]:
    """Return the rows of a split, in the order of its files' names and of their rows.

    The files are ``train.jsonl``, ``train-00000-of-00002.parquet`` and so on, in the folder or in its ``data``, which
    are the names on the Hugging Face hub. Raises :class:`~whence.errors.NotFoundError` (``SPLIT_NOT_FOUND``), and what
    is wrong with a row or a file.
    """
    rows = []
    for path in _files(folder, split):
        for row in read_rows(path):
            if row.error is not None:
                raise row.error
            rows.append(row.fields)
    return rows


def _files(folder: Path, split: Split) -> list[Path]:
    """Return the split's files, all of one format and one folder."""
    for place in (folder, folder / "data"):
        for suffix in _SUFFIXES:
            files = sorted({*place.glob(f"{split}.{suffix}"), *place.glob(f"{split}-*.{suffix}")})
            if files:
                return files
    raise NotFoundError(
        f"{folder} has no {split}.jsonl, {split}-*.parquet or {split}.csv, nor has its folder data: "
        f"name the folder of one subset of the data set",
        reason=Reason.SPLIT_NOT_FOUND,
    )
