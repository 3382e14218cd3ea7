"""The sequences that the checks fit on and score: drawn from the corpus at random, and those that must be there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.contract import Float64Array, TokenSequence
from whence_backends.corpus import Corpus
from whence_backends.preflight import CorpusFacts
from whence_backends.store.artefact import canonical_json, digest_bytes
from whence_backends.validation.checks.config import CheckConfig

Positions = NDArray[np.int64]
# Two fits on halves of it, of two sequences each.
FEWEST: Final = 4
# A random part of a large corpus has none of a query's sources; those that share most words with it have some.
_LEXICAL: Final = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """The sample. Positions in the corpus are int64.

    ``scanned`` [n], ascending, are scored: the first ``drawn`` of ``order``, a random order of the corpus, and those
    that must be there. The beginning of ``order`` is a random sample of any size.
    """

    scanned: Positions
    order: Positions
    drawn: int

    def first(self, count: int) -> Positions:
        """Return a random sample of up to ``count`` positions, ascending."""
        return np.sort(self.order[:count])

    def halves(self, count: int) -> tuple[Positions, Positions]:
        """Return two disjoint random halves of :meth:`first`, each ascending."""
        chosen = self.order[:count]
        middle = len(chosen) // 2
        return np.sort(chosen[:middle]), np.sort(chosen[middle : 2 * middle])

    def columns(self, count: int) -> NDArray[np.intp]:
        """Return the columns of up to ``count`` random sequences among those that are scanned, ascending."""
        return np.searchsorted(self.scanned, self.first(min(count, self.drawn)))


def draw(config: CheckConfig, sequences: int, lexical: Float64Array, wanted: Iterable[int]) -> Sample:
    """Return the sample of a corpus of so many sequences, whose BM25 scores are ``lexical`` [Q, N].

    ``wanted`` are positions to scan in any case. Raises :class:`~whence.errors.InvalidRequestError`
    (``TOO_FEW_SEQUENCES``) for a corpus that cannot be halved.
    """
    if sequences < FEWEST:
        raise InvalidRequestError(
            f"the corpus has {sequences} sequences; expected at least {FEWEST}, to fit on each half of them",
            reason=Reason.TOO_FEW_SEQUENCES,
            field="corpus",
        )
    order = np.random.Generator(np.random.Philox(key=config.seed)).permutation(sequences).astype(np.int64)
    drawn = min(sequences, config.scan_sequences)
    parts = [order[:drawn], np.fromiter(wanted, np.int64)]
    if drawn < sequences:
        parts += [np.argsort(-scores, kind="stable")[:_LEXICAL].astype(np.int64) for scores in lexical]
    return Sample(scanned=np.unique(np.concatenate(parts)).astype(np.int64), order=order, drawn=drawn)


class Subset:
    """Some sequences of a corpus, as a source of a fit: positions count within the subset."""

    def __init__(self, corpus: Corpus, positions: Positions) -> None:
        self._corpus = corpus
        self._positions = positions
        self.digest = digest_bytes(canonical_json([corpus.digest, positions.tolist()]))

    @property
    def facts(self) -> CorpusFacts:
        """The facts about the sequences, for the preflight."""
        return replace(
            self._corpus.facts,
            digest=self.digest,
            sequences=len(self._positions),
            trained_tokens=int(self.trained_tokens().sum()),
        )

    def all_lengths(self) -> NDArray[np.int32]:
        """Return the length in tokens of every sequence."""
        return self._corpus.all_lengths()[self._positions]

    def trained_tokens(self) -> NDArray[np.int32]:
        """Return the number of trained tokens of every sequence."""
        return self._corpus.trained_tokens()[self._positions]

    def tokens_at(self, positions: Sequence[int]) -> list[TokenSequence]:
        """Return the sequences at these positions of the subset."""
        return self._corpus.tokens_at(self._positions[list(positions)].tolist())
