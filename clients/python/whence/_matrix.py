"""Matrices of scores: cut into blocks that a request may have, and put together again."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from whence._many import batches
from whence.errors import InvalidRequestError, MismatchError, WhenceError
from whence.models import Limits
from whence.queries import Query
from whence.reasons import Reason
from whence.results import AnswerWarning, ScoreTable
from whence.v1 import attribution_service_pb2

_PLACE: Final = re.compile(r"(queries|sequences)\[(\d+)\]")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of a matrix, from the query and the sequence with these numbers on."""

    row: int
    column: int
    queries: Sequence[Query]
    sequences: Sequence[attribution_service_pb2.SequenceSelector]

    def explained(self, error: WhenceError) -> WhenceError:
        """Return a block's error with the places that its queries and sequences have in the whole matrix."""
        error.message = self._placed(error.message)
        error.args = (error.message,)
        if isinstance(error, InvalidRequestError):
            error.field = self._placed(error.field)
        return error

    def placed(self, table: ScoreTable) -> ScoreTable:
        """Return a block's table, its warnings with the places in the whole matrix."""
        warnings = (replace(warning, message=self._placed(warning.message)) for warning in table.warnings)
        return replace(table, warnings=tuple(warnings))

    def _placed(self, text: str) -> str:
        first = {"queries": self.row, "sequences": self.column}
        return _PLACE.sub(lambda place: f"{place[1]}[{first[place[1]] + int(place[2])}]", text)


def blocks(
    queries: Sequence[Query],
    sequences: Sequence[attribution_service_pb2.SequenceSelector],
    limits: Limits,
) -> Generator[Block, None, None]:
    """Yield the blocks of a matrix, row by row. A limit of 0 is not known."""
    width = limits.max_score_sequences or len(sequences)
    row = 0
    for batch in batches(queries, limits.max_queries or len(queries)):
        for column in range(0, len(sequences), width):
            yield Block(row=row, column=column, queries=batch, sequences=sequences[column : column + width])
        row += len(batch)


def joined(tables: Sequence[ScoreTable], columns: int) -> ScoreTable:
    """Return the matrix of blocks that were yielded row by row, ``columns`` of them in a row.

    Raises :class:`~whence.errors.MismatchError` (``GENERATION_MISMATCH``) where what is served changed between blocks.
    """
    first = tables[0]
    for table in tables:
        if replace(table.provenance, certificate=first.provenance.certificate) != first.provenance:
            raise MismatchError(
                "what is served changed while the matrix was computed, its parts are not of one model: call again",
                reason=Reason.GENERATION_MISMATCH,
            )
    rows = [tables[at : at + columns] for at in range(0, len(tables), columns)]
    timings: dict[str, float] = {}
    warnings: dict[AnswerWarning, None] = {}
    for table in tables:
        warnings |= dict.fromkeys(table.warnings)
        for stage, seconds in table.timings.items():
            timings[stage] = timings.get(stage, 0.0) + seconds
    return replace(
        first,
        query_ids=tuple(query_id for row in rows for query_id in row[0].query_ids),
        log_likelihood=tuple(value for row in rows for value in row[0].log_likelihood),
        sequences=tuple(sequence for table in rows[0] for sequence in table.sequences),
        influence=tuple(
            tuple(chain(*parts)) for row in rows for parts in zip(*(table.influence for table in row), strict=True)
        ),
        layer_influence=None
        if first.layer_influence is None
        else tuple(
            tuple(chain(*parts))
            for row in rows
            for parts in zip(*(table.layer_influence or () for table in row), strict=True)
        ),
        sequences_scored=sum(table.sequences_scored for table in rows[0]),
        timings=timings,
        warnings=tuple(warnings),
    )
