"""Rows of the files a corpus is made from: JSON Lines, Parquet, Arrow and plain text, read as streams."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from whence.errors import InvalidRequestError

FileFormat = Literal["jsonl", "parquet", "arrow", "text"]

_ROWS_AT_ONCE: Final = 256
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """A file to read. ``name`` is what reports and made-up ids call it, ``source`` what it is a part of."""

    path: Path
    name: str
    source: str
    format: FileFormat


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: its columns, or why it could not be read. ``line`` counts from 1: a line, or a row of a table.

    ``read_fraction`` is how much of the file has been read.
    """

    file: InputFile
    line: int
    columns: Mapping[str, Any] | None
    problem: str = ""
    read_fraction: float = 0.0


def read_rows(file: InputFile) -> Iterator[Row]:
    """Yield the rows of a file in order; a bad row does not end them.

    Raises :class:`~whence.errors.InvalidRequestError` with reason ``UNREADABLE_CORPUS_FILE`` where the file
    as a whole cannot be read (no permission, a torn gzip, not Parquet): what follows would be lost without a
    trace.
    """
    try:
        yield from _READERS[file.format](file)
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise InvalidRequestError(
            f"cannot read {file.path} as {file.format}: {error}; check that it is complete, or leave it out",
            reason="UNREADABLE_CORPUS_FILE",
            file=file.path,
        ) from error


def _read_jsonl(file: InputFile) -> Iterator[Row]:
    size_bytes = max(file.path.stat().st_size, 1)
    with file.path.open("rb") as raw, _decompressed(file.path, raw) as lines:
        for number, line in enumerate(lines, start=1):
            content = line.removeprefix(_BOM) if number == 1 else line
            if content.strip():
                columns, problem = _parse(content)
                yield Row(
                    file=file,
                    line=number,
                    columns=columns,
                    problem=problem,
                    read_fraction=raw.tell() / size_bytes,
                )


def _decompressed(path: Path, raw: IO[bytes]) -> AbstractContextManager[Iterable[bytes]]:
    return gzip.open(raw, "rb") if path.suffix.lower() == ".gz" else nullcontext(raw)


def _parse(line: bytes) -> tuple[Mapping[str, Any] | None, str]:
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return None, f"is not UTF-8 (byte {error.start + 1})"
    except (ValueError, RecursionError) as error:
        return None, f"is not JSON: {error}"
    if not isinstance(value, dict):
        return None, f"is a JSON {type(value).__name__}; expected an object"
    return value, ""


def _read_parquet(file: InputFile) -> Iterator[Row]:
    with pq.ParquetFile(file.path) as table:
        rows = max(table.metadata.num_rows, 1)
        yield from _batch_rows(file, table.iter_batches(batch_size=_ROWS_AT_ONCE), lambda line: line / rows)


def _read_arrow(file: InputFile) -> Iterator[Row]:
    size_bytes = max(file.path.stat().st_size, 1)
    with pa.memory_map(str(file.path)) as source:
        batches = _arrow_batches(source)
        yield from _batch_rows(file, batches, lambda _: min(source.tell() / size_bytes, 1.0))


def _arrow_batches(source: Any) -> Iterator[Any]:  # noqa: ANN401 - pyarrow has no types
    """Yield the batches of either IPC format; ``datasets`` writes streams, others write files."""
    is_file_format = source.read(6) == b"ARROW1"
    source.seek(0)
    if is_file_format:
        reader = pa.ipc.open_file(source)
        yield from (reader.get_batch(number) for number in range(reader.num_record_batches))
    else:
        yield from pa.ipc.open_stream(source)


def _batch_rows(file: InputFile, batches: Iterator[Any], read_fraction: Callable[[int], float]) -> Iterator[Row]:
    line = 0
    for batch in batches:
        for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
            for columns in batch.slice(start, _ROWS_AT_ONCE).to_pylist():
                line += 1
                yield Row(file=file, line=line, columns=columns, read_fraction=read_fraction(line))


def _read_text(file: InputFile) -> Iterator[Row]:
    content = file.path.read_bytes().removeprefix(_BOM)
    try:
        columns = {"text": content.decode("utf-8"), "id": file.name}
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        yield Row(file=file, line=line, columns=None, problem="is not UTF-8", read_fraction=1.0)
    else:
        yield Row(file=file, line=1, columns=columns, read_fraction=1.0)


_READERS: Final[Mapping[FileFormat, Callable[[InputFile], Iterator[Row]]]] = {
    "jsonl": _read_jsonl,
    "parquet": _read_parquet,
    "arrow": _read_arrow,
    "text": _read_text,
}
