"""Rows of the files a corpus is made from, whatever their format; the package ``formats`` reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

FileFormat = Literal["jsonl", "json", "csv", "tsv", "parquet", "arrow", "text"]
Compression = Literal["", "gzip", "zstd", "bz2", "xz"]


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """A file to read. ``name`` is what reports and made-up ids call it, ``source`` what it is a part of."""

    path: Path
    name: str
    source: str
    format: FileFormat
    compression: Compression = ""
    size_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: its columns, or why it could not be read. ``line`` counts from 1: a line, or a row of a table.

    A value that could not be read is a :class:`BadCell`. ``read_fraction`` is how much of the file has been read.
    """

    file: InputFile
    line: int
    columns: Mapping[str, Any] | None
    problem: str = ""
    read_fraction: float = 0.0


@dataclass(frozen=True, kw_only=True)
class BadCell:
    """A value of a row that could not be read: why, as in "is not UTF-8", and the nearest value to show for it."""

    problem: str
    shown: Any = None


@dataclass(frozen=True, kw_only=True, eq=False)
class LongText:
    """A text too long to hold: ``pieces()`` reads it anew, as (piece, how much of the file has been read)."""

    pieces: Callable[[], Iterator[tuple[str, float]]]
