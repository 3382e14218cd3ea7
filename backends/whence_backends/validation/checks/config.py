"""The configuration of the checks, their queries, and their progress."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from whence_backends.contract import TokenSequence


@dataclass(frozen=True, kw_only=True, eq=False)
class CheckQuery:
    """An output to attribute: its id, its tokens as an engine takes them, and its words for lexical search."""

    id: str
    tokens: TokenSequence
    text: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Canary:
    """A query, and the ids of the documents that must be on top of its ranking."""

    query: CheckQuery
    documents: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """The configuration of the checks.

    ``out`` keeps what is done, so that the same checks go on where they were killed. ``fit_sequences`` random sequences
    are fitted on again, and again by halves; ``scan_sequences`` random ones are scored, beside those that share most
    words with a query; ``precision_sequences`` of these in another precision too, and of ``optimum_sequences`` the mean
    gradient is taken. ``step_hits`` first hits of each query are stepped along. ``seed`` draws the sample, and it and
    the next number draw the labels.
    """

    model: str
    factors: Path
    corpus: Path
    out: Path
    device: str = "auto"
    damping_factor: float = 0.1
    fit_sequences: int = 500
    scan_sequences: int = 2000
    precision_sequences: int = 200
    optimum_sequences: int = 500
    step_hits: int = 3
    batch_tokens: int = 4096
    seed: int = 0


class CheckStage(StrEnum):
    """The stages of the checks, in their order. What each counts is in :class:`CheckProgress`."""

    LEXICAL = "lexical"  # texts
    FITS = "fits"  # thousandths of a fit
    SCAN = "scan"  # sequences, once for each pass
    PRECISION = "precision"  # sequences, in each of two precisions
    STEP = "step"  # steps
    OPTIMUM = "optimum"  # sequences


@dataclass(frozen=True, kw_only=True)
class CheckProgress:
    """The progress of a stage. Stages follow one another; a stage that was done before is not reported."""

    stage: CheckStage
    done: int
    total: int
