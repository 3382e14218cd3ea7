"""The model server: the parts of a worker that answer from one model, its factors, its corpus and its index."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from whence.errors import InvalidRequestError, MismatchError
from whence.reasons import Reason
from whence.v1 import attribution_pb2, model_pb2, query_pb2
from whence.worker.v1 import worker_service_pb2
from whence_backends.worker.gradients.query_gradients import QueryGradients
from whence_backends.worker.gradients.source import NamedGradient
from whence_backends.worker.model.checks import preconditioning_of, require_shards
from whence_backends.worker.model.loading import Loaded
from whence_backends.worker.requests.filters import FilterMasks
from whence_backends.worker.requests.recent_queries import RecentQueries
from whence_backends.worker.requests.recent_sequences import RecentSequences
from whence_backends.worker.requests.scope import Scope
from whence_backends.worker.requests.tokenization import TokenizedQuery
from whence_backends.worker.runtime.context import CallContext
from whence_backends.worker.runtime.engine_thread import EngineThread
from whence_backends.worker.scoring.preconditioning import PreconditionedQueries, Preconditioner, Preconditioning
from whence_backends.worker.scoring.query_memory import QueryMemory
from whence_backends.worker.scoring.rescore_queue import RescoreQueue
from whence_backends.worker.scoring.scan import Scanner
from whence_backends.worker.scoring.self_influence import SelfInfluenceScorer
from whence_backends.worker.scoring.sequence_scores import SequenceScorer
from whence_backends.worker.searching.gradient_index import GradientIndex
from whence_backends.worker.searching.groupings import Groupings
from whence_backends.worker.searching.token_overlap import OverlapSearch
from whence_backends.worker.searching.token_search import TokenSearch


@dataclass(frozen=True, kw_only=True)
class PreparedQueries:
    """The queries of a request, tokenized, and their gradients."""

    tokenized: Sequence[TokenizedQuery]
    gradients: Sequence[NamedGradient]


@dataclass(frozen=True, kw_only=True)
class ModelServer:
    """The parts that answer, each of which owns its state, and what calls ask of several of them together."""

    loaded: Loaded
    description: model_pb2.Model
    thread: EngineThread
    tokenizer: RecentQueries
    gradients: QueryGradients
    query_memory: QueryMemory
    preconditioner: Preconditioner
    sequences: SequenceScorer
    self_influence: SelfInfluenceScorer
    scanner: Scanner
    rescores: RescoreQueue
    resolver: RecentSequences
    filters: FilterMasks
    groupings: Groupings
    token_search: TokenSearch
    overlap_search: OverlapSearch
    index: GradientIndex | None

    async def prepare(
        self, queries: Sequence[query_pb2.Query], context: CallContext, *, rank: int = 0
    ) -> PreparedQueries:
        """Tokenize the queries, and find or compute their gradients.

        Raises ``TOO_MANY_QUERIES`` where they do not fit into memory in this ``rank`` (0: whole), before any work.
        """
        _require_queries(queries)
        self.query_memory.require(len(queries), rank)
        tokenized = await self.tokenize(queries, context)
        gradients = await self.gradients.get([query.tokens for query in tokenized], context.stopwatch)
        return PreparedQueries(tokenized=tokenized, gradients=gradients)

    async def tokenize(self, queries: Sequence[query_pb2.Query], context: CallContext) -> list[TokenizedQuery]:
        """Return the tokens of the queries; :class:`~whence.errors.InvalidRequestError` for the first bad one."""
        _require_queries(queries)
        with context.stopwatch.stage("tokenize"):
            return await self.tokenizer.tokenize(queries)

    async def precondition(
        self, queries: PreparedQueries, preconditioning: Preconditioning, context: CallContext
    ) -> PreconditionedQueries:
        """Return the queries, preconditioned."""
        return await self.preconditioner.precondition(queries.gradients, preconditioning, context.stopwatch)

    def preconditioning(self, requested: worker_service_pb2.Preconditioning) -> Preconditioning:
        """Return the requested preconditioning; see :func:`~whence_backends.worker.model.checks.preconditioning_of`."""
        return preconditioning_of(self.description, requested)

    async def scope(self, shards: Sequence[str], filter_: attribution_pb2.Filter) -> Scope:
        """Return the sequences that a request is about; :class:`~whence.errors.NotFoundError` for a shard not held."""
        held = self.held_shards(shards)
        return Scope(shards=held, masks=await self.filters.of(filter_, held))

    def held_shards(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the named shards; :class:`~whence.errors.NotFoundError` for one that is not held here."""
        return require_shards(names, [shard.name for shard in self.loaded.corpus.shards])

    def require_index(self) -> GradientIndex:
        """Return the index; :class:`~whence.errors.MismatchError` where none is loaded."""
        if self.index is None:
            raise MismatchError(
                "this worker has no gradient index; build one with `whence index` and start the worker with --index, "
                "or ask for a full scan",
                reason=Reason.MISSING_INDEX,
            )
        return self.index

    def shard_of(self, position: int) -> str:
        """Return the held shard that a position is in."""
        shards = self.loaded.corpus.shards
        return shards[bisect.bisect_right(shards, position, key=lambda shard: shard.first_position) - 1].name

    async def close(self) -> None:
        """End the work in the background and release the engine."""
        await self.rescores.close()
        if self.index is not None:
            await self.index.close()
        await self.thread.run(self.loaded.engine.close, stage="close")


def _require_queries(queries: Sequence[query_pb2.Query]) -> None:
    if not queries:
        raise InvalidRequestError(
            "no query was sent; send at least one", reason=Reason.MISSING_QUERIES, field="queries"
        )
