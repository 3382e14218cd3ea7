"""Candidates: the sequences that a cheap search proposes for exact scoring."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from whence.errors import InternalError
from whence.reasons import Reason
from whence_service.frontend.request.context import RequestContext
from whence_service.frontend.workers.routing import ShardGroup
from whence_service.frontend.workers.tasks import run_all


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A sequence proposed for one query, with its estimate.

    ``error`` is the standard deviation of the estimate, 0 if that is not an estimate of influence.
    """

    position: int
    estimate: float
    error: float


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """The candidates for one query, best first in each direction."""

    positive: tuple[Candidate, ...] = ()
    negative: tuple[Candidate, ...] = ()


class SearchAnswer(Protocol):
    """A worker's answer to a search of some shards."""

    @property
    def sequences_searched(self) -> int:
        """The number of sequences that were compared."""
        ...


A = TypeVar("A", bound=SearchAnswer)


class ShardSearch:
    """Asks the owner of each shard for candidates, and counts the sequences compared.

    State: the number of sequences of each group of shards at the last search.
    """

    def __init__(self, context: RequestContext[object], *, filtered: bool) -> None:
        self._context = context
        self._filtered = filtered
        self._searched: dict[ShardGroup, int] = {}

    @property
    def sequences_searched(self) -> int:
        """The number of sequences compared, without those of shards that were lost later."""
        lost = set(self._context.replicas.lost)
        return sum(count for group, count in self._searched.items() if lost.isdisjoint(group.shards))

    async def ask(self, call: Callable[[ShardGroup], Awaitable[A]]) -> list[A]:
        """Return the answers of all reachable owners, in the order of the shards.

        Raises :class:`~whence.errors.UnavailableError` if an owner cannot be reached (in an answer that may be partial,
        if none can), and :class:`~whence.errors.InternalError` for an answer that does not cover all of its sequences.
        """
        groups = self._context.replicas.groups()
        parts = await run_all(self._context.workers.ask_holders(group, call) for group in groups)
        answers = [answered for part in parts for answered in part]
        if not answers:
            raise self._context.replicas.nobody_left()
        for group, answer in answers:
            self._check_whole(group, answer)
        self._searched = {group: answer.sequences_searched for group, answer in answers}
        return [answer for _, answer in answers]

    def _check_whole(self, group: ShardGroup, answer: A) -> None:
        if not self._filtered and answer.sequences_searched != group.sequences:
            raise InternalError(
                f"the worker {group.worker} looked at {answer.sequences_searched} of {group.sequences} sequences; "
                "candidates would be missing, so none are given",
                reason=Reason.SEARCH_INCOMPLETE,
                worker=group.worker,
                shards=", ".join(group.shards),
            )


class CandidateSearch(Protocol):
    """A cheap search for candidates. ``estimates`` is true if its estimates are those of influence."""

    estimates: bool
    search: ShardSearch

    @property
    def opposite(self) -> Sequence[tuple[Candidate, ...]]:
        """After a search, the candidates for each query in the direction that was not asked for.

        None where both were, where no sample of the noise is wanted, or where the search has no directions.
        """
        ...

    async def find(self) -> list[Candidates]:
        """Return the candidates for each query of the context, chosen over all shards at once."""
        ...


def best_of(candidates: Iterable[Candidate], count: int, *, sign: int) -> tuple[Candidate, ...]:
    """Return the ``count`` best candidates, the smallest for ``sign`` -1. Ties go to the lower position."""
    return tuple(sorted(candidates, key=lambda candidate: (-sign * candidate.estimate, candidate.position))[:count])


def in_order_of_promise(candidates: Sequence[Candidates]) -> list[int]:
    """Return each proposed position once: first every query's first candidates, then their second ones, and so on."""
    ranks: dict[int, int] = {}
    for of_query in candidates:
        for ranking in (of_query.positive, of_query.negative):
            for rank, candidate in enumerate(ranking):
                ranks[candidate.position] = min(rank, ranks.get(candidate.position, rank))
    return sorted(ranks, key=lambda position: (ranks[position], position))


def distinct_positions(candidates: Sequence[Candidates]) -> set[int]:
    """Return the set of positions proposed for any query."""
    return {candidate.position for of_query in candidates for candidate in (*of_query.positive, *of_query.negative)}


def reachable(
    candidates: Sequence[Candidates], shard_of: Callable[[int], str], lost: Collection[str]
) -> list[Candidates]:
    """Return the candidates that are in none of the ``lost`` shards."""

    def held(ranking: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        return tuple(candidate for candidate in ranking if shard_of(candidate.position) not in lost)

    if not lost:
        return list(candidates)
    return [Candidates(positive=held(of_query.positive), negative=held(of_query.negative)) for of_query in candidates]
