"""The file format of a corpus shard: uncompressed Arrow IPC, memory-mapped by readers.

A row is a sequence, in corpus order. ``weights`` is null if every token but the first has weight 1; ``offsets`` are
flattened pairs; ``metadata`` is JSON, since its fields differ between sources. The sequences of a document share their
metadata: it is stored in the first one's row and null in the others, and ``metadata_row`` is the row of the shard that
stores it. (The first format, which is still read, lacked this column and repeated the metadata in each row.)
"""

from __future__ import annotations

import bisect
import json
import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from whence.errors import CorruptArtefactError
from whence.reasons import Reason
from whence_backends.contract import Int32Array, TokenSequence
from whence_backends.corpus.chunking import ChunkedSequence, Float32Array
from whence_backends.store.artefact import canonical_json

_FIELDS: Final[list[Any]] = [
    pa.field("sequence_id", pa.string(), nullable=False),
    pa.field("document_id", pa.string(), nullable=False),
    pa.field("source", pa.string(), nullable=False),
    pa.field("text", pa.string(), nullable=False),
    pa.field("metadata", pa.string(), nullable=True),
    pa.field("metadata_row", pa.int32(), nullable=False),
    pa.field("token_ids", pa.list_(pa.int32()), nullable=False),
    pa.field("weights", pa.list_(pa.float32()), nullable=True),
    pa.field("offsets", pa.list_(pa.int32()), nullable=False),
]
SCHEMA: Final = pa.schema(_FIELDS)
_METADATA_ROW: Final = "metadata_row"
_TEXT_COLUMNS: Final = tuple(field.name for field in _FIELDS if field.type == pa.string())
_FIRST_SCHEMA: Final = pa.schema(
    [SCHEMA.field(name).with_nullable(name == "weights") for name in SCHEMA.names if name != _METADATA_ROW]
)
_ROWS_PER_BATCH: Final = 1024
_TEXT_PER_BATCH: Final = 1 << 24  # characters, of texts and metadata

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ShardInfo:
    """A shard of a corpus: ``sequences`` sequences, starting at position ``first_position``."""

    name: str
    first_position: int
    sequences: int
    tokens: int

    @property
    def positions(self) -> range:
        """The positions of its sequences in the corpus."""
        return range(self.first_position, self.first_position + self.sequences)


@dataclass(frozen=True, kw_only=True)
class SequenceRecord:
    """A training sequence with its text and metadata. ``offsets`` int32 [T, 2] count characters of ``text``.

    A sequence that is not in the corpus has position -1 and empty ids.
    """

    position: int
    shard: str
    sequence_id: str
    document_id: str
    source: str
    text: str
    metadata: Mapping[str, Any]
    token_ids: Int32Array
    weights: Float32Array
    offsets: Int32Array

    @property
    def tokens(self) -> TokenSequence:
        """The sequence as an engine's input."""
        return TokenSequence(token_ids=self.token_ids, weights=self.weights)


@dataclass(frozen=True, kw_only=True)
class SequenceOrigin:
    """The names of a sequence, its document and its source, and its length: all but what it says."""

    sequence_id: str
    document_id: str
    source: str
    token_count: int


def shard_file(name: str) -> str:
    """Return the file name of a shard."""
    return f"{name}.arrow"


