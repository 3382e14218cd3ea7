"""The test of a language model's influences by the proximal Bregman response function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whence.errors import MismatchError
from whence.reasons import Reason
from whence_backends.corpus import Corpus
from whence_backends.ekfac.damping import is_dead
from whence_backends.ekfac.factors import Factors
from whence_backends.ekfac.layer_factors import LayerFactors
from whence_backends.ekfac.trace import TrackedLayer
from whence_backends.fit.sample import fitted_positions
from whence_backends.models.shape import ModelShape
from whence_backends.models.source import locate_model, resolve_model
from whence_backends.models.text.tokenizer import Tokenizer
from whence_backends.models.torch_loading import load_causal_lm
from whence_backends.models.tracked import track
from whence_backends.validation.pbrf.agreement import agreements
from whence_backends.validation.pbrf.batches import language_model, token_batch, token_batches
from whence_backends.validation.pbrf.config import PbrfConfig, PbrfProgress
from whence_backends.validation.pbrf.ekfac_inverse import EkfacInverse
from whence_backends.validation.pbrf.losses import CrossEntropy
from whence_backends.validation.pbrf.nystrom import nystrom_inverse
from whence_backends.validation.pbrf.objective import Objective
from whence_backends.validation.pbrf.responses import ResponseFunction
from whence_backends.validation.pbrf.result import PbrfResult, Setting
from whence_backends.validation.pbrf.weights import FreeWeights
from whence_backends.validation.queries import ValidationQuery, read_queries, tokenize

Progress = Callable[[PbrfProgress], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Loaded:
    """The model with its live tracked layers (those with gradients), their factors, the corpus and the queries."""

    model: Any
    layers: list[TrackedLayer]
    layer_factors: list[LayerFactors[Tensor]]
    factors: Factors
    corpus: Corpus
    queries: list[ValidationQuery]


def run_pbrf(config: PbrfConfig, progress: Progress = lambda _: None) -> PbrfResult:
    """Return the responses of the queries to random training sequences, and EK-FAC's agreement with them.

    The weights of the model are not changed. Raises :class:`~whence.errors.InvalidRequestError` for an invalid
    configuration and :class:`~whence.errors.MismatchError` if model, factors and corpus do not belong together.
    """
    config.check()
    loaded = _load(config)
    fitted, chosen, points = _positions(config, loaded)
    function, free = _function(config, loaded, chosen, progress)
    device, dtype = free.device, free.dtype
    responses = []
    for done, sequence in enumerate(loaded.corpus.tokens_at(points.tolist()), start=1):
        responses.append(function.of(token_batch([sequence], device, dtype), config.copies))
        progress(PbrfProgress(part="responses", done=done, total=len(points)))
    return PbrfResult(
        config=config,
        setting=Setting(
            model_digest=loaded.factors.card.model_digest,
            factors_digest=loaded.factors.digest,
            corpus_digest=loaded.corpus.digest,
            training_set_size=loaded.factors.card.training_set_size,
            fitted_sequences=len(fitted),
            sequences=len(chosen),
            free_parameters=len(free),
        ),
        queries=tuple(query.id for query in loaded.queries),
        points=tuple(loaded.corpus.record(position).sequence_id for position in points.tolist()),
        responses=tuple(responses),
        agreements=tuple(agreements(responses, config.seed)),
    )


def _load(config: PbrfConfig) -> _Loaded:
    queries, corpus, factors = read_queries(config.queries), Corpus.open(config.corpus), Factors.open(config.factors)
    source = resolve_model(config.model)
    factors.require_model(source.digest, config.model)
    if factors.card.corpus_digest != corpus.digest:
        raise MismatchError(
            f"{config.factors} was fitted on the corpus {factors.card.corpus_digest}, and {config.corpus} is "
            f"{corpus.digest}; give the corpus of the factors",
            reason=Reason.FACTORS_CORPUS_MISMATCH,
            path=config.corpus,
        )
    model = load_causal_lm(source, config.precision, config.device)
    layers = track(model, factors.card.tracked)
    factors.require_layers([layer.spec for layer in layers])
    parameter = next(model.parameters())
    arrays = [_placed(factors, index, parameter) for index in range(len(layers))]
    live = [index for index, layer in enumerate(arrays) if not is_dead(layer.mean)]
    return _Loaded(
        model=model,
        layers=[layers[index] for index in live],
        layer_factors=[arrays[index] for index in live],
        factors=factors,
        corpus=corpus,
        queries=queries,
    )


def _placed(factors: Factors, index: int, like: Tensor) -> LayerFactors[Tensor]:
    Q_A, Q_S, Lambda = (torch.from_numpy(array).to(like) for array in factors.layer(index))
    return LayerFactors(Q_A=Q_A, Q_S=Q_S, Lambda=Lambda, mean=float(Lambda.mean()))


def _positions(config: PbrfConfig, loaded: _Loaded) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions that were fitted, those of the objective among them, and the points among these."""
    card = loaded.factors.card
    fitted = fitted_positions(loaded.corpus.sequences, card.fitted_sequences, card.seed)
    trained = fitted[loaded.corpus.trained_tokens()[fitted] > 0]
    config.require_points(len(trained))
    drawn = np.random.default_rng(config.seed).permutation(trained)[: config.sequences]
    return fitted, drawn, drawn[: config.points]


def _function(
    config: PbrfConfig, loaded: _Loaded, chosen: NDArray[np.int64], progress: Progress
) -> tuple[ResponseFunction, Tensor]:
    """Return the response function, and the free weights at its start."""
    weights = FreeWeights(loaded.layers)
    place = (weights.start.device, weights.start.dtype)
    ekfac = EkfacInverse(weights, loaded.layer_factors, config.damping_factor)
    sample = token_batches(loaded.corpus.tokens_at(chosen.tolist()), config.batch_tokens, *place)
    objective = Objective(language_model(loaded.model), CrossEntropy(), weights, sample, ekfac.damping)
    inverse = nystrom_inverse(
        partial(objective.gauss_newton, torch.zeros_like(weights.start)),
        objective.damping,
        config.columns,
        seed=config.seed,
        progress=lambda done: progress(PbrfProgress(part="curvature", done=done, total=config.columns)),
    )
    shape = ModelShape.of(loaded.model)
    queries = tokenize(
        loaded.queries,
        Tokenizer.load(locate_model(config.model, weights=False)),
        loaded.corpus,
        max_tokens=shape.max_tokens,
        vocabulary_size=shape.vocabulary_size,
    )
    function = ResponseFunction(
        objective,
        [token_batch([query], *place) for query in queries],
        ekfac,
        inverse,
        training_set_size=loaded.factors.card.training_set_size,
        effort=config.effort,
    )
    return function, weights.start
