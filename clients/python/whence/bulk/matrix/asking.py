"""Asks for the blocks of a matrix, and what becomes of queries and sequences that are refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from whence._window import in_order
from whence.bulk.matrix.blocks import Grid, ScoredBlock
from whence.bulk.matrix.kept import Kept, Refused
from whence.bulk.matrix.refusals import Places
from whence.bulk.matrix.sides import Field, SequenceChoice, Side
from whence.bulk.options import RunOptions
from whence.bulk.reports import BulkProgress
from whence.client import Client
from whence.errors import InvalidRequestError, NotFoundError, WhenceError
from whence.queries import Query
from whence.results import ScoreTable


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """The matrix that is wanted: its sides, and the damping factor of its scores."""

    queries: Side[Query]
    sequences: Side[SequenceChoice]
    damping_factor: float | None

    @property
    def sides(self) -> tuple[Side[Any], Side[Any]]:
        """Both sides."""
        return self.queries, self.sequences

    def grid(self, client: Client, run: RunOptions) -> Grid:
        """Return blocks of what the served model takes. A limit of 0 is not known."""
        limits = client.model(run.model).limits
        queries, sequences = (len(side.items) for side in self.sides)
        return Grid(
            queries=queries,
            sequences=sequences,
            height=run.batch_size or limits.max_queries or queries,
            width=limits.max_score_sequences or sequences,
        )


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Asks for what is left of a matrix, into what is kept of it."""

    client: Client
    matrix: Matrix
    kept: Kept
    run: RunOptions

    def ask(self) -> None:
        """Ask for each block that is not done, and keep it as soon as it is there.

        Raises :class:`~whence.errors.InvalidRequestError` where nothing was scored because all of a side was refused.
        """
        resumed, done = self.kept.scores, self.kept.done
        unreadable = sum(side.errors for side in self.matrix.sides)

        def show() -> None:
            refused = unreadable + len(self.kept.refused)
            scores, total = self.kept.scores, self.kept.grid.total
            self.run.progress(BulkProgress(done=scores, total=total, resumed=resumed, refused=refused))

        show()
        left = [block for block in range(self.kept.grid.blocks) if block not in done]
        with closing(in_order(self._ask_block, left, self.run.concurrency)) as blocks:
            for _ in blocks:
                show()
        if not self.kept.has_scores:
            (field, place), refused = next(iter(self.kept.refused.items()))
            raise self._of_row(field, place, refused.reason, f"{refused.message}. Nothing else was left to score")

    def _ask_block(self, block: int) -> list[int]:
        """Ask for a block, again without each query or sequence that is refused. Return its number."""
        while True:
            queries, sequences = self._left(block)
            if not queries or not sequences:
                self.kept.add(ScoredBlock(block=block, queries=[], sequences=[], influence=[], warnings=[]), None)
                return [block]
            places = Places(self.matrix.queries, queries, self.matrix.sequences, sequences)
            try:
                table = self._score(queries, sequences)
            except (InvalidRequestError, NotFoundError) as error:
                self._refuse(error, places)
                continue
            warnings = [
                dataclasses.replace(warning, message=places.in_files(warning.message)) for warning in table.warnings
            ]
            scored = ScoredBlock(
                block=block, queries=queries, sequences=sequences, influence=table.influence, warnings=warnings
            )
            self.kept.add(scored, table.provenance)
            return [block]

    def _left(self, block: int) -> tuple[list[int], list[int]]:
        """Return the places of a block's queries and sequences that are not refused."""
        refused = self.kept.refused
        queries, sequences = self.kept.grid.places(block)
        return (
            [
                place
                for place in queries
                if self.matrix.queries.items[place].asked and ("queries", place) not in refused
            ],
            [
                place
                for place in sequences
                if self.matrix.sequences.items[place].asked and ("sequences", place) not in refused
            ],
        )

    def _score(self, queries: Sequence[int], sequences: Sequence[int]) -> ScoreTable:
        chosen = self.matrix.sequences.asked(sequences)
        return self.client.score_matrix(
            self.matrix.queries.asked(queries),
            sequence_ids=[choice.sequence_id for choice in chosen if choice.sequence_id],
            texts=[choice.text for choice in chosen if choice.text and not choice.sequence_id],
            examples=[choice.example for choice in chosen if choice.example is not None],
            damping_factor=self.matrix.damping_factor,
            concurrency=1,
            model=self.run.model,
        )

    def _refuse(self, error: WhenceError, places: Places) -> None:
        """Keep that a query or a sequence was refused.

        Raises the error where it is of no single one and, with ``strict``, that of the first refusal.
        """
        named = places.named(error)
        if named is None:
            raise error
        field, place = named
        message = places.in_files(error.message)
        if self.run.strict:
            raise self._of_row(field, place, error.reason, message) from error
        self.kept.refuse(field, place, Refused(reason=str(error.reason), message=message))

    def _of_row(self, field: Field, place: int, reason: str, message: str) -> InvalidRequestError:
        side = self.matrix.queries if field == "queries" else self.matrix.sequences
        row = side.items[place].row
        return InvalidRequestError(
            f"row {row} of {side.file}: {message}", reason=reason, field=field, row=row, file=side.file
        )
