"""Rows of files: JSON Lines, CSV and Parquet, and JSON Lines from the standard input."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from whence._extras import not_installed
from whence.errors import InvalidRequestError, WhenceError
from whence.reasons import Reason

STANDARD_INPUT: Final = Path("-")
# A longer field of a CSV file is refused by Python, unless told otherwise.
_LONGEST_FIELD: Final = 1 << 26


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row: its number from 1 (of a line in JSON Lines, of a record otherwise), and its fields or what is wrong."""

    number: int
    fields: dict[str, Any]
    error: WhenceError | None = None


def read_rows(path: Path, *, kind: str = "") -> Iterator[Row]:
    """Yield the rows of a file, in order. Empty lines are passed over. Its name says what it is, unless ``kind`` does.

    Raises :class:`~whence.errors.InvalidRequestError` for a file of another kind (``UNKNOWN_TABLE_FORMAT``) or that
    cannot be read. A row that is no row is yielded with its error.
    """
    return _READERS[f".{kind}"](path) if kind else _reader(path)(path)


def count_rows(path: Path) -> int | None:
    """Return the number of rows, None for the standard input."""
    if path == STANDARD_INPUT:
        return None
    if _suffix(path) == ".parquet":
        with _parquet_file(path) as file:
            return int(file.metadata.num_rows)
    return sum(1 for _ in read_rows(path))


def parquet_about(path: Path) -> dict[str, Any]:
    """Return the ``columns`` of a Parquet file, and what a run has said of its table, by name."""
    with _parquet_file(path) as file:
        schema = file.schema_arrow
        said = {
            name.decode().removeprefix("whence."): json.loads(value)
            for name, value in (schema.metadata or {}).items()
            if name.startswith(b"whence.")
        }
        return {**said, "columns": list(schema.names)}


def parquet() -> Any:  # noqa: ANN401 - pyarrow has no types
    """Return pyarrow's module for Parquet. Raises ``UnimplementedError`` where it is not installed."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise not_installed("Parquet files", "pyarrow", "parquet") from error
    return pyarrow.parquet


def unknown_format(path: Path, field: str) -> InvalidRequestError:
    """Return the error for a file whose name does not say what it is."""
    return InvalidRequestError(
        f"{path} does not end in .jsonl, .csv or .parquet: its name says how it is read or written",
        reason=Reason.UNKNOWN_TABLE_FORMAT,
        field=field,
    )


def _reader(path: Path) -> Callable[[Path], Iterator[Row]]:
    if path == STANDARD_INPUT:
        return _json_lines
    if _suffix(path) not in _READERS:
        raise unknown_format(path, "queries")
    return _READERS[_suffix(path)]


def _suffix(path: Path) -> str:
    """Return the suffix that names the format, in front of that of gzip."""
    return Path(path.stem if path.suffix == ".gz" else path.name).suffix.lower()


def _json_lines(path: Path) -> Iterator[Row]:
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if text.strip():
                yield _json_row(number, text)


def _json_row(number: int, line: bytes) -> Row:
    try:
        fields = json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        return Row(number=number, fields={}, error=invalid_row(number, f"is not JSON in UTF-8 ({error})"))
    if not isinstance(fields, dict):
        got = type(fields).__name__
        return Row(number=number, fields={}, error=invalid_row(number, f"holds a JSON {got}; expected an object"))
    return Row(number=number, fields=fields)


def _csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(_LONGEST_FIELD)
    with _opened(path) as file:
        records = csv.DictReader(io.TextIOWrapper(file, encoding="utf-8-sig", newline=""), strict=True)
        number = 0
        try:
            for number, record in enumerate(records, 1):
                yield _csv_row(number, record)
        except (csv.Error, UnicodeDecodeError) as error:
            raise _unreadable(path, f"behind record {number}: {error}") from error


def _csv_row(number: int, record: dict[str | Any, Any]) -> Row:
    if None in record or None in record.values():
        got = "more" if None in record else "fewer"
        return Row(number=number, fields={}, error=invalid_row(number, f"has {got} fields than the header"))
    return Row(number=number, fields=record)


def _parquet(path: Path) -> Iterator[Row]:
    number = 0
    with _parquet_file(path) as file:
        for batch in file.iter_batches(batch_size=256):
            for fields in batch.to_pylist():
                number += 1
                yield Row(number=number, fields=fields)


@contextmanager
def _parquet_file(path: Path) -> Iterator[Any]:
    module = parquet()
    try:
        with module.ParquetFile(path) as file:
            yield file
    except (OSError, ValueError) as error:  # pyarrow's own errors are among them
        raise _unreadable(path, str(error)) from error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if path == STANDARD_INPUT:
        yield sys.stdin.buffer
        return
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield file  # type: ignore[misc]  # a gzip file reads as any other
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, str(error)) from error


def invalid_row(number: int, what: str, field: str = "queries") -> InvalidRequestError:
    """Return the error of a row that is no query."""
    return InvalidRequestError(f"row {number} {what}", reason=Reason.INVALID_QUERIES, field=field, row=number)


def _unreadable(path: Path, why: str) -> InvalidRequestError:
    return InvalidRequestError(f"{path} cannot be read: {why}", reason=Reason.UNREADABLE_FILE, field="queries")


_READERS: Final[dict[str, Callable[[Path], Iterator[Row]]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".csv": _csv,
    ".parquet": _parquet,
}
