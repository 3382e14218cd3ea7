"""The second round of a search with the index: candidates chosen by the exact influences of the first round.

Half of a query's candidates, the most promising, are scored first. From their influences and their rows of the index a
worker learns a better sketch of the query (RefineSketch). The index is searched again with that sketch, and the best of
the result are the other half of the candidates. The candidates of a query do not depend on other queries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from whence import tensors
from whence.errors import InternalError, UnavailableError, UnimplementedError
from whence.reasons import Reason
from whence.v1 import tensor_pb2
from whence.worker.v1 import worker_service_pb2 as messages
from whence_service.frontend.request.checked import SearchOptions
from whence_service.frontend.request.context import RequestContext
from whence_service.frontend.search.candidates import Candidate, Candidates, best_of
from whence_service.frontend.search.index_candidates import IndexCandidates
from whence_service.frontend.search.preparation import Prepared
from whence_service.frontend.search.rescoring import by_owner
from whence_service.frontend.workers.routing import rendezvous
from whence_service.frontend.workers.tasks import run_all
from whence_service.rpc.canonical import canonical_bytes

# The most rows of a query to learn from: they pass through this process in one message, and cost their number squared.
MOST_ROWS: Final = 512
_MOST_BYTES: Final = 16 << 20
# Rankings of fewer candidates are scored in one round: the first would teach too little.
FEWEST_CANDIDATES: Final = 32
# Number of queries whose rows are in a front end at a time.
AT_ONCE: Final = 4

_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Learned:
    """A query's corrected sketch, and the leave-one-out estimate of each known row, by position."""

    sketch: tensor_pb2.Tensor
    known: Mapping[int, Candidate]


