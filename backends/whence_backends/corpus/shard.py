"""The file format of a corpus shard: uncompressed Arrow IPC, memory-mapped by readers.

A row is a sequence, in corpus order. ``weights`` is null where every token but the first counts 1;
``offsets`` are pairs laid flat; ``metadata`` is JSON, since its columns differ between sources. The sequences of a
document share theirs: it stands in the first one's row, is null in the others', and ``metadata_row`` says for each row
of the shard where it is. (The first format had no such column, and each row its own metadata; it is read as well.)
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
_FIRST_SCHEMA: Final = pa.schema(
    [SCHEMA.field(name).with_nullable(name == "weights") for name in SCHEMA.names if name != _METADATA_ROW]
)
_ROWS_PER_BATCH: Final = 1024
_TEXT_PER_BATCH: Final = 1 << 24  # characters, of texts and metadata

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ShardInfo:
    """A shard of a corpus: it holds ``sequences`` sequences from position ``first_position`` on."""

    name: str
    first_position: int
    sequences: int
    tokens: int

    @property
    def positions(self) -> range:
        """The positions in the corpus that it holds."""
        return range(self.first_position, self.first_position + self.sequences)


@dataclass(frozen=True, kw_only=True)
class SequenceRecord:
    """A training sequence with all that is known of it. ``offsets`` int32 [T, 2] are characters of ``text``.

    A text that is not in the corpus has position -1 and empty names.
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
        """The sequence as engines take it."""
        return TokenSequence(token_ids=self.token_ids, weights=self.weights)


def shard_file(name: str) -> str:
    """Return the file name of a shard."""
    return f"{name}.arrow"


