"""Candidates from the gradient index and by shared tokens, together: what one search misses the other may find.

The first half of a ranking's candidates takes turns: the index's best, the best by tokens, and so on. The second half
is the index's. With a refinement it is chosen by the influences of the first half, of both kinds (decision 0043).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from itertools import chain, islice, zip_longest
from typing import Final

import structlog

from whence.errors import DeadlineError, UnimplementedError
from whence_service.frontend.request.checked import SearchOptions
from whence_service.frontend.request.context import RequestContext
from whence_service.frontend.search.candidates import Candidate, Candidates
from whence_service.frontend.search.index_candidates import IndexCandidates
from whence_service.frontend.search.token_candidates import TokenCandidates
from whence_service.frontend.workers.tasks import run_all

# The share of the time left that the search by tokens may take: it reads every token of the corpus.
_TOKENS_SHARE: Final = 0.25

_log: Final = structlog.get_logger(__name__)


class UnionCandidates:
    """Searches the indexes of all shards and, at the same time, their tokens."""

    estimates = True

    def __init__(self, context: RequestContext[SearchOptions], index: IndexCandidates, tokens: TokenCandidates) -> None:
        self._context = context
        self._index = index
        self._tokens = tokens
        self.search = index.search

    @property
    def opposite(self) -> Sequence[tuple[Candidate, ...]]:
        """The index's candidates in the direction that was not asked for."""
        return self._index.opposite

    async def find(self) -> list[Candidates]:
        """Return the candidates for each query."""
        by_index, by_tokens = await run_all([self._index.find(), self._by_tokens()])
        return [
            Candidates(
                positive=union(of_index.positive, of_tokens.positive),
                negative=union(of_index.negative, of_tokens.negative),
            )
            for of_index, of_tokens in zip(by_index, by_tokens, strict=True)
        ]

    async def _by_tokens(self) -> list[Candidates]:
        """Return the candidates by tokens; none where there is too little time, or a worker cannot find them."""
        left_s = self._context.deadline.remaining_s()
        try:
            async with asyncio.timeout(None if math.isinf(left_s) else _TOKENS_SHARE * left_s):
                return await self._tokens.find()
        except (TimeoutError, DeadlineError):
            _log.warning("no time to compare tokens", model=self._context.generation.id.model)
        except UnimplementedError as error:
            _log.warning("a worker cannot compare tokens", error=error.message)
        return [Candidates()] * len(self._context.request.queries)


def union(by_index: Sequence[Candidate], by_tokens: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return as many candidates as the index has, none twice: the first half in turns, then the index's others.

    One that both searches found has the index's estimate.
    """
    estimated = {candidate.position: candidate for candidate in by_index}
    first: dict[int, Candidate] = {}
    for candidate in chain.from_iterable(zip_longest(by_index, by_tokens)):
        if len(first) == len(by_index) // 2:
            break
        if candidate is not None:
            first.setdefault(candidate.position, estimated.get(candidate.position, candidate))
    others = (candidate for candidate in by_index if candidate.position not in first)
    return (*first.values(), *islice(others, len(by_index) - len(first)))
