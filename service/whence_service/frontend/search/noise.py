"""The noise of each query, from the influences of every sequence that was scored for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from whence.significance import is_significant
from whence_service.frontend.search.rankings import RankedSequence, Ranking, SearchResult
from whence_service.shrinkage.distribution import Distribution
from whence_service.shrinkage.shrinkage import Shrinkage, shrink


@dataclass(frozen=True, kw_only=True)
class QueryNoise:
    """The distribution of a query's raw influences over the sequences searched, and the shrinkage that follows."""

    distribution: Distribution
    shrinkage: Shrinkage

    def tells(self, raw_influence: float) -> bool:
        """Whether an influence is told from noise."""
        return is_significant(self.shrinkage.significance(raw_influence))


async def noise_of(distributions: Sequence[Distribution]) -> tuple[QueryNoise | None, ...]:
    """Return the noise of each query, ``None`` where too few influences are known.

    In a thread, and one query after the other, since each takes some twenty milliseconds of plain Python.
    """
    return tuple([await asyncio.to_thread(_noise, distribution) for distribution in distributions])


def _noise(distribution: Distribution) -> QueryNoise | None:
    shrinkage = shrink(distribution)
    return None if shrinkage is None else QueryNoise(distribution=distribution, shrinkage=shrinkage)


def only_significant(result: SearchResult, noises: Sequence[QueryNoise | None]) -> SearchResult:
    """Return the result without what is not told from noise; with nothing of queries whose noise is unknown."""
    return replace(result, rankings=tuple(map(_significant, result.rankings, noises)))


def _significant(ranking: Ranking, noise: QueryNoise | None) -> Ranking:
    def told(ranked: tuple[RankedSequence, ...]) -> tuple[RankedSequence, ...]:
        return tuple(sequence for sequence in ranked if noise is not None and noise.tells(sequence.raw_influence))

    return Ranking(positive=told(ranking.positive), negative=told(ranking.negative))
