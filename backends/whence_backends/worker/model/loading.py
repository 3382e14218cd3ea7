"""Loading: the artefacts of a worker are opened, and checked to belong together. Blocking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from whence.errors import WhenceError
from whence_backends.certificates import Certificate
from whence_backends.contract import Engine, EngineConfig
from whence_backends.corpus import Corpus
from whence_backends.ekfac.factors import CORPUS, Factors
from whence_backends.engines import engine_for, load_engine
from whence_backends.index import Index
from whence_backends.inspection import Named, inspect
from whence_backends.models.processor import slow_precision
from whence_backends.models.text.tokenizer import Tokenizer
from whence_backends.preflight import Finding, require
from whence_backends.worker.config import WorkerSettings

EngineFactory = Callable[[EngineConfig], Engine]


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The loaded artefacts and the engine. ``warnings`` are the findings of the preflight that refuse nothing.

    Influences are divided by ``training_set_size``, N, which is from the ``worker``'s settings, was given to the
    ``fit``, or is the number of sequences of the ``corpus`` that the factors were fitted on.
    """

    engine: Engine
    corpus: Corpus
    tokenizer: Tokenizer
    factors: Factors
    training_set_size: int
    training_set_source: str = CORPUS
    warnings: tuple[Finding, ...] = ()
    index: Index | None = None
    certificate: Certificate | None = None


def load(settings: WorkerSettings, engine_factory: EngineFactory | None = None) -> Loaded:
    """Open corpus, tokenizer, factors, index and engine, the quickest to fail first.

    Raises :class:`~whence.errors.MismatchError` for artefacts that do not belong together, and what opening
    them raises.
    """
    inspected = inspect(_named(settings))
    factors = inspected.factors
    assert factors is not None  # a worker always names factors
    tokenizer = inspected.tokenizer or Tokenizer.load(inspected.source)  # which raises, and says why there is none
    require(inspected.findings())
    corpus = Corpus.open(settings.corpus, verify=settings.verify_artefacts, shards=settings.shards or None)
    index = _open_index(settings, corpus)
    create = engine_factory or (lambda config: load_engine(engine_for(settings.engine, inspected.source), config))
    engine = create(engine_config(settings))
    try:
        slow = slow_precision(engine.info.precision, engine.info.device)
        warnings = require([*inspected.findings(engine.info), *slow])
    except WhenceError:
        engine.close()
        raise
    given = settings.training_sequences
    return Loaded(
        engine=engine,
        corpus=corpus,
        tokenizer=tokenizer,
        factors=factors,
        training_set_size=given or factors.card.training_set_size,
        training_set_source="worker" if given else factors.card.training_set_source,
        warnings=warnings,
        index=index,
        certificate=inspected.certificate,
    )


def _named(settings: WorkerSettings) -> Named:
    return Named(
        model=settings.model,
        corpus=settings.corpus,
        factors=settings.factors,
        index=settings.index,
        certificate=settings.certificate,
        shards=settings.shards or None,
        training_sequences=settings.training_sequences,
    )


def _open_index(settings: WorkerSettings, corpus: Corpus) -> Index | None:
    if settings.index is None:
        return None
    names = [shard.name for shard in corpus.shards]
    return Index.open(settings.index, verify=settings.verify_artefacts, shards=names)


def engine_config(settings: WorkerSettings) -> EngineConfig:
    """Return the configuration of the engine."""
    return EngineConfig(
        model=settings.model,
        factors=settings.factors,
        device=settings.device,
        precision=settings.precision,
        threads=settings.threads,
        query_rank=settings.query_rank,
        options=settings.engine_options,
    )
