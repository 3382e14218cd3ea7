"""The evidence about an item: the nearest training text, and what the training text does to the gold answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final

from whence._many import FailedQuery
from whence.bulk import RunOptions
from whence.bulk.answers import provenance as of_attribution
from whence.client import Client
from whence.errors import InvalidRequestError
from whence.options import BatchOptions
from whence.queries import Query
from whence.results import Attribution, TextOverlap

# Hits that are asked for: the rank of the nearest text is known up to here.
HITS: Final = 10


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The evidence about an item, whose text was compared with ``compared`` training sequences.

    ``nearest_influence`` is that of the nearest text on the gold answer, in nats; None where there is no such text.
    """

    attribution: Attribution
    overlap: TextOverlap
    nearest_influence: float | None
    compared: int


@dataclass(frozen=True, kw_only=True)
class Gathering:
    """Asks a server for evidence. An ``ngram`` of None is the server's."""

    client: Client
    ngram: int | None
    run: RunOptions
    options: BatchOptions

    def gather(self, queries: Iterator[Query]) -> Iterator[Evidence | FailedQuery]:
        """Yield the evidence about each item, in order, or why it was refused. Queries are read as they are needed."""
        run, queries = self.run, self._permitted(queries)
        size = run.batch_size or self.client.model(run.model).limits.max_queries or 1
        while chunk := list(islice(queries, size * run.concurrency)):
            answers = list(
                self.client.attribute_many(
                    chunk, batch_size=size, concurrency=run.concurrency, model=run.model, **self.options
                )
            )
            pairs = zip(chunk, answers, strict=True)
            asked = [(query, answer) for query, answer in pairs if isinstance(answer, Attribution)]
            evidence = self._completed(asked, size)
            yield from (answer if isinstance(answer, FailedQuery) else next(evidence) for answer in answers)

    def _permitted(self, queries: Iterator[Query]) -> Iterator[Query]:
        """Return all of the queries; raise for a caller who may not read texts, before anything is scored for them."""
        first = list(islice(queries, 1))
        if first:
            with suppress(InvalidRequestError):  # which is told again, as this item's own
                self.client.text_overlap(first, ngram=self.ngram, model=self.run.model)
        return chain(first, queries)

    def _completed(self, asked: Sequence[tuple[Query, Attribution]], size: int) -> Iterator[Evidence]:
        """Yield the evidence about items whose attribution is known, ``size`` of them at a time."""
        for at in range(0, len(asked), size):
            queries = [query for query, _ in asked[at : at + size]]
            overlaps = self.client.text_overlap(queries, ngram=self.ngram, model=self.run.model)
            influences = self._influences(queries, list(overlaps))
            for (_, answer), overlap, influence in zip(asked[at : at + size], overlaps, influences, strict=True):
                yield Evidence(
                    attribution=answer,
                    overlap=overlap,
                    nearest_influence=influence,
                    compared=overlaps.sequences_searched,
                )

    def _influences(self, queries: Sequence[Query], overlaps: Sequence[TextOverlap]) -> list[float | None]:
        """Return the influence of each query's nearest text on it, None where there is none."""
        names = [None if overlap.nearest is None else overlap.nearest.sequence_id for overlap in overlaps]
        distinct = list(dict.fromkeys(name for name in names if name is not None))
        if not distinct:
            return [None] * len(queries)
        damping_factor = self.options.get("damping_factor")
        table = self.client.score_matrix(
            queries, sequence_ids=distinct, damping_factor=damping_factor, model=self.run.model
        )
        return [
            None if name is None else row[distinct.index(name)]
            for row, name in zip(table.influence, names, strict=True)
        ]


def provenance(evidence: Evidence) -> dict[str, Any]:
    """Return the facts that all evidence of a run shares, unless what is served changes under it."""
    return {**of_attribution(evidence.attribution), "sequences_compared": evidence.compared}
