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
    """A file to read. ``name`` is used in reports and in ids of rows without one; ``source`` is the default source."""

    path: Path
    name: str
    source: str
    format: FileFormat
    compression: Compression = ""
    size_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: its columns, or the problem that makes it bad. ``line`` is the line or the row of a table, from 1.

    A value that could not be read is a :class:`BadCell`. ``read_fraction`` is the fraction of the file read so far.
    """

    file: InputFile
    line: int
    columns: Mapping[str, Any] | None
    problem: str = ""
    read_fraction: float = 0.0


@dataclass(frozen=True, kw_only=True)
class BadCell:
    """A value that could not be read: the problem, such as "is not UTF-8", and the closest value to show instead."""

    problem: str
    shown: Any = None


@dataclass(frozen=True, kw_only=True, eq=False)
class LongText:
    """A text too long to hold in memory: ``pieces()`` reads it, as (piece, fraction of the file read)."""

    pieces: Callable[[], Iterator[tuple[str, float]]]
