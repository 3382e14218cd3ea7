"""CSV and TSV: a header line, then one row per record, quoted as in RFC 4180."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final

from whence_backends.corpus.ingestion.formats.streams import (
    ByteStream,
    UnreadableError,
    bounded_lines,
    open_bytes,
    too_large,
)
from whence_backends.corpus.ingestion.rows import BadCell, InputFile, Row

_OTHER_DELIMITERS: Final = (b";", b"\t", b"|")


def read_delimited(file: InputFile, max_row_bytes: int) -> Iterator[Row]:
    """Yield a row for each record after the header.

    A .csv whose header has no comma may be delimited by semicolons, tabs or vertical bars.
    """
    csv.field_size_limit(max_row_bytes)
    with open_bytes(file) as stream:
        records = _Records(stream, file, max_row_bytes)
        header = next(records, None)
        if header is None:
            return
        names, problem = header
        if problem:
            raise UnreadableError(f"its first line, which names the columns, {problem}")
        for cells, problem in records:
            columns = None if problem or len(cells) != len(names) else _columns(names, cells)
            if columns is None and not problem:
                problem = f"has {len(cells)} cells; the first line names {len(names)} columns"
            yield Row(
                file=file,
                line=records.line,
                columns=columns,
                problem=problem,
                read_fraction=stream.read_fraction(),
            )


class _Records:
    """The records of a file, each as its cells and a problem or "". State: the line at which the latest begins."""

    def __init__(self, stream: ByteStream, file: InputFile, max_row_bytes: int) -> None:
        self._lines = _Lines(stream, max_row_bytes)
        self._reader = csv.reader(self._lines, delimiter=_delimiter(self._lines.first, file), strict=True)
        self.line = 0

    def __iter__(self) -> _Records:
        return self

    def __next__(self) -> tuple[Sequence[str], str]:
        while True:
            self.line = self._lines.number + 1
            self._lines.begin_record()
            try:
                cells = next(self._reader)
            except csv.Error as error:
                if "unexpected end of data" in str(
                    error
                ):  # the rest of the file is within quotes: not one row but many
                    raise UnreadableError(f"a quote in the record at line {self.line} is never closed") from None
                return [], f"is not a record: {error}"
            if self._lines.problem:
                return [], self._lines.problem
            if cells:  # otherwise a blank line
                return cells, ""


class _Lines:
    """The lines of a file as text. State: the number of the latest line, and the problem of the current record."""

    def __init__(self, stream: ByteStream, max_row_bytes: int) -> None:
        lines = bounded_lines(stream, max_row_bytes)
        head = list(islice(lines, 1))
        self.first = b"".join(line for _, line in head if line)
        self._lines = chain(head, lines)
        self._most = max_row_bytes
        self._record_bytes = 0
        self.number = 0
        self.problem = ""

    def begin_record(self) -> None:
        self._record_bytes, self.problem = 0, ""

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        self.number, line = next(self._lines)
        self._record_bytes += len(line or b"")
        if line is None or self._record_bytes > self._most:
            self.problem = too_large(self._most)
            return '"' * (line or b"").count(b'"')  # the quotes alone, which decide where the record ends
        # Invalid UTF-8 affects its own cell only; see `_columns`.
        return line.decode("utf-8", "surrogateescape")


def _delimiter(first_line: bytes, file: InputFile) -> str:
    if file.format == "tsv":
        return "\t"
    others = max(_OTHER_DELIMITERS, key=first_line.count)
    return others.decode() if b"," not in first_line and others in first_line else ","


def _columns(names: Sequence[str], cells: Iterable[str]) -> dict[str, Any]:
    columns: dict[str, Any] = dict(zip(names, map(_cell, cells), strict=True))
    if len(columns) < len(names):
        columns |= {name: BadCell(problem="is there twice") for name, count in Counter(names).items() if count > 1}
    return columns


def _cell(value: str) -> str | BadCell:
    try:
        value.encode()
    except UnicodeEncodeError:
        shown = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return BadCell(problem="is not UTF-8", shown=shown)
    return value
