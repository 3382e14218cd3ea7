"""Scoring no more candidates than matter: a portion at a time, until a query's rankings are complete enough.

After each portion the recall of a query's rankings is estimated from what was scored so far. Once it is at least the
recall that was asked for, at two checks in a row, the query's other candidates are not scored. One check is not enough:
with few candidates the estimate is too hopeful too often (decision 0043). Queries of a batch stop each for itself.
Portions depend on the candidates alone, so the same request scores the same sequences each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from whence_service.frontend.search.candidates import Candidate, Candidates
from whence_service.frontend.search.recall import recall_of

# Candidates are scored in so many portions, fewer where one would have less than the fewest candidates.
PORTIONS: Final = 8
FEWEST_IN_PORTION: Final = 32
# Checks in a row that a query has to pass.
CHECKS: Final = 2


class EarlyStop:
    """Which queries of one request have enough. State: the checks in a row that each has passed."""

    def __init__(self, *, queries: int, top_k: int, at_recall: float) -> None:
        self._top_k = top_k
        self._at_recall = at_recall
        self._passed = [0] * queries

    @property
    def stopped(self) -> frozenset[int]:
        """The numbers of the queries whose other candidates are not scored."""
        return frozenset(query for query, passed in enumerate(self._passed) if passed >= CHECKS)

    @property
    def _possible(self) -> bool:
        return self._at_recall < 1

    def portions(
        self, candidates: Sequence[Candidates], upto: Sequence[Candidates], searched: int
    ) -> Iterator[list[Candidates]]:
        """Yield beginnings of ``upto``, which are beginnings of the ``candidates``: each longer, the last one whole.

        A ranking that has every sequence ``searched`` is one portion: then the noise is known, too.
        """
        rankings = [ranking for of_query in candidates for ranking in (of_query.positive, of_query.negative)]
        parts = max((_parts(len(ranking), searched) for ranking in rankings), default=1) if self._possible else 1
        for number in range(1, parts + 1):
            yield [
                Candidates(
                    positive=part.positive[: _share(whole.positive, number, parts)],
                    negative=part.negative[: _share(whole.negative, number, parts)],
                )
                for part, whole in zip(upto, candidates, strict=True)
            ]

    async def check(
        self, candidates: Sequence[Candidates], exact: Mapping[int, Sequence[float]], searched: int, share: float
    ) -> None:
        """Note which queries have enough with what is scored; ``share`` of the corpus was reached."""
        if self._possible:
            await asyncio.to_thread(self._check, candidates, exact, searched, share)

    def unfinished(self, candidates: Sequence[Candidates]) -> list[Candidates]:
        """Return the candidates of the queries that have not stopped, and none of the others."""
        stopped = self.stopped
        return [Candidates() if query in stopped else of_query for query, of_query in enumerate(candidates)]

    def updated(self, old: Sequence[Candidates], new: Sequence[Candidates]) -> list[Candidates]:
        """Return the new candidates of the queries that have not stopped, and the old ones of the others."""
        stopped = self.stopped
        return [old[query] if query in stopped else of_query for query, of_query in enumerate(new)]

    def _check(
        self, candidates: Sequence[Candidates], exact: Mapping[int, Sequence[float]], searched: int, share: float
    ) -> None:
        for query, of_query in enumerate(candidates):
            if self._passed[query] >= CHECKS:
                continue
            influences = {position: row[query] for position, row in exact.items()}
            recalls = [
                recall_of(ranking, influences, self._top_k, searched, sign=sign, share=share)
                for ranking, sign in ((of_query.positive, 1), (of_query.negative, -1))
            ]
            enough = all(recall is None or recall.recall >= self._at_recall for recall in recalls)
            self._passed[query] = self._passed[query] + 1 if enough else 0


def _parts(candidates: int, searched: int) -> int:
    return 1 if candidates >= searched else max(1, min(PORTIONS, candidates // FEWEST_IN_PORTION))


def _share(ranking: Sequence[Candidate], number: int, parts: int) -> int:
    return -(-len(ranking) * number // parts)
