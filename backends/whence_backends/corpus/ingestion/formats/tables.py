"""Parquet and Arrow: batches of rows as Python values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from whence_backends.corpus.ingestion.formats.cells import values
from whence_backends.corpus.ingestion.formats.streams import UnreadableError
from whence_backends.corpus.ingestion.rows import BadCell, InputFile, Row

_ROWS_AT_ONCE: Final = 256
_BYTES_AT_ONCE: Final = 1 << 25


def read_parquet(file: InputFile, max_row_bytes: int) -> Iterator[Row]:
    """Yield the rows of a Parquet file, reading at most some tens of megabytes of ordinary rows at a time."""
    # Python opens the files: Arrow accepts only names that are UTF-8.
    with file.path.open("rb") as raw, pq.ParquetFile(raw) as table:
        rows = max(table.metadata.num_rows, 1)
        groups = [table.metadata.row_group(number) for number in range(table.metadata.num_row_groups)]
        size_bytes = sum(group.total_byte_size for group in groups)
        at_once = min(max(_BYTES_AT_ONCE * rows // max(size_bytes, 1), 1), _ROWS_AT_ONCE)
        batches = table.iter_batches(batch_size=at_once)
        yield from _batch_rows(file, batches, lambda line: line / rows, max_row_bytes)


def read_arrow(file: InputFile, max_row_bytes: int) -> Iterator[Row]:
    """Yield the rows of an Arrow IPC file or stream; ``datasets`` writes streams."""
    size_bytes = max(file.path.stat().st_size, 1)
    with file.path.open("rb") as raw, pa.PythonFile(raw, "r") as source:
        batches = _arrow_batches(source)
        yield from _batch_rows(file, batches, lambda _: min(source.tell() / size_bytes, 1.0), max_row_bytes)


def _arrow_batches(source: Any) -> Iterator[Any]:  # noqa: ANN401 - pyarrow has no types
    is_file_format = source.read(6) == b"ARROW1"
    source.seek(0)
    if is_file_format:
        reader = pa.ipc.open_file(source)
        yield from (reader.get_batch(number) for number in range(reader.num_record_batches))
    else:
        yield from pa.ipc.open_stream(source)


def _batch_rows(
    file: InputFile, batches: Iterator[Any], read_fraction: Callable[[int], float], max_row_bytes: int
) -> Iterator[Row]:
    line = 0
    for batch in batches:
        _require_whole(batch)
        for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
            for columns in _rows(batch.slice(start, _ROWS_AT_ONCE), max_row_bytes):
                line += 1
                yield Row(file=file, line=line, columns=columns, read_fraction=read_fraction(line))


def _require_whole(batch: Any) -> None:  # noqa: ANN401
    """Refuse a batch with offsets out of bounds, which would read memory outside the batch."""
    try:
        batch.validate(full=False)
    except pa.ArrowException as error:
        raise UnreadableError(f"it is damaged: {error}") from None


def _rows(batch: Any, max_row_bytes: int) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    names = batch.schema.names
    twice = {name: BadCell(problem="is there twice") for name, count in Counter(names).items() if count > 1}
    columns = [values(column, max_row_bytes) for column in batch.columns]
    for number in range(batch.num_rows):
        yield {name: column[number] for name, column in zip(names, columns, strict=True)} | twice
