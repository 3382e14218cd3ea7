"""Candidates: the sequences that some cheap search proposes, of which the best are scored exactly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from whence.errors import InternalError
from whence.reasons import Reason
from whence_service.frontend.request.context import RequestContext
from whence_service.frontend.workers.routing import ShardGroup
from whence_service.frontend.workers.tasks import run_all


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A sequence that is proposed for one query, the more promising the larger its estimate.

    ``error`` is the standard deviation of the estimate, 0 where it is not one of the influence.
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
    """Asks the owner of each shard for candidates, and counts the sequences that they compared.

    State: how many sequences each group of shards had, at the last search.
    """

    def __init__(self, context: RequestContext[object], *, filtered: bool) -> None:
        self._context = context
        self._filtered = filtered
        self._searched: dict[ShardGroup, int] = {}

    @property
    def sequences_searched(self) -> int:
        """How many sequences were compared, without those of shards that were lost later."""
        lost = set(self._context.replicas.lost)
        return sum(count for group, count in self._searched.items() if lost.isdisjoint(group.shards))

    async def ask(self, call: Callable[[ShardGroup], Awaitable[A]]) -> list[A]:
        """Return the answers of all that can be reached, in the order of the shards.

        Raises :class:`~whence.errors.UnavailableError` where one cannot be, unless the answer may be partial, and where
        none can be; and :class:`~whence.errors.InternalError` for one that did not look at all of its sequences.
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
    """A cheap search for candidates. ``estimates``: whether its estimates are of the influence."""

    estimates: bool
    search: ShardSearch

    async def propose(self) -> list[Candidates]:
        """Return the candidates for each query of the context, chosen over all shards at once."""
        ...


def best_of(proposals: Iterable[Candidate], count: int, *, sign: int) -> tuple[Candidate, ...]:
    """Return the ``count`` best candidates of all shards, ties to the lower position; ``sign`` -1: the smallest."""
    return tuple(sorted(proposals, key=lambda proposal: (-sign * proposal.estimate, proposal.position))[:count])


def in_order_of_promise(proposals: Sequence[Candidates]) -> list[int]:
    """Return each proposed position once: first every query's first candidates, then their second ones, and so on."""
    ranks: dict[int, int] = {}
    for of_query in proposals:
        for ranking in (of_query.positive, of_query.negative):
            for rank, proposal in enumerate(ranking):
                ranks[proposal.position] = min(rank, ranks.get(proposal.position, rank))
    return sorted(ranks, key=lambda position: (ranks[position], position))


def distinct_positions(proposals: Sequence[Candidates]) -> set[int]:
    """Return the positions that are proposed for any query."""
    return {proposal.position for of_query in proposals for proposal in (*of_query.positive, *of_query.negative)}
