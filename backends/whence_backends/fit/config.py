"""The configuration of a fit, the interface of its input, and its progress reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from whence_backends.contract import TokenSequence
from whence_backends.preflight import CorpusFacts

Labels = Literal["sampled", "empirical"]
LABELS: Final[tuple[Labels, ...]] = ("sampled", "empirical")


class SequenceSource(Protocol):
    """The training sequences, by position. :class:`whence_backends.corpus.Corpus` is one."""

    @property
    def digest(self) -> str:
        """The digest of the contents."""
        ...

    @property
    def facts(self) -> CorpusFacts:
        """The facts about the sequences, for the preflight."""
        ...

    def all_lengths(self) -> NDArray[np.int32]:
        """Return the length in tokens of every sequence, in corpus order."""
        ...

    def trained_tokens(self) -> NDArray[np.int32]:
        """Return the number of trained tokens of every sequence, in corpus order."""
        ...

    def tokens_at(self, positions: Sequence[int]) -> list[TokenSequence]:
        """Return the sequences at these positions."""
        ...


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """The configuration of a fit.

    ``tracked`` is ``mlp``, ``all-linear`` or a regular expression; ``labels`` ``sampled`` (from the model, the paper's
    recipe) or ``empirical`` (from the data, deterministic across implementations). ``batch_tokens`` bounds the padded
    tokens of a batch; ``max_sequences`` takes a random sample of the corpus, drawn with ``seed``.
    ``training_sequences`` is N, by which influences are divided, if the corpus is only a part of the training set.
    """

    model: str
    out: Path
    tracked: str = "mlp"
    labels: Labels = "sampled"
    precision: str = "float32"
    device: str = "auto"
    batch_tokens: int = 4096
    max_sequences: int | None = None
    training_sequences: int | None = None
    seed: int = 0
    checkpoint_every_s: float = 60.0


@dataclass(frozen=True, kw_only=True)
class FitProgress:
    """The progress of a stage: ``covariance`` and ``lambda`` count tokens, ``eigenbasis`` counts layers."""

    stage: Literal["covariance", "eigenbasis", "lambda"]
    done: int
    total: int
