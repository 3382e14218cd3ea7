"""Readers of all input formats; each yields rows as a stream."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import pyarrow as pa

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.corpus.ingestion.formats.delimited import read_delimited
from whence_backends.corpus.ingestion.formats.documents import read_json
from whence_backends.corpus.ingestion.formats.lines import read_json_lines
from whence_backends.corpus.ingestion.formats.streams import UnreadableError
from whence_backends.corpus.ingestion.formats.tables import read_arrow, read_parquet
from whence_backends.corpus.ingestion.formats.text import read_text
from whence_backends.corpus.ingestion.rows import FileFormat, InputFile, Row

_READERS: Final[Mapping[FileFormat, Callable[[InputFile, int], Iterator[Row]]]] = {
    "jsonl": read_json_lines,
    "json": read_json,
    "csv": read_delimited,
    "tsv": read_delimited,
    "parquet": read_parquet,
    "arrow": read_arrow,
    "text": read_text,
}


def read_rows(file: InputFile, max_row_bytes: int) -> Iterator[Row]:
    """Yield the rows of a file in order, bad ones and those of more than ``max_row_bytes`` included.

    Raises :class:`~whence.errors.InvalidRequestError` with reason ``UNREADABLE_CORPUS_FILE`` if the file cannot be read
    to its end (no permission, a truncated gzip, not Parquet).
    """
    try:
        yield from _READERS[file.format](file, max_row_bytes)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException, UnicodeError, UnreadableError) as error:
        raise InvalidRequestError(
            f"cannot read {file.name} as {file.format}: {error}; check that it is complete, or leave it out",
            reason=Reason.UNREADABLE_CORPUS_FILE,
            file=file.name,
        ) from error