class Refinement:
    """The second round of one request's search, begun by ``source``. All requests share the semaphore ``turns``."""

    def __init__(
        self,
        context: RequestContext[SearchOptions],
        prepared: Prepared,
        source: IndexCandidates,
        turns: asyncio.Semaphore,
    ) -> None:
        self._context = context
        self._prepared = prepared
        self._source = source
        self._turns = turns

    def first_round(self, candidates: Sequence[Candidates], searched: int) -> list[Candidates]:
        """Return the candidates that are scored before the others are chosen."""
        most = min(MOST_ROWS, _MOST_BYTES // max(1, self._context.generation.model.index.bytes_per_sequence))
        return [first_round(of_query, searched, most) for of_query in candidates]

    async def improve(
        self, candidates: Sequence[Candidates], first: Sequence[Candidates], exact: Mapping[int, Sequence[float]]
    ) -> list[Candidates]:
        """Return the candidates: those of the ``first`` round, which were scored, then improved ones.

        A query keeps its old candidates if a worker is too old to support second rounds or, in an answer that may be
        partial, if a required worker is lost.
        """
        learned = await run_all(
            self._learn(query, scored, old, exact)
            for query, (scored, old) in enumerate(zip(first, candidates, strict=True))
        )
        if not any(learned):
            return list(candidates)
        sketches = [
            lesson.sketch if lesson else query.sketch
            for lesson, query in zip(learned, self._prepared.queries, strict=True)
        ]
        searched = await self._source.search_with(sketches)
        return [
            second_round(old, scored, new, lesson.known) if lesson else old
            for old, scored, new, lesson in zip(candidates, first, searched, learned, strict=True)
        ]

    async def _learn(
        self, query: int, first: Candidates, candidates: Candidates, exact: Mapping[int, Sequence[float]]
    ) -> Learned | None:
        """Learn from one query's first round; return ``None`` if all candidates are scored or no worker can refine."""
        if first == candidates:
            return None
        positions = list(dict.fromkeys(candidate.position for candidate in (*first.positive, *first.negative)))
        async with self._turns:
            try:
                answer = await self._context.workers.surviving(lambda: self._refined(query, positions, exact))
            except UnavailableError:
                if not self._context.request.partial:
                    raise
                return None
            except UnimplementedError as error:
                _log.warning("a worker cannot refine", error=error.message)
                return None
        estimates, errors = tensors.unpack(answer.estimates), tensors.unpack(answer.errors)
        known = {
            position: Candidate(position=position, estimate=estimate, error=error)
            for position, estimate, error in zip(positions, estimates, errors, strict=True)
        }
        return Learned(sketch=answer.sketch, known=known)

    async def _rows(self, positions: Sequence[int]) -> list[bytes]:
        """Return the index's row of each position, from the workers that hold it."""
        owned = by_owner(self._context, positions)
        read = await run_all(self._read(worker, held) for worker, held in owned.items())
        row_of = {
            position: row
            for held, rows in zip(owned.values(), read, strict=True)
            for position, row in zip(held, rows, strict=True)
        }
        return [row_of[position] for position in positions]

    async def _read(self, worker: str, positions: Sequence[int]) -> Sequence[bytes]:
        request = messages.ReadIndexRowsRequest(positions=positions)
        answer = await self._context.workers.ask(worker, lambda stub: stub.ReadIndexRows, request)
        if len(answer.rows) != len(positions):
            raise InternalError(
                f"the worker {worker} gave {len(answer.rows)} of {len(positions)} rows of its index",
                reason=Reason.ANSWER_INCOMPLETE,
                worker=worker,
            )
        return answer.rows

    async def _refined(
        self, query: int, positions: Sequence[int], exact: Mapping[int, Sequence[float]]
    ) -> messages.RefineSketchResponse:
        rows = await self._rows(positions)
        influences = [exact[position][query] for position in positions]
        worker = self._teacher(query)
        request = messages.RefineSketchRequest(
            sketch=self._prepared.queries[query].sketch,
            rows=rows,
            raw_influence=tensors.pack(influences, [len(influences)]),
        )
        return await self._context.workers.ask(worker, lambda stub: stub.RefineSketch, request)

    def _teacher(self, query: int) -> str:
        """Return the worker that learns for a query: one that the answer requires anyway."""
        workers = [group.worker for group in self._context.replicas.groups()]
        return rendezvous(canonical_bytes(self._context.request.queries[query]), workers)


def first_round(candidates: Candidates, searched: int, most: int = MOST_ROWS) -> Candidates:
    """Return the candidates that are scored before the others are chosen.

    They are half of each ranking, and together at most ``most``. A ranking that contains every ``searched`` sequence,
    or has too few candidates to learn from, is scored as a whole.
    """
    rankings = [ranking for ranking in (candidates.positive, candidates.negative) if ranking]
    most = max(1, most // max(1, len(rankings)))

    def beginning(ranking: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        if len(ranking) < FEWEST_CANDIDATES or len(ranking) >= searched:
            return ranking
        return ranking[: min(len(ranking) // 2, most)]

    return Candidates(positive=beginning(candidates.positive), negative=beginning(candidates.negative))


def second_round(old: Candidates, first: Candidates, fresh: Candidates, known: Mapping[int, Candidate]) -> Candidates:
    """Return as many candidates as the ``old`` ones: the ``first`` round's and the best ``fresh`` ones.

    A candidate whose influence is known has its leave-one-out estimate.
    """

    def ranking(
        old: tuple[Candidate, ...], first: tuple[Candidate, ...], fresh: tuple[Candidate, ...], *, sign: int
    ) -> tuple[Candidate, ...]:
        scored = {candidate.position for candidate in first}
        others = [known.get(candidate.position, candidate) for candidate in fresh if candidate.position not in scored]
        return (*(known[candidate.position] for candidate in first), *best_of(others, len(old) - len(first), sign=sign))

    return Candidates(
        positive=ranking(old.positive, first.positive, fresh.positive, sign=1),
        negative=ranking(old.negative, first.negative, fresh.negative, sign=-1),
    )
