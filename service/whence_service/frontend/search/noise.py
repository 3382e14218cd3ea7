"""The noise of each query, from the influences of every sequence, or of candidates and a sample."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from whence.significance import is_significant
from whence_service.frontend.search.rankings import RankedSequence, Ranking, SearchResult
from whence_service.shrinkage.distribution import Distribution
from whence_service.shrinkage.partial import SampledInfluences
from whence_service.shrinkage.shrinkage import Shrinkage, shrink


@dataclass(frozen=True, kw_only=True)
class QueryNoise:
    """The distribution of a query's known raw influences, and the shrinkage that follows.

    ``sampled`` of them were scored for the noise alone; 0 where the influence of every sequence searched is known.
    """

    distribution: Distribution
    shrinkage: Shrinkage
    sampled: int = 0

    def tells(self, raw_influence: float) -> bool:
        """Whether an influence is told from noise."""
        return is_significant(self.shrinkage.significance(raw_influence))


async def noise_of(result: SearchResult) -> tuple[QueryNoise | None, ...]:
    """Return the noise of each query, ``None`` where too few influences are known, or a sample was not scored.

    In a thread, and one query after the other, since each takes some twenty milliseconds of plain Python.
    """
    if result.distributions:
        return tuple([await asyncio.to_thread(_noise, distribution) for distribution in result.distributions])
    if result.sampled:
        return tuple([await asyncio.to_thread(_noise_of_sample, sampled) for sampled in result.sampled])
    return (None,) * len(result.rankings)


def _noise(distribution: Distribution) -> QueryNoise | None:
    shrinkage = shrink(distribution)
    return None if shrinkage is None else QueryNoise(distribution=distribution, shrinkage=shrinkage)


def _noise_of_sample(influences: SampledInfluences | None) -> QueryNoise | None:
    shrinkage = None if influences is None else influences.shrink()
    if influences is None or shrinkage is None:
        return None
    return QueryNoise(distribution=influences.known, shrinkage=shrinkage, sampled=influences.sampled)


def only_significant(result: SearchResult, noises: Sequence[QueryNoise | None]) -> SearchResult:
    """Return the result without what is not told from noise; with nothing of queries whose noise is unknown."""
    return replace(result, rankings=tuple(map(_significant, result.rankings, noises)))


def _significant(ranking: Ranking, noise: QueryNoise | None) -> Ranking:
    def told(ranked: tuple[RankedSequence, ...]) -> tuple[RankedSequence, ...]:
        return tuple(sequence for sequence in ranked if noise is not None and noise.tells(sequence.raw_influence))

    return Ranking(positive=told(ranking.positive), negative=told(ranking.negative))
