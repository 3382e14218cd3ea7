"""The composition root of the model server: which part is made of which, in one function."""

from __future__ import annotations

from typing import Final

from whence_backends.corpus import SequenceEncoder
from whence_backends.index import Index
from whence_backends.index.search import Searcher
from whence_backends.worker.config import WorkerSettings
from whence_backends.worker.gradients.cache import GradientCache, LayeredCache, WriteBehind
from whence_backends.worker.gradients.cached import Cached
from whence_backends.worker.gradients.computed import Computed
from whence_backends.worker.gradients.kept import Kept
from whence_backends.worker.gradients.keys import GradientNamer
from whence_backends.worker.gradients.memory_cache import MemoryCache
from whence_backends.worker.gradients.query_gradients import QueryGradients
from whence_backends.worker.gradients.redis_cache import RedisCache
from whence_backends.worker.gradients.single_flight import SingleFlight
from whence_backends.worker.model.description import describe_model
from whence_backends.worker.model.loading import Loaded
from whence_backends.worker.model.model_server import ModelServer
from whence_backends.worker.requests.filters import FilterMasks
from whence_backends.worker.requests.recent_queries import RecentQueries
from whence_backends.worker.requests.recent_sequences import RecentSequences
from whence_backends.worker.requests.sequences import SequenceResolver
from whence_backends.worker.requests.tokenization import QueryLimits, QueryTokenizer, most_text_bytes
from whence_backends.worker.runtime.engine_thread import EngineThread
from whence_backends.worker.runtime.records import WorkerObserver
from whence_backends.worker.scoring.batch_scorer import BatchScorer
from whence_backends.worker.scoring.preconditioning import PreconditionedCache, Preconditioner
from whence_backends.worker.scoring.query_memory import QueryMemory
from whence_backends.worker.scoring.rescore_queue import RescoreQueue
from whence_backends.worker.scoring.scan import Scanner
from whence_backends.worker.scoring.self_influence import SelfInfluenceScorer
from whence_backends.worker.scoring.sequence_scores import SequenceScorer
from whence_backends.worker.searching.gradient_index import GradientIndex
from whence_backends.worker.searching.groupings import Groupings
from whence_backends.worker.searching.sketches import Sketches
from whence_backends.worker.searching.token_overlap import OverlapSearch
from whence_backends.worker.searching.token_search import TokenSearch
from whence_service.rpc.redis_connection import RedisAccess

# The part of the memory for gradients that is for those that are kept decoded, which are kept encoded, too.
_KEPT_SHARE: Final = 4


def assemble(
    loaded: Loaded,
    settings: WorkerSettings,
    *,
    thread: EngineThread,
    cache: GradientCache,
    observe: WorkerObserver,
) -> ModelServer:
    """Wire the parts of a model server together. Blocking: it plans the batches of every shard."""
    engine, corpus, tokenizer = loaded.engine, loaded.corpus, loaded.tokenizer
    limits = _query_limits(loaded, settings)
    memory = QueryMemory(engine, limit_bytes=settings.query_memory_bytes)
    source = Kept(
        SingleFlight(Cached(Computed(engine, thread), cache, observe=observe)),
        _kept_bytes(settings),
        observe=observe,
    )
    preconditioner = Preconditioner(
        PreconditionedCache(engine, memory, capacity_bytes=settings.preconditioned_cache_bytes), thread
    )
    batches = BatchScorer(engine, thread, observe=observe)
    return ModelServer(
        loaded=loaded,
        description=describe_model(loaded, settings, limits, memory),
        thread=thread,
        tokenizer=RecentQueries(
            QueryTokenizer(tokenizer, limits, prefix_bos=corpus.policy.bos or tokenizer.adds_bos, chat=corpus.chat)
        ),
        gradients=QueryGradients(_namer(loaded, settings), source),
        query_memory=memory,
        preconditioner=preconditioner,
        sequences=SequenceScorer(batches, token_budget=settings.batch_tokens),
        self_influence=SelfInfluenceScorer(engine, thread),
        scanner=Scanner(
            scorer=batches,
            corpus=corpus,
            shards=[shard.name for shard in corpus.shards],
            token_budget=settings.batch_tokens,
        ),
        rescores=RescoreQueue(
            scorer=batches,
            precondition=preconditioner.precondition,
            corpus=corpus,
            shards={shard.name: shard.first_position for shard in corpus.shards},
            token_budget=settings.batch_tokens,
            max_queries=memory.max_queries,
            share=settings.share_batches,
        ),
        resolver=RecentSequences(
            SequenceResolver(
                corpus, SequenceEncoder(tokenizer, corpus.policy, corpus.chat), max_text_bytes=limits.max_bytes
            )
        ),
        filters=FilterMasks(corpus),
        groupings=Groupings(corpus),
        token_search=TokenSearch(corpus, vocabulary=max(engine.info.vocabulary_size, tokenizer.vocabulary_size)),
        overlap_search=OverlapSearch(corpus, bos_id=tokenizer.bos_id),
        index=_gradient_index(loaded, settings, observe),
    )


def make_cache(settings: WorkerSettings, observe: WorkerObserver) -> GradientCache:
    """Return the gradient cache: this process's memory, in front of Redis where one is configured.

    Raises :class:`~whence.errors.InvalidRequestError` for a password file, or authorities, that cannot be used.
    """
    memory = MemoryCache(settings.memory_cache_bytes - _kept_bytes(settings), observe=observe)
    if not settings.redis_url:
        return memory
    access = RedisAccess(
        username=settings.redis_username,
        password_file=settings.redis_password_file,
        authorities=settings.redis_tls_ca,
    )
    access.check()
    redis = RedisCache(
        settings.redis_url,
        access,
        timeout_s=settings.redis_timeout_s,
        ttl_s=settings.redis_ttl_s,
        max_value_bytes=settings.redis_max_value_bytes,
        observe=observe,
    )
    return LayeredCache(memory, WriteBehind(redis))


def _kept_bytes(settings: WorkerSettings) -> int:
    return settings.memory_cache_bytes // _KEPT_SHARE


def _query_limits(loaded: Loaded, settings: WorkerSettings) -> QueryLimits:
    info = loaded.engine.info
    return QueryLimits(
        max_tokens=min(settings.max_query_tokens or info.max_tokens, info.max_tokens),
        vocabulary_size=info.vocabulary_size,
        max_bytes=most_text_bytes(info.max_tokens, settings.max_text_bytes),
    )


def _namer(loaded: Loaded, settings: WorkerSettings) -> GradientNamer:
    info = loaded.engine.info
    return GradientNamer(
        model_digest=info.model_digest,
        factors_digest=info.factors_digest,
        precision=info.precision,
        query_rank=settings.query_rank,
    )


def _gradient_index(loaded: Loaded, settings: WorkerSettings, observe: WorkerObserver) -> GradientIndex | None:
    if loaded.index is None:
        return None
    sketches, searcher = Sketches(loaded.index, loaded.factors), _searcher(loaded.index, settings)
    return GradientIndex(loaded.index, sketches, searcher, observe=observe)


def _searcher(index: Index, settings: WorkerSettings) -> Searcher:
    if settings.search_device == "cpu":
        return Searcher(index.shards, index.card.segments, threads=settings.search_threads)
    from whence_backends.index.device_search import DeviceSearcher  # which imports torch

    return DeviceSearcher(index.shards, index.card.segments, device=settings.search_device)
