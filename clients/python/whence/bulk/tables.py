"""Writes the table of a run: Parquet, CSV or JSON Lines, at once and whole."""

from __future__ import annotations

import csv
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from whence.bulk.answers import COLUMNS
from whence.bulk.files import parquet, unknown_format
from whence.errors import InvalidRequestError
from whence.reasons import Reason

Rows = Iterable[dict[str, Any]]

_CHUNK: Final = 2048
# Whole numbers that a column of 64 bits holds.
_LARGEST: Final = 2**63


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns that every table of a kind has, in order, and their Arrow types, which are made when needed."""

    names: tuple[str, ...]
    arrow: Callable[[], list[tuple[str, Any]]]


class OwnColumns:
    """The columns that queries brought along, beside those that their table always has; the kinds of their values."""

    def __init__(self, beside: Columns | None = None) -> None:
        self._beside = frozenset((beside or HITS).names)
        self._kinds: dict[str, set[type]] = {}

    def see(self, rows: Rows) -> None:
        """Take note of the columns of rows."""
        for row in rows:
            for name in row.keys() - self._beside:
                self._kinds.setdefault(name, set()).add(_kind(row[name]))

    @property
    def names(self) -> list[str]:
        """The names, in the order of the alphabet: rows may have them in any."""
        return sorted(self._kinds)

    def kind(self, name: str) -> type:
        """Return the type of a column: bool, int, float, or str, which is also that of mixed and nested values."""
        kinds = self._kinds[name] - {type(None)}
        if len(kinds) == 1:
            return kinds.pop()
        return float if kinds == {int, float} else str


def check_format(path: Path) -> None:
    """Raise for a table that could not be written: of an unknown kind, or Parquet without pyarrow."""
    if path.suffix.lower() not in _WRITERS:
        raise unknown_format(path, "out")
    if path.suffix.lower() == ".parquet":
        parquet()


def check_table(out: Path, *, overwrite: bool) -> None:
    """Raise ``InvalidRequestError`` for a table that cannot be written, or that is there and not to be replaced."""
    check_format(out)
    if out.exists() and not overwrite:
        raise InvalidRequestError(
            f"{out} exists: choose another file, or overwrite it", reason=Reason.TABLE_EXISTS, field="out"
        )


def write_table(
    path: Path,
    rows: Callable[[], Iterator[dict[str, Any]]],
    own: OwnColumns,
    about: Mapping[str, Any],
    columns: Columns | None = None,
) -> None:
    """Write the rows and what is to be known about them, in place of what is at ``path``. ``columns``: those of hits.

    Parquet keeps ``about`` in the metadata of its schema, each value as JSON under ``whence.<name>``; beside the other
    formats it is in ``<name>.about.json``.
    """
    partial = path.with_name(f".{path.name}.writing")
    _WRITERS[path.suffix.lower()](partial, rows(), columns or HITS, own, about)
    if path.suffix.lower() != ".parquet":
        about_path(path).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)


def about_path(path: Path) -> Path:
    """Return the path of the metadata of a table whose format has none."""
    return path.with_name(f"{path.name}.about.json")


def _write_parquet(
    path: Path, rows: Iterator[dict[str, Any]], columns: Columns, own: OwnColumns, about: Mapping[str, Any]
) -> None:
    import pyarrow as pa

    module = parquet()
    schema = pa.schema(
        [*columns.arrow(), *((name, _ARROW[own.kind(name)](pa)) for name in own.names)],
        metadata={f"whence.{name}": json.dumps(value) for name, value in about.items()},
    )
    with module.ParquetWriter(path, schema, compression="zstd") as writer:
        while chunk := list(itertools.islice(rows, _CHUNK)):
            plain = [{**row, **{name: _as(own.kind(name), row.get(name)) for name in own.names}} for row in chunk]
            writer.write_table(pa.Table.from_pylist(plain, schema=schema))


def arrow_fields(columns: Iterable[str]) -> list[tuple[str, Any]]:
    """Return names and Arrow types of columns of hits."""
    import pyarrow as pa

    token = pa.struct([("text", pa.string()), ("start", pa.int32()), ("end", pa.int32()), ("influence", pa.float64())])
    others = {
        "row": pa.int64(), "rank": pa.int32(), "completion_tokens": pa.int32(), "warnings": pa.list_(pa.string()),
        "layer_influence": pa.map_(pa.string(), pa.float64()), "tokens": pa.list_(token),
    }  # fmt: skip
    numbers = ("influence", "raw_influence", "signal", "significance", "log_likelihood", "recall", "truncation_error")
    return [(name, others.get(name, pa.float64() if name in numbers else pa.string())) for name in columns]


def _write_csv(
    path: Path, rows: Iterator[dict[str, Any]], columns: Columns, own: OwnColumns, about: Mapping[str, Any]
) -> None:
    names = [*columns.names, *own.names]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for row in rows:
            writer.writerow([_flat(row.get(name)) for name in names])


def _write_json_lines(
    path: Path, rows: Iterator[dict[str, Any]], columns: Columns, own: OwnColumns, about: Mapping[str, Any]
) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def _flat(value: object) -> object:
    """Return a value as a field of CSV: lists and objects as JSON, floats so that they are read back the same."""
    return json.dumps(value) if isinstance(value, list | dict | bool) else value


def _kind(value: object) -> type:
    if value is None or isinstance(value, bool | float | str):
        return type(value)
    return int if isinstance(value, int) and -_LARGEST <= value < _LARGEST else dict


def _as(kind: type, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if value is None or (kind in (bool, int, str) and isinstance(value, kind)):
        return value
    return float(value) if kind is float else json.dumps(value)


# The columns of a table of hits.
HITS: Final = Columns(names=COLUMNS, arrow=lambda: arrow_fields(COLUMNS))
_ARROW: Final[dict[type, Callable[[Any], Any]]] = {
    bool: lambda pa: pa.bool_(),
    int: lambda pa: pa.int64(),
    float: lambda pa: pa.float64(),
    str: lambda pa: pa.string(),
    dict: lambda pa: pa.string(),
    type(None): lambda pa: pa.string(),
}
_WRITERS: Final = {".parquet": _write_parquet, ".csv": _write_csv, ".jsonl": _write_json_lines}
