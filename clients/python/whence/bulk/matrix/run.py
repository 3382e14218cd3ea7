"""A run: each query of a file is scored against each sequence of another, block by block, and a table is written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from whence.bulk.interruptions import resumable, writing
from whence.bulk.journal import journal
from whence.bulk.matrix.asking import Asker, Matrix
from whence.bulk.matrix.blocks import cells, in_rows
from whence.bulk.matrix.kept import Kept
from whence.bulk.matrix.reports import MatrixRefusal, MatrixReport
from whence.bulk.matrix.sides import read_queries, read_sequences
from whence.bulk.matrix.tables import Line, write_matrix
from whence.bulk.options import DEFAULTS, RunOptions
from whence.bulk.tables import check_table
from whence.client import Client
from whence.results import AnswerWarning

# So many refusals are in the report.
_SHOWN: Final = 20


def score_files(
    client: Client,
    queries: Path,
    sequences: Path,
    out: Path,
    run: RunOptions = DEFAULTS,
    *,
    damping_factor: float | None = None,
) -> MatrixReport:
    """Score every query of a file against every sequence of another, and write the matrix.

    A ``.csv`` has a row for each query and a column for each sequence; ``.parquet`` and ``.jsonl`` have a row for each
    pair. Queries and sequences that are refused have no scores there. Blocks that are done are in ``<out>.journal``
    until all are: the same call goes on from there, and asks for none of them again.

    Raises :class:`~whence.errors.InvalidRequestError` for files that cannot be read or written,
    :class:`~whence.errors.MismatchError` (``JOB_MISMATCH``) where the files, the options or what is served are not
    those of the run that was interrupted, and what the server raises.
    """
    check_table(out, overwrite=run.overwrite)
    began, path = time.monotonic(), out.with_name(f"{out.name}.journal")
    matrix = Matrix(
        queries=read_queries(queries, strict=run.strict),
        sequences=read_sequences(sequences),
        damping_factor=damping_factor,
    )
    for side in matrix.sides:
        side.check(strict=run.strict)
    settings = _settings(matrix, run)
    with writing(path), journal(path, settings) as lines:
        kept = Kept(lines, matrix.grid(client, run))
        resumed = kept.scores
        with resumable(path, lambda: kept.scores, kept.grid.total, "scores"):
            Asker(client=client, matrix=matrix, kept=kept, run=run).ask()
        table = _Table(matrix, kept)
        table.write(out, settings)
    path.unlink(missing_ok=True)
    return table.report(out, resumed, time.monotonic() - began)


def _settings(matrix: Matrix, run: RunOptions) -> dict[str, Any]:
    """Return the settings of a run; one with others is another run."""
    return {
        **{side.field: side.file for side in matrix.sides},
        **{f"{side.field}_digest": side.digest for side in matrix.sides},
        "model": run.model,
        "strict": run.strict,
        "damping_factor": matrix.damping_factor,
    }


class _Table:
    """The table of what is kept: written once, and counted as it is written."""

    def __init__(self, matrix: Matrix, kept: Kept) -> None:
        self._matrix = matrix
        self._kept = kept
        self._scores = 0
        self._warnings: dict[AnswerWarning, None] = {}

    def write(self, out: Path, settings: dict[str, Any]) -> None:
        """Write the table, with the provenance of its scores and the settings of the run."""
        about = {"provenance": self._kept.plain_provenance, "settings": settings}
        write_matrix(out, self._lines(), [item.name for item in self._matrix.sequences.items], about)

    def report(self, out: Path, resumed: int, seconds: float) -> MatrixReport:
        """Return the report of a table that was written."""
        refusals = list(self._refusals())
        return MatrixReport(
            table=out,
            queries=len(self._matrix.queries.items),
            sequences=len(self._matrix.sequences.items),
            scores=self._scores,
            resumed=resumed,
            refused=len(refusals),
            seconds=seconds,
            provenance=self._kept.provenance,
            warnings=tuple(self._warnings),
            refusals=tuple(refusals[:_SHOWN]),
        )

    def _lines(self) -> Iterator[Line]:
        grid, refused = self._kept.grid, self._kept.refused
        without = {place for field, place in refused if field == "sequences"}
        for number, row in enumerate(in_rows(self._kept.blocks(), grid.columns)):
            for block in row:
                self._warnings |= dict.fromkeys(block.warnings)
            queries, _ = grid.places(number * grid.columns)
            for place, values in cells(row, queries, grid.sequences):
                # What was refused once has no scores at all, although other blocks may have some.
                empty = ("queries", place) in refused
                line = [None if empty or at in without else value for at, value in enumerate(values)]
                self._scores += sum(value is not None for value in line)
                yield self._matrix.queries.items[place].name, line

    def _refusals(self) -> Iterator[MatrixRefusal]:
        refused = self._kept.refused
        for side in self._matrix.sides:
            for place, item in enumerate(side.items):
                error = item.error or refused.get((side.field, place))
                if error is not None:
                    yield MatrixRefusal(
                        file=side.file, row=item.row, name=item.name, reason=error.reason, message=error.message
                    )
