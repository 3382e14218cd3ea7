"""The report of a matrix."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from whence.results import AnswerWarning, Provenance


@dataclass(frozen=True, kw_only=True)
class MatrixRefusal:
    """A query or a sequence that was refused: its file, its row there, and why."""

    file: str
    row: int
    name: str
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class MatrixReport:
    """What a run did. ``scores`` are those of the table, ``resumed`` of them of an earlier run.

    ``refused`` queries and sequences have no scores; ``refusals`` are the first twenty. ``provenance`` is that of every
    score.
    """

    table: Path
    queries: int
    sequences: int
    scores: int
    resumed: int
    refused: int
    seconds: float
    provenance: Provenance
    warnings: tuple[AnswerWarning, ...]
    refusals: tuple[MatrixRefusal, ...]
