"""Rankings computed anew: a scan of the corpus for the queries that removals are of, and BM25. No retraining."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from whence_backends.contract import Float64Array
from whence_backends.corpus import Corpus
from whence_backends.validation.methods import BM25, DOT, EKFAC, SIGNAL, denoise
from whence_backends.validation.queries import ValidationQuery
from whence_backends.validation.removals.rankings import Rankings, invalid, ranked_documents
from whence_backends.validation.scoring import ScoringConfig, score_some

METHODS: Final = (SIGNAL, EKFAC, BM25, DOT)


def score_rankings(
    config: ScoringConfig,
    queries: Sequence[ValidationQuery],
    methods: Sequence[str],
    progress: Callable[[str, float], None] = lambda *_: None,
) -> Rankings:
    """Return the ranking of all documents for each query by each of :data:`METHODS` that is asked for.

    Raises :class:`~whence.errors.InvalidRequestError` for another method, and the errors of loading and scoring.
    """
    if unknown := [name for name in methods if name not in METHODS]:
        raise invalid(f"{unknown[0]!r} is no method to rank by; known are {', '.join(METHODS)}", "removal_methods")
    corpus = Corpus.open(config.corpus, verify=False)
    documents = [corpus.record(position).document_id for position in range(corpus.sequences)]
    scores = score_some(config, queries, progress)
    table: dict[str, Float64Array] = {
        SIGNAL: denoise(scores.influence).signal, EKFAC: scores.influence, BM25: scores.bm25, DOT: scores.dot
    }  # fmt: skip
    return {
        (name, query.id): ranked_documents(row, documents)
        for name in methods
        for query, row in zip(queries, table[name], strict=True)
    }
