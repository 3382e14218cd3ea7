"""Opening what a worker serves, and refusing what does not belong together. Blocking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from whence.errors import MismatchError
from whence_backends.contract import Engine, EngineConfig
from whence_backends.corpus import Corpus
from whence_backends.engines import engine_for, load_engine
from whence_backends.index import Index
from whence_backends.models.source import resolve_model
from whence_backends.models.tokenizer import Tokenizer
from whence_backends.store import Manifest, read_manifest
from whence_backends.worker.config import WorkerSettings

FACTORS_FORMAT: Final = "whence.factors/1"

EngineFactory = Callable[[EngineConfig], Engine]


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """Everything that answers come from."""

    engine: Engine
    corpus: Corpus
    tokenizer: Tokenizer
    factors: Manifest
    index: Index | None = None

    @property
    def training_set_size(self) -> int:
        """N, as recorded when the factors were fitted."""
        return int(self.factors.properties["training_set_size"])


def load(settings: WorkerSettings, engine_factory: EngineFactory | None = None) -> Loaded:
    """Open corpus, tokenizer, factors, index and engine, the quickest to fail first.

    Raises :class:`~whence.errors.MismatchError` for artefacts that do not belong together, and what opening
    them raises.
    """
    factors = read_manifest(settings.factors, FACTORS_FORMAT)
    source = resolve_model(settings.model)
    require_factors_of_model(factors, source.digest, settings)
    tokenizer = Tokenizer.load(source)
    corpus = Corpus.open(settings.corpus, verify=settings.verify_artefacts, shards=settings.shards or None)
    require_corpus_of_tokenizer(corpus.tokenizer_digest, tokenizer.digest, settings)
    index = open_index(settings, source.digest, factors, corpus)
    create = engine_factory or (lambda config: load_engine(engine_for(settings.engine, source), config))
    engine = create(engine_config(settings))
    try:
        require_engine_of_factors(engine, factors)
        require_corpus_fits(corpus, engine.info.max_tokens)
    except MismatchError:
        engine.close()
        raise
    return Loaded(engine=engine, corpus=corpus, tokenizer=tokenizer, factors=factors, index=index)


def open_index(settings: WorkerSettings, model_digest: str, factors: Manifest, corpus: Corpus) -> Index | None:
    """Open the index of the shards that are served, if there is one, and refuse one of other artefacts."""
    if settings.index is None:
        return None
    names = [shard.name for shard in corpus.shards]
    index = Index.open(settings.index, verify=settings.verify_artefacts, shards=names)
    index.require(model_digest=model_digest, factors_digest=factors.digest, corpus_digest=corpus.digest)
    return index


def engine_config(settings: WorkerSettings) -> EngineConfig:
    """Return what the engine is created from."""
    return EngineConfig(
        model=settings.model,
        factors=settings.factors,
        device=settings.device,
        precision=settings.precision,
        threads=settings.threads,
        query_rank=settings.query_rank,
        options=settings.engine_options,
    )


def require_factors_of_model(factors: Manifest, model_digest: str, settings: WorkerSettings) -> None:
    """Raise ``FACTORS_OF_OTHER_MODEL`` unless the factors were fitted on this model."""
    fitted_on = factors.properties["model_digest"]
    if fitted_on != model_digest:
        raise MismatchError(
            f"the factors in {settings.factors} were fitted on a model with digest {fitted_on}, not on "
            f"{settings.model} ({model_digest}); fit factors for this model or serve the model they belong "
            "to",
            reason="FACTORS_OF_OTHER_MODEL",
            factors=settings.factors,
            model=settings.model,
        )


def require_corpus_of_tokenizer(corpus_tokenizer: str, tokenizer: str, settings: WorkerSettings) -> None:
    """Raise ``CORPUS_OF_OTHER_TOKENIZER`` unless the corpus was tokenized with the model's tokenizer."""
    if corpus_tokenizer != tokenizer:
        raise MismatchError(
            f"the corpus in {settings.corpus} was tokenized with another tokenizer ({corpus_tokenizer}) "
            f"than that of {settings.model} ({tokenizer}); ingest it again with this model",
            reason="CORPUS_OF_OTHER_TOKENIZER",
            corpus=settings.corpus,
            model=settings.model,
        )


def require_engine_of_factors(engine: Engine, factors: Manifest) -> None:
    """Raise ``ENGINE_OF_OTHER_FACTORS`` unless the engine holds these very factors and their model."""
    info = engine.info
    expected = (factors.properties["model_digest"], factors.digest)
    if (info.model_digest, info.factors_digest) != expected:
        raise MismatchError(
            f"the engine {info.engine} holds model {info.model_digest} and factors {info.factors_digest}; "
            f"expected {expected[0]} and {expected[1]}: the files changed while the worker started, start "
            "it again",
            reason="ENGINE_OF_OTHER_FACTORS",
        )


def require_corpus_fits(corpus: Corpus, max_tokens: int) -> None:
    """Raise ``CORPUS_TOO_LONG_FOR_MODEL`` where a sequence is longer than the model takes."""
    for shard in corpus.shards:
        longest = int(corpus.lengths(shard.name).max(initial=0))
        if longest > max_tokens:
            raise MismatchError(
                f"shard {shard.name} has a sequence of {longest} tokens; the model takes at most "
                f"{max_tokens}: ingest the corpus again with a smaller max_tokens",
                reason="CORPUS_TOO_LONG_FOR_MODEL",
                shard=shard.name,
            )
