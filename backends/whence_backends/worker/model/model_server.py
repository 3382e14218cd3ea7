"""What a ready worker answers from: the loaded artefacts and the parts that work on them, wired once."""

from __future__ import annotations

import asyncio
import bisect
import functools
from collections.abc import Sequence
from dataclasses import dataclass

from whence.errors import InvalidRequestError, MismatchError, NotFoundError
from whence.reasons import Reason
from whence.v1 import model_pb2, query_pb2
from whence.worker.v1 import worker_service_pb2
from whence_backends.contract import Float64Array, QueryGradient, TokenSequence
from whence_backends.corpus import SequenceEncoder
from whence_backends.ekfac.factors import Factors
from whence_backends.index import Index
from whence_backends.index.search import Searcher
from whence_backends.worker.config import WorkerSettings
from whence_backends.worker.gradients.cache import GradientCache
from whence_backends.worker.gradients.cached import Cached
from whence_backends.worker.gradients.computed import Computed
from whence_backends.worker.gradients.keys import GradientNamer
from whence_backends.worker.gradients.query_gradients import QueryGradients
from whence_backends.worker.gradients.single_flight import SingleFlight
from whence_backends.worker.gradients.source import NamedGradient
from whence_backends.worker.model.description import describe_model
from whence_backends.worker.model.loading import Loaded
from whence_backends.worker.requests.filters import FilterMasks
from whence_backends.worker.requests.sequences import SequenceResolver
from whence_backends.worker.requests.tokenization import PreparedTokens, QueryLimits, QueryPreparer, most_text_bytes
from whence_backends.worker.runtime.engine_thread import EngineThread
from whence_backends.worker.runtime.records import WorkerObserver
from whence_backends.worker.scoring.batch_scorer import BatchScorer
from whence_backends.worker.scoring.preconditioning import (
    DEFAULT_RANK,
    Preconditioned,
    PreconditionedCache,
    Preconditioning,
    QueryMemory,
)
from whence_backends.worker.scoring.rescore_queue import RescoreQueue
from whence_backends.worker.scoring.scan import Scanner
from whence_backends.worker.searching.gradient_index import GradientIndex
from whence_backends.worker.searching.groups import Groupings
from whence_backends.worker.searching.token_search import TokenSearch
from whence_service.rpc.bounds import LEAST_DAMPING, MOST_DAMPING
from whence_service.rpc.stages import Stopwatch


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """One model with its factors and shards, ready to answer. The parts own their state; this joins them."""

    loaded: Loaded
    model: model_pb2.Model
    batch_tokens: int
    thread: EngineThread
    preparer: QueryPreparer
    gradients: QueryGradients
    query_memory: QueryMemory
    preconditioned: PreconditionedCache
    scorer: BatchScorer
    scanner: Scanner
    rescores: RescoreQueue
    resolver: SequenceResolver
    filters: FilterMasks
    groupings: Groupings
    token_search: TokenSearch
    index: GradientIndex | None

    async def tokenize(
        self, queries: Sequence[query_pb2.Query], stopwatch: Stopwatch, *, rank: int | None = None
    ) -> list[PreparedTokens]:
        """Return the tokens of every query, or raise for the first that is wrong.

        Also where they are more than may be kept at once in this ``rank`` (``None``: they will not be preconditioned),
        before anything is computed for them.
        """
        if not queries:
            raise InvalidRequestError(
                "no query was sent; send at least one", reason=Reason.MISSING_QUERIES, field="queries"
            )
        if rank is not None:
            self.query_memory.require(len(queries), rank)

        def work() -> list[PreparedTokens]:
            return [self.preparer.prepare(query, f"queries[{i}]") for i, query in enumerate(queries)]

        with stopwatch.stage("tokenize"):
            return await asyncio.to_thread(work)

    async def find_gradients(self, prepared: Sequence[PreparedTokens], stopwatch: Stopwatch) -> list[NamedGradient]:
        """Return every query's gradient, cached or computed."""
        return await self.gradients.get([query.tokens for query in prepared], stopwatch)

    async def precondition(
        self,
        gradients: Sequence[NamedGradient],
        asked: worker_service_pb2.Preconditioning,
        stopwatch: Stopwatch,
    ) -> Preconditioned:
        """Return the queries, preconditioned."""
        how = self.preconditioning(asked)
        return await _precondition(self.preconditioned, self.thread, gradients, how, stopwatch)

    async def influence_on_itself(
        self, tokens: TokenSequence, damping_factor: float, stopwatch: Stopwatch
    ) -> tuple[Float64Array, QueryGradient]:
        """Return a sequence's raw influence on itself, [1, 1], and its gradient, of which nothing is kept."""
        engine = self.loaded.engine

        def work() -> tuple[Float64Array, QueryGradient]:
            [gradient] = engine.query_gradients([tokens])
            return engine.score(engine.precondition([gradient], damping_factor), [tokens]), gradient

        return await self.thread.run(work, stage="score", stopwatch=stopwatch)

    def preconditioning(self, asked: worker_service_pb2.Preconditioning) -> Preconditioning:
        """Return how gradients are preconditioned; raise for a damping or a layer that there is not."""
        held = len(self.model.layers)
        for layer in asked.layers:
            if layer >= held:
                raise InvalidRequestError(
                    f"layer {layer} was asked for; this model has {held}, counted from 0",
                    reason=Reason.UNKNOWN_LAYER,
                    field="preconditioning.layers",
                )
        layers = tuple(sorted(set(asked.layers)))
        return Preconditioning(
            damping_factor=self.damping(asked.damping_factor),
            layers=() if len(layers) == held else layers,
            rank=asked.rank,
        )

    def damping(self, damping_factor: float) -> float:
        """Return a request's damping factor, 0 being the model's default, or raise where there is none like it."""
        damping = damping_factor or self.model.default_damping_factor
        if not LEAST_DAMPING <= damping <= MOST_DAMPING:
            raise InvalidRequestError(
                f"the damping factor is {damping_factor}; expected a number from {LEAST_DAMPING:g} to "
                f"{MOST_DAMPING:g}, such as 0.1",
                reason=Reason.INVALID_DAMPING_FACTOR,
                field="preconditioning.damping_factor",
            )
        return damping

    def require_index(self) -> GradientIndex:
        """Return the index; :class:`~whence.errors.MismatchError` where none is loaded."""
        if self.index is None:
            raise MismatchError(
                "this worker has no gradient index; build one with `whence index` and start the worker with --index, "
                "or ask for a full scan",
                reason=Reason.MISSING_INDEX,
            )
        return self.index

    def require_generation(self, generation: worker_service_pb2.Generation) -> None:
        """Raise :class:`~whence.errors.MismatchError` unless the caller means the artefacts loaded here."""
        for name in ("model_digest", "factors_digest", "corpus_digest", "index_digest"):
            asked, held = getattr(generation, name), self._held(name)
            if asked != held:
                raise MismatchError(
                    f"the request is for {name} {asked or 'none'}, but this worker holds {held or 'none'}; ask GetInfo "
                    "again",
                    reason=Reason.GENERATION_MISMATCH,
                    what=name,
                    asked=asked,
                    held=held,
                )

    def _held(self, name: str) -> str:
        return self.model.index.digest if name == "index_digest" else str(getattr(self.model, name))

    def held_shards(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the named shards, each once; :class:`~whence.errors.NotFoundError` for one not held here."""
        held = [shard.name for shard in self.loaded.corpus.shards]
        if not names:
            raise InvalidRequestError(
                "no shard was named; name at least one", reason=Reason.MISSING_SHARDS, field="shards"
            )
        for name in names:
            if name not in held:
                raise NotFoundError(
                    f"this worker does not hold shard {name!r}; it holds {', '.join(held)}",
                    reason=Reason.SHARD_NOT_FOUND,
                    shard=name,
                )
        return tuple(dict.fromkeys(names))

    def shard_of(self, position: int) -> str:
        """Return the held shard that a position is in."""
        shards = self.loaded.corpus.shards
        return shards[bisect.bisect_right(shards, position, key=lambda shard: shard.first_position) - 1].name

    async def close(self) -> None:
        """Finish what is under way in the background and release the engine."""
        await self.rescores.close()
        if self.index is not None:
            await self.index.close()
        await self.thread.run(self.loaded.engine.close, stage="close")


async def _precondition(
    cache: PreconditionedCache,
    thread: EngineThread,
    gradients: Sequence[NamedGradient],
    how: Preconditioning,
    stopwatch: Stopwatch,
) -> Preconditioned:
    return await thread.run(lambda: cache.get(gradients, how), stage="precondition", stopwatch=stopwatch)


def assemble(
    loaded: Loaded,
    settings: WorkerSettings,
    *,
    thread: EngineThread,
    cache: GradientCache,
    observe: WorkerObserver,
) -> ServedModel:
    """Wire the parts of a worker together. Blocking: it plans the batches of every shard."""
    engine, corpus, tokenizer = loaded.engine, loaded.corpus, loaded.tokenizer
    info, policy = engine.info, corpus.policy
    max_query_tokens = min(settings.max_query_tokens or info.max_tokens, info.max_tokens)
    max_text_bytes = most_text_bytes(info.max_tokens, settings.max_text_bytes)
    memory = QueryMemory(engine, limit_bytes=settings.query_memory_bytes)
    preconditioned = PreconditionedCache(engine, memory, capacity_bytes=settings.preconditioned_cache_bytes)
    scorer = BatchScorer(engine, thread, observe=observe)
    return ServedModel(
        loaded=loaded,
        model=describe_model(
            name=settings.served_name,
            engine=info,
            corpus_digest=corpus.digest,
            corpus_sequences=corpus.sequences,
            corpus_tokens=corpus.tokens,
            training_set_size=loaded.training_set_size,
            training_set_source=loaded.training_set_source,
            default_damping_factor=settings.default_damping_factor,
            max_query_tokens=max_query_tokens,
            max_queries=memory.max_queries(),
            max_batch_queries=memory.max_queries(DEFAULT_RANK),
            max_text_bytes=max_text_bytes,
            findings=loaded.warnings,
            index=loaded.index,
        ),
        batch_tokens=settings.batch_tokens,
        thread=thread,
        preparer=QueryPreparer(
            tokenizer,
            QueryLimits(max_tokens=max_query_tokens, vocabulary_size=info.vocabulary_size, max_bytes=max_text_bytes),
            prefix_bos=policy.bos or tokenizer.adds_bos,
            chat=corpus.chat,
        ),
        gradients=QueryGradients(
            GradientNamer(
                model_digest=info.model_digest,
                factors_digest=info.factors_digest,
                precision=info.precision,
                query_rank=settings.query_rank,
            ),
            SingleFlight(Cached(Computed(engine, thread), cache, observe=observe)),
        ),
        query_memory=memory,
        preconditioned=preconditioned,
        scorer=scorer,
        scanner=Scanner(
            scorer=scorer,
            corpus=corpus,
            shards=[shard.name for shard in corpus.shards],
            token_budget=settings.batch_tokens,
        ),
        rescores=RescoreQueue(
            scorer=scorer,
            precondition=functools.partial(_precondition, preconditioned, thread),
            corpus=corpus,
            shards={shard.name: shard.first_position for shard in corpus.shards},
            token_budget=settings.batch_tokens,
            max_queries=memory.max_queries,
            share=settings.share_batches,
        ),
        resolver=SequenceResolver(
            corpus,
            SequenceEncoder(tokenizer, policy, corpus.chat),
            max_text_bytes=max_text_bytes,
        ),
        filters=FilterMasks(corpus),
        groupings=Groupings(corpus),
        token_search=TokenSearch(corpus, vocabulary=max(info.vocabulary_size, tokenizer.vocabulary_size)),
        index=_open_index(loaded, settings, observe),
    )


def _open_index(loaded: Loaded, settings: WorkerSettings, observe: WorkerObserver) -> GradientIndex | None:
    if loaded.index is None:
        return None
    factors = Factors.open(settings.factors, verify=False)  # the engine verified them
    return GradientIndex(loaded.index, factors, _searcher(loaded.index, settings), observe=observe)


def _searcher(index: Index, settings: WorkerSettings) -> Searcher:
    if settings.search_device == "cpu":
        return Searcher(index.shards, index.card.segments, threads=settings.search_threads)
    from whence_backends.index.device_search import DeviceSearcher  # which imports torch

    return DeviceSearcher(index.shards, index.card.segments, device=settings.search_device)
