"""Check: are the documents on top that must be?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from whence_backends.contract import Float64Array
from whence_backends.validation.checks.agreement import TOP, rank_of
from whence_backends.validation.checks.config import Canary


@dataclass(frozen=True, kw_only=True)
class DocumentRank:
    """The rank, from 1, of a document's best sequence among those that were scanned."""

    document: str
    rank: int


@dataclass(frozen=True, kw_only=True)
class CanaryRanks:
    """The ranks of a canary's documents. ``on_top``: all are among the first ten, or as many as there are documents."""

    id: str
    documents: tuple[DocumentRank, ...]
    on_top: bool


def canary_ranks(
    canaries: Sequence[Canary], scores: Float64Array, columns: Sequence[Sequence[Sequence[int]]]
) -> tuple[CanaryRanks, ...]:
    """Return the check, from the served scores [canaries, n]; ``columns`` has those of each canary's documents."""
    results = []
    for canary, row, of_documents in zip(canaries, scores, columns, strict=True):
        ranks = [min(rank_of(row, column) for column in places) for places in of_documents]
        documents = [
            DocumentRank(document=document, rank=rank) for document, rank in zip(canary.documents, ranks, strict=True)
        ]
        on_top = bool(np.all(np.array(ranks) <= max(TOP, len(ranks))))
        results.append(CanaryRanks(id=canary.query.id, documents=tuple(documents), on_top=on_top))
    return tuple(results)
