"""The blocks of a matrix: which there are, and what was scored of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from whence.results import AnswerWarning


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A matrix cut into blocks of ``height`` queries and ``width`` sequences, numbered row by row."""

    queries: int
    sequences: int
    height: int
    width: int

    @property
    def columns(self) -> int:
        """The blocks of a row."""
        return -(-self.sequences // self.width)

    @property
    def blocks(self) -> int:
        """The number of blocks."""
        return self.columns * -(-self.queries // self.height)

    @property
    def total(self) -> int:
        """The number of scores, those of what is refused included."""
        return self.queries * self.sequences

    def places(self, block: int) -> tuple[range, range]:
        """Return the queries and the sequences of a block, by their places on the sides."""
        row, column = divmod(block, self.columns)
        return _part(row, self.height, self.queries), _part(column, self.width, self.sequences)

    def scores(self, block: int) -> int:
        """Return the number of scores of a block."""
        queries, sequences = self.places(block)
        return len(queries) * len(sequences)


@dataclass(frozen=True, kw_only=True)
class ScoredBlock:
    """A block's scores: ``influence[query][sequence]`` of the queries and sequences at these places of the sides.

    Those that were refused are not among them.
    """

    block: int
    queries: Sequence[int]
    sequences: Sequence[int]
    influence: Sequence[Sequence[float]]
    warnings: Sequence[AnswerWarning]


def in_rows(blocks: Iterable[ScoredBlock], columns: int) -> Iterator[list[ScoredBlock]]:
    """Yield the blocks of each row of a grid, first to last. They arrive in about that order, which bounds memory."""
    waiting: dict[int, ScoredBlock] = {}
    first = 0
    for block in blocks:
        waiting[block.block] = block
        while all(first + column in waiting for column in range(columns)):
            yield [waiting.pop(first + column) for column in range(columns)]
            first += columns


def cells(row: Sequence[ScoredBlock], queries: range, sequences: int) -> Iterator[tuple[int, list[float | None]]]:
    """Yield the place of each query of a row of blocks, and its score of each sequence, None where there is none."""
    lines: dict[int, list[float | None]] = {query: [None] * sequences for query in queries}
    for block in row:
        for query, values in zip(block.queries, block.influence, strict=True):
            for sequence, value in zip(block.sequences, values, strict=True):
                lines[query][sequence] = value
    yield from lines.items()


def _part(number: int, size: int, total: int) -> range:
    return range(number * size, min((number + 1) * size, total))
