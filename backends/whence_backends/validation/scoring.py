"""Scoring every training sequence for every query of a bank, with the code that serves: no retraining, one scan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from whence_backends.contract import EngineConfig, Float64Array, TokenSequence
from whence_backends.corpus import Corpus
from whence_backends.ekfac.factors import Factors
from whence_backends.engines import pytorch
from whence_backends.engines.pytorch import PytorchEngine
from whence_backends.fit import FitConfig, fit
from whence_backends.index import Index, IndexConfig, build_index
from whence_backends.index.search import Searcher
from whence_backends.index.sketch import fold_gradient, with_damping
from whence_backends.models.source import locate_model
from whence_backends.models.text.tokenizer import Tokenizer
from whence_backends.validation.methods import Scores
from whence_backends.validation.queries import ValidationQuery, tokenize
from whence_backends.validation.scores.lexical import bm25
from whence_backends.validation.scores.norms import gradient_norms
from whence_backends.validation.scores.scan import Asked, Scanned, Variant, scan, unconditioned, under

ALL_LINEAR: Final = "all-linear"
DAMPING_FACTORS: Final = (0.001, 0.01, 1.0, 10.0)


@dataclass(frozen=True, kw_only=True)
class ScoringConfig:
    """What is scored: a model with its factors on its corpus.

    ``work`` keeps the index and, with ``all_linear``, the factors of all linear layers that are made for the
    comparison. ``damping_factor`` is the one that is served.
    """

    model: str
    factors: Path
    corpus: Path
    work: Path
    damping_factor: float = 0.1
    all_linear: bool = True
    device: str = "auto"
    batch_tokens: int = 4096


def score_all(
    config: ScoringConfig, queries: Sequence[ValidationQuery], progress: Callable[[str, float], None] = lambda *_: None
) -> Scores:
    """Return the scores of every sequence of the corpus. ``progress`` gets the stage and the share of it that is done.

    Raises the errors of loading a model, its factors and its corpus, of a fit and of an index.
    """
    corpus, factors = Corpus.open(config.corpus, verify=False), Factors.open(config.factors)
    engine = _engine(config, factors)
    tokens = _tokenized(config, engine, corpus, queries)
    asked: dict[str, tuple[Variant, Sequence[TokenSequence]]] = {
        f"{factor:g}": (under(engine, factors, factor), tokens)
        for factor in dict.fromkeys((config.damping_factor, *DAMPING_FACTORS))
    }
    asked["dot"] = (unconditioned(engine.traced), tokens)
    scanned = _scan(engine, asked, corpus, config, lambda share: progress("influences", share))
    index = _index(config, engine, factors, corpus, lambda share: progress("index", share))
    size = factors.card.training_set_size
    result = Scores(
        influence=scanned[f"{config.damping_factor:g}"] / size,
        dampings={
            factor: scanned[f"{factor:g}"] / size for factor in DAMPING_FACTORS if factor != config.damping_factor
        },
        dot=scanned["dot"],
        norms=gradient_norms(engine, corpus, lambda share: progress("gradient norms", share)),
        bm25=_lexical(config, corpus, queries),
        self_influence=np.concatenate([shard.self_influence for shard in index.shards.values()]) / size,
        index=_estimates(index, engine, factors, tokens, config.damping_factor) / size,
        log_likelihoods=np.array([gradient.log_likelihood for gradient in engine.query_gradients(tokens)]),
    )
    engine.close()
    if not config.all_linear or factors.card.tracked == ALL_LINEAR:
        return result
    return replace(result, all_linear=_all_linear(config, factors, corpus, tokens, progress))


@dataclass(frozen=True, kw_only=True, eq=False)
class FewScores:
    """The scores that rankings are made of, float64 [Q, N] each: see :class:`~.methods.Scores`."""

    influence: Float64Array
    dot: Float64Array
    bm25: Float64Array


def score_some(
    config: ScoringConfig, queries: Sequence[ValidationQuery], progress: Callable[[str, float], None] = lambda *_: None
) -> FewScores:
    """Return influences, dot products and BM25 alone: one scan, without an index. Raises as :func:`score_all`."""
    corpus, factors = Corpus.open(config.corpus, verify=False), Factors.open(config.factors)
    engine = _engine(config, factors)
    tokens = _tokenized(config, engine, corpus, queries)
    asked: Asked = {
        "ekfac": (under(engine, factors, config.damping_factor), tokens),
        "dot": (unconditioned(engine.traced), tokens),
    }
    scanned = _scan(engine, asked, corpus, config, lambda share: progress("influences", share))
    engine.close()
    return FewScores(
        influence=scanned["ekfac"] / factors.card.training_set_size,
        dot=scanned["dot"],
        bm25=_lexical(config, corpus, queries),
    )


def _engine(config: ScoringConfig, factors: Factors) -> PytorchEngine:
    precision = factors.card.precision
    return pytorch.create(
        EngineConfig(model=config.model, factors=factors.folder, device=config.device, precision=precision)
    )


def _tokenized(
    config: ScoringConfig, engine: PytorchEngine, corpus: Corpus, queries: Sequence[ValidationQuery]
) -> list[TokenSequence]:
    return tokenize(
        queries,
        _tokenizer(config),
        corpus,
        max_tokens=engine.info.max_tokens,
        vocabulary_size=engine.info.vocabulary_size,
    )


def _tokenizer(config: ScoringConfig) -> Tokenizer:
    return Tokenizer.load(locate_model(config.model, weights=False))


def _lexical(config: ScoringConfig, corpus: Corpus, queries: Sequence[ValidationQuery]) -> Float64Array:
    texts = (corpus.record(position).text for position in range(corpus.sequences))
    tokenizer = _tokenizer(config)
    return bm25(texts, [query.text(tokenizer) for query in queries])


def _scan(
    engine: PytorchEngine, asked: Asked, corpus: Corpus, config: ScoringConfig, progress: Callable[[float], None]
) -> dict[str, Float64Array]:
    over = Scanned(
        corpus=corpus,
        positions=np.arange(corpus.sequences),
        batch_tokens=config.batch_tokens,
        progress=lambda done, total: progress(done / max(1, total)),
    )
    return scan(engine, asked, over)


def _index(
    config: ScoringConfig, engine: PytorchEngine, factors: Factors, corpus: Corpus, progress: Callable[[float], None]
) -> Index:
    wanted = IndexConfig(
        model=config.model,
        out=config.work / f"index-{factors.digest.removeprefix('blake3:')[:8]}",
        damping_factor=config.damping_factor,
        batch_tokens=config.batch_tokens,
    )
    index = build_index(wanted, engine, factors, corpus, lambda at: progress(at.done / max(1, at.total)))
    if index is None:  # only with several ranks
        raise AssertionError("an index of one rank was not finished")
    return index


def _estimates(
    index: Index, engine: PytorchEngine, factors: Factors, queries: Sequence[TokenSequence], damping_factor: float
) -> Float64Array:
    """Return the index's estimate of each raw influence, float64 [Q, N]."""
    plan = with_damping(index.plan(), factors.Lambda, damping_factor)
    sketches = np.stack([fold_gradient(gradient, plan) for gradient in engine.query_gradients(queries)])
    searcher = Searcher(index.shards, index.card.segments)
    try:
        return np.concatenate([searcher.estimate(sketches, shard) for shard in index.shards], axis=1).astype(np.float64)
    finally:
        searcher.close()


def _all_linear(
    config: ScoringConfig,
    served: Factors,
    corpus: Corpus,
    queries: Sequence[TokenSequence],
    progress: Callable[[str, float], None],
) -> Float64Array:
    """Return the influences in nats through all linear layers, of factors that are fitted for this, float64 [Q, N]."""
    card = served.card
    wanted = FitConfig(
        model=config.model,
        out=config.work / f"all-linear-{served.digest.removeprefix('blake3:')[:8]}",
        tracked=ALL_LINEAR,
        labels="empirical" if card.labels == "empirical" else "sampled",
        precision=card.precision,
        device=config.device,
        batch_tokens=config.batch_tokens,
        training_sequences=card.training_set_size,
    )
    factors = fit(wanted, corpus, lambda at: progress(f"all linear layers, {at.stage}", at.done / max(1, at.total)))
    engine = _engine(config, factors)
    asked: Asked = {"all": (under(engine, factors, config.damping_factor), queries)}
    scanned = _scan(engine, asked, corpus, config, lambda share: progress("all linear layers", share))
    engine.close()
    return scanned["all"] / card.training_set_size
