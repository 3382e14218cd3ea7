"""Writes a matrix: CSV with a row for each query, Parquet and JSON Lines with a row for each pair."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from whence.bulk.files import parquet
from whence.bulk.tables import about_path

# A query's name, and its influence of each sequence, None where there is none.
Line = tuple[str, Sequence[float | None]]

_CHUNK: Final = 65_536


def write_matrix(path: Path, lines: Iterable[Line], sequences: Sequence[str], about: Mapping[str, Any]) -> None:
    """Write the lines in place of the file, and ``about`` where :func:`~whence.bulk.tables.write_table` does."""
    partial = path.with_name(f".{path.name}.writing")
    _WRITERS[path.suffix.lower()](partial, lines, sequences, about)
    if path.suffix.lower() != ".parquet":
        about_path(path).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def _write_csv(path: Path, lines: Iterable[Line], sequences: Sequence[str], about: Mapping[str, Any]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["query_id", *sequences])
        writer.writerows([query, *values] for query, values in lines)


def _write_json_lines(path: Path, lines: Iterable[Line], sequences: Sequence[str], about: Mapping[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for query, name, value in _pairs(lines, sequences):
            file.write(json.dumps({"query_id": query, "sequence_id": name, "influence": value}) + "\n")


def _write_parquet(path: Path, lines: Iterable[Line], sequences: Sequence[str], about: Mapping[str, Any]) -> None:
    module = parquet()
    import pyarrow as pa

    metadata: dict[bytes | str, bytes | str] = {f"whence.{name}": json.dumps(value) for name, value in about.items()}
    fields = [("query_id", pa.string()), ("sequence_id", pa.string()), ("influence", pa.float64())]
    schema = pa.schema([pa.field(name, kind) for name, kind in fields], metadata=metadata)
    pairs = _pairs(lines, sequences)
    with module.ParquetWriter(path, schema, compression="zstd") as writer:
        while chunk := list(itertools.islice(pairs, _CHUNK)):
            columns = dict(zip(schema.names, map(list, zip(*chunk, strict=True)), strict=True))
            writer.write_table(pa.table(columns, schema=schema))


def _pairs(lines: Iterable[Line], sequences: Sequence[str]) -> Iterator[tuple[str, str, float | None]]:
    for query, values in lines:
        for name, value in zip(sequences, values, strict=True):
            yield query, name, value


_WRITERS: Final = {".csv": _write_csv, ".parquet": _write_parquet, ".jsonl": _write_json_lines}