def write_shard(path: Path, sequences: Iterable[ChunkedSequence]) -> None:
    """Write sequences to a file, one batch in memory at a time."""
    # Python's file object rather than Arrow's, so that a full disk raises an OSError with its errno.
    with path.open("wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        for batch in _batches(_described(sequences)):
            writer.write_batch(_batch(batch))


def default_weights(tokens: int) -> Float32Array:
    """Return the weights of a sequence that was trained on as a whole: 0 for its first token, else 1."""
    weights = np.ones(tokens, np.float32)
    weights[:1] = 0.0
    return weights


class Shard:
    """A memory-mapped shard. Rows are counted from 0 within it."""

    def __init__(self, path: Path, info: ShardInfo) -> None:
        self.info = info
        self._batches = [_Batch.of(batch) for batch in _open_batches(path)]
        self._starts = list(accumulate((batch.rows for batch in self._batches), initial=0))  # [batches + 1]
        if self._starts[-1] != info.sequences:
            raise _corrupt(path, f"has {self._starts[-1]} sequences; the manifest says {info.sequences}")

    def lengths(self) -> Int32Array:
        """Return the length in tokens of each sequence, int32 [sequences]."""
        return np.concatenate([np.diff(batch.token_ids.starts) for batch in self._batches]).astype(np.int32)

    def trained_tokens(self) -> Int32Array:
        """Return the number of tokens of each sequence that count and have context, int32 [sequences]."""
        return np.concatenate([batch.trained_tokens() for batch in self._batches]).astype(np.int32)

    def largest_token_id(self) -> int:
        """Return the largest token id, or -1 for an empty shard, by one pass over the tokens."""
        return max((int(batch.token_ids.values.max(initial=-1)) for batch in self._batches), default=-1)

    def sequence_ids(self) -> Iterator[str]:
        """Yield the sequence ids in order."""
        for batch in self._batches:
            yield from batch.table.column("sequence_id").to_pylist()

    def sequence_id(self, row: int) -> str:
        """Return the id of a sequence."""
        return self._text(row, "sequence_id")

    def column(self, name: str) -> Any:  # noqa: ANN401 - pyarrow has no types
        """Return a column as a pyarrow chunked array."""
        return pa.chunked_array([batch.table.column(name) for batch in self._batches], SCHEMA.field(name).type)

    def each_metadata(self, read: Callable[[Mapping[str, Any]], T]) -> list[T]:
        """Return ``read(metadata)`` for each row. It is called once for neighbouring rows that share their metadata."""
        rows, places = np.unique(self._metadata_rows(), return_inverse=True)
        distinct = [read(json.loads(self._text(row, "metadata"))) for row in rows.tolist()]
        return [distinct[place] for place in places.tolist()]

    def token_batches(self) -> Iterator[tuple[Int32Array, Int32Array]]:
        """Yield the memory-mapped tokens in batches, each with the starts of its sequences, int32 [sequences + 1]."""
        for batch in self._batches:
            yield batch.token_ids.starts, batch.token_ids.values

    def tokens(self, row: int) -> TokenSequence:
        """Return a sequence as an engine's input; the arrays are copies."""
        batch, index = self._locate(row)
        token_ids = batch.token_ids.row(index)
        weights = batch.weights.row(index) if batch.is_weighted[index] else default_weights(len(token_ids))
        return TokenSequence(token_ids=token_ids, weights=weights)

    def record(self, row: int) -> SequenceRecord:
        """Return the record of a sequence."""
        tokens = self.tokens(row)
        batch, index = self._locate(row)
        return SequenceRecord(
            position=self.info.first_position + row,
            shard=self.info.name,
            sequence_id=self._text(row, "sequence_id"),
            document_id=self._text(row, "document_id"),
            source=self._text(row, "source"),
            text=self._text(row, "text"),
            metadata=json.loads(self._text(batch.metadata_row(index, row), "metadata")),
            token_ids=tokens.token_ids,
            weights=tokens.weights.astype(np.float32),
            offsets=batch.offsets.row(index).reshape(-1, 2),
        )

    def origin(self, row: int) -> SequenceOrigin:
        """Return the origin of a sequence. Neither its text nor its tokens are read."""
        batch, index = self._locate(row)
        return SequenceOrigin(
            sequence_id=batch.texts["sequence_id"].row(index),
            document_id=batch.texts["document_id"].row(index),
            source=batch.texts["source"].row(index),
            token_count=int(batch.token_ids.starts[index + 1] - batch.token_ids.starts[index]),
        )

    def _metadata_rows(self) -> Int32Array:
        """Return the row that stores each row's metadata, int32 [sequences]."""
        starts = zip(self._batches, self._starts, strict=False)
        rows = [
            np.arange(start, start + batch.rows) if batch.metadata_rows is None else batch.metadata_rows
            for batch, start in starts
        ]
        return np.concatenate(rows).astype(np.int32)

    def _locate(self, row: int) -> tuple[_Batch, int]:
        number = bisect.bisect_right(self._starts, row) - 1
        return self._batches[number], row - self._starts[number]

    def _text(self, row: int, column: str) -> str:
        batch, index = self._locate(row)
        return batch.texts[column].row(index)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Lists:
    """A column of lists as arrays over the memory map: row i is ``values[starts[i] : starts[i + 1]]``.

    Reading a row this way takes a tenth of the time of Arrow's scalars, which a scan would spend on each sequence.
    """

    starts: Int32Array
    values: NDArray[Any]  # int32 or float32, the type of the column

    @classmethod
    def of(cls, column: Any) -> _Lists:  # noqa: ANN401 - pyarrow has no types
        return cls(starts=column.offsets.to_numpy(), values=column.values.to_numpy())

    def row(self, index: int) -> NDArray[Any]:
        # A copy: a view of the map is read-only, and torch warns about arrays that it cannot write to.
        return self.values[self.starts[index] : self.starts[index + 1]].copy()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Texts:
    """A column of texts as bytes of the memory map: row i is ``values[starts[i] : starts[i + 1]]`` in UTF-8."""

    starts: Int32Array
    values: memoryview

    @classmethod
    def of(cls, column: Any) -> _Texts:  # noqa: ANN401 - pyarrow has no types
        _, starts, values = column.buffers()
        return cls(starts=np.frombuffer(starts or b"", np.int32)[column.offset :], values=memoryview(values or b""))

    def row(self, index: int) -> str:
        return str(self.values[self.starts[index] : self.starts[index + 1]], "utf-8")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Batch:
    """A record batch: its columns of Arrow, its texts and lists by row, and the rows that have explicit weights.

    ``metadata_rows`` int32 [rows] is the row of the shard that stores each row's metadata; ``None``: the row itself.
    """

    table: Any
    rows: int
    texts: Mapping[str, _Texts]
    metadata_rows: Int32Array | None
    token_ids: _Lists
    weights: _Lists
    offsets: _Lists
    is_weighted: NDArray[np.bool_]

    @classmethod
    def of(cls, table: Any) -> _Batch:  # noqa: ANN401 - pyarrow has no types
        return cls(
            table=table,
            rows=table.num_rows,
            texts={name: _Texts.of(table.column(name)) for name in _TEXT_COLUMNS},
            metadata_rows=table.column(_METADATA_ROW).to_numpy() if _METADATA_ROW in table.schema.names else None,
            token_ids=_Lists.of(table.column("token_ids")),
            weights=_Lists.of(table.column("weights")),
            offsets=_Lists.of(table.column("offsets")),
            is_weighted=table.column("weights").is_valid().to_numpy(zero_copy_only=False),
        )

    def trained_tokens(self) -> Int32Array:
        """Return the number of trained tokens of each row, int32 [rows]."""
        counts: Int32Array = np.maximum(np.diff(self.token_ids.starts) - 1, 0)
        if self.is_weighted.any():
            starts, count_before = self.weights.starts, np.concatenate([[0], np.cumsum(self.weights.values != 0)])
            behind_first = np.minimum(starts[:-1] + 1, starts[1:])
            weighted = count_before[starts[1:]] - count_before[behind_first]
            counts[self.is_weighted] = weighted[self.is_weighted]
        return counts

    def metadata_row(self, index: int, row: int) -> int:
        """Return the row of the shard that stores the metadata of this batch's row ``index``, the shard's ``row``."""
        return row if self.metadata_rows is None else int(self.metadata_rows[index])


def _open_batches(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as file:  # by Python, which accepts any name
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        reader = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(mapped)))
        if reader.schema not in (SCHEMA, _FIRST_SCHEMA):
            raise _corrupt(path, "has other columns than a corpus shard")
        yield from (reader.get_batch(number) for number in range(reader.num_record_batches))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _corrupt(path, f"is not a corpus shard ({error})") from error