def write_shard(path: Path, sequences: Iterable[ChunkedSequence]) -> None:
    """Write sequences to a file, holding no more than one batch of them."""
    # Python's own file, not Arrow's: a full disk then has its errno.
    with path.open("wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        for batch in _batches(_described(sequences)):
            writer.write_batch(_batch(batch))


def default_weights(tokens: int) -> Float32Array:
    """Return the weights of a sequence learnt whole: 1, and 0 for the first token, which has no context."""
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
        """Return how many tokens each sequence has, int32 [sequences]."""
        return np.concatenate([np.diff(batch.token_ids.starts) for batch in self._batches]).astype(np.int32)

    def trained_tokens(self) -> Int32Array:
        """Return how many tokens of each sequence count and have a context to be predicted from, int32 [sequences]."""
        return np.concatenate([batch.trained_tokens() for batch in self._batches]).astype(np.int32)

    def largest_token_id(self) -> int:
        """Return the largest token id, -1 where there is none: one pass over the tokens."""
        return max((int(batch.token_ids.values.max(initial=-1)) for batch in self._batches), default=-1)

    def sequence_ids(self) -> Iterator[str]:
        """Yield the sequence ids in order."""
        for batch in self._batches:
            yield from batch.table.column("sequence_id").to_pylist()

    def sequence_id(self, row: int) -> str:
        """Return one sequence's id."""
        return self._text(row, "sequence_id")

    def column(self, name: str) -> Any:  # noqa: ANN401 - pyarrow has no types
        """Return one column whole, as a pyarrow chunked array."""
        return pa.chunked_array([batch.table.column(name) for batch in self._batches], SCHEMA.field(name).type)

    def each_metadata(self, read: Callable[[Mapping[str, Any]], T]) -> list[T]:
        """Return what ``read`` makes of each row's metadata; neighbours that share theirs have it read once."""
        rows, places = np.unique(self._metadata_rows(), return_inverse=True)
        distinct = [read(json.loads(self._text(row, "metadata"))) for row in rows.tolist()]
        return [distinct[place] for place in places.tolist()]

    def token_batches(self) -> Iterator[tuple[Int32Array, Int32Array]]:
        """Yield the tokens as they lie mapped, and where each sequence's start in them, int32 [sequences + 1]."""
        for batch in self._batches:
            yield batch.token_ids.starts, batch.token_ids.values

    def tokens(self, row: int) -> TokenSequence:
        """Return one sequence as engines take it; the arrays are copies."""
        batch, index = self._locate(row)
        token_ids = batch.token_ids.row(index)
        weights = batch.weights.row(index) if batch.is_weighted[index] else default_weights(len(token_ids))
        return TokenSequence(token_ids=token_ids, weights=weights)

    def record(self, row: int) -> SequenceRecord:
        """Return all that is known of one sequence."""
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

    def _metadata_rows(self) -> Int32Array:
        """Return where each row's metadata stands, int32 [sequences]."""
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
        return str(batch.table.column(column)[index].as_py())


@dataclass(frozen=True, kw_only=True, eq=False)
class _Lists:
    """A column of lists as views of the map: row i is ``values[starts[i] : starts[i + 1]]``.

    Reading a row so takes a tenth of what Arrow's scalars take, which a scan would pay for each sequence.
    """

    starts: Int32Array
    values: NDArray[Any]  # int32 or float32, as the column is

    @classmethod
    def of(cls, column: Any) -> _Lists:  # noqa: ANN401 - pyarrow has no types
        return cls(starts=column.offsets.to_numpy(), values=column.values.to_numpy())

    def row(self, index: int) -> NDArray[Any]:
        # A copy: a view of the map is read-only, and torch warns of arrays that it may not write to.
        return self.values[self.starts[index] : self.starts[index + 1]].copy()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Batch:
    """A record batch: its texts as Arrow has them, its lists as arrays, which rows have weights of their own.

    ``metadata_rows`` int32 [rows] says where in the shard each row's metadata stands; ``None``: in the row itself.
    """

    table: Any
    rows: int
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
            metadata_rows=table.column(_METADATA_ROW).to_numpy() if _METADATA_ROW in table.schema.names else None,
            token_ids=_Lists.of(table.column("token_ids")),
            weights=_Lists.of(table.column("weights")),
            offsets=_Lists.of(table.column("offsets")),
            is_weighted=table.column("weights").is_valid().to_numpy(zero_copy_only=False),
        )

    def trained_tokens(self) -> Int32Array:
        """Return how many tokens of each row are trained on, int32 [rows]."""
        counts: Int32Array = np.maximum(np.diff(self.token_ids.starts) - 1, 0)
        if self.is_weighted.any():
            starts, count_before = self.weights.starts, np.concatenate([[0], np.cumsum(self.weights.values != 0)])
            behind_first = np.minimum(starts[:-1] + 1, starts[1:])
            weighted = count_before[starts[1:]] - count_before[behind_first]
            counts[self.is_weighted] = weighted[self.is_weighted]
        return counts

    def metadata_row(self, index: int, row: int) -> int:
        """Return the row of the shard that has the metadata of this batch's ``index``, which is the shard's ``row``."""
        return row if self.metadata_rows is None else int(self.metadata_rows[index])


def _open_batches(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as file:  # by Python, which takes any name
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        reader = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(mapped)))
        if reader.schema not in (SCHEMA, _FIRST_SCHEMA):
            raise _corrupt(path, "has other columns than a corpus shard")
        yield from (reader.get_batch(number) for number in range(reader.num_record_batches))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _corrupt(path, f"is not a corpus shard ({error})") from error


@dataclass(frozen=True, kw_only=True, eq=False)
class _Described:
    """A sequence with its metadata as it is stored: JSON, or ``None`` where it stands in an earlier row."""

    sequence: ChunkedSequence
    metadata: str | None
    metadata_row: int


def _described(sequences: Iterable[ChunkedSequence]) -> Iterator[_Described]:
    """Number the rows of a shard, and have neighbours of the same metadata share it."""
    held: Mapping[str, Any] | None = None
    place = 0
    for row, sequence in enumerate(sequences):
        is_new = sequence.metadata is not held  # those of one document are the same object
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
