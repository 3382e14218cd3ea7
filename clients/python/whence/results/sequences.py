"""Training sequences, and those that were found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from whence.display import summaries
from whence.results.answers import Plain


@dataclass(frozen=True, kw_only=True)
class TokenInfluence:
    """A token's part of an influence. Its text is the sequence's from character ``start`` to ``end``."""

    text: str
    start: int
    end: int
    influence: float


def misplaced(tokens: Sequence[TokenInfluence] | None, text: str) -> Iterator[str]:
    """Yield a sentence for the first token that is not in the text where it says."""
    for token in tokens or ():
        if not 0 <= token.start <= token.end <= len(text):
            yield f"a token spans characters {token.start} to {token.end} of a text of {len(text)}"
            return


@dataclass(frozen=True, kw_only=True)
class TrainingSequence(Plain):
    """A sequence of the training corpus. ``metadata`` has every other column of the corpus."""

    sequence_id: str
    document_id: str
    source: str
    text: str
    metadata: dict[str, Any]
    token_count: int


@dataclass(frozen=True, kw_only=True, repr=False)
class Hit(TrainingSequence):
    """A training sequence in a ranking.

    ``influence`` is the effect of the sequence's presence in the training set on the output's log-likelihood, to first
    order, in nats: an estimate, whose size depends on the damping factor. ``raw_influence`` is the same before the
    division by the size of the training set. The parts of the layers sum to ``influence``, and so do those of the
    tokens. Both are None unless requested.

    ``signal`` is the influence times the chance that it is more than noise, 2 · significance − 1.
    ``significance`` is the probability that the true influence has the sign of the observed one; from 0.95 a hit is
    told from noise. Both are None where the noise is unknown; see :class:`Noise`.
    """

    rank: int
    influence: float
    raw_influence: float
    layer_influence: dict[str, float] | None
    tokens: tuple[TokenInfluence, ...] | None
    signal: float | None = None
    significance: float | None = None

    def __repr__(self) -> str:
        return summaries.hit(self)