@dataclass(frozen=True, kw_only=True, eq=False)
class _Described:
    """A sequence with its metadata as stored: JSON, or ``None`` if an earlier row stores it."""

    sequence: ChunkedSequence
    metadata: str | None
    metadata_row: int


def _described(sequences: Iterable[ChunkedSequence]) -> Iterator[_Described]:
    """Number the rows of a shard, and share metadata between neighbouring rows of one document."""
    held: Mapping[str, Any] | None = None
    place = 0
    for row, sequence in enumerate(sequences):
        is_new = sequence.metadata is not held  # the sequences of one document share the object
        if is_new:
            held, place = sequence.metadata, row
        metadata = canonical_json(sequence.metadata).decode() if is_new else None
        yield _Described(sequence=sequence, metadata=metadata, metadata_row=place)


def _batches(rows: Iterable[_Described]) -> Iterator[list[_Described]]:
    batch: list[_Described] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += len(row.sequence.text) + len(row.metadata or "")
        if len(batch) == _ROWS_PER_BATCH or characters >= _TEXT_PER_BATCH:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _batch(described: list[_Described]) -> Any:  # noqa: ANN401
    rows = [row.sequence for row in described]
    columns: dict[str, list[Any]] = {
        "sequence_id": [row.sequence_id for row in rows],
        "document_id": [row.document_id for row in rows],
        "source": [row.source for row in rows],
        "text": [row.text for row in rows],
        "metadata": [row.metadata for row in described],
        "metadata_row": [row.metadata_row for row in described],
        "token_ids": [row.token_ids for row in rows],
        "weights": [None if _is_default(row.weights) else row.weights for row in rows],
        "offsets": [row.offsets.reshape(-1) for row in rows],
    }
    return pa.RecordBatch.from_pydict(columns, schema=SCHEMA)


def _is_default(weights: Float32Array) -> bool:
    return np.array_equal(weights, default_weights(len(weights)))


def _corrupt(path: Path, what: str) -> CorruptArtefactError:
    return CorruptArtefactError(f"{path} {what}; make the corpus again", reason=Reason.CORRUPT_ARTEFACT, path=path)
