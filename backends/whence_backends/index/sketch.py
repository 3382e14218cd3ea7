"""Sketches of gradients: of queries, from their cached gradients, and of training sequences, by an engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whence.errors import InternalError
from whence.reasons import Reason
from whence_backends.contract import (
    Engine,
    LayerFold,
    QueryGradient,
    Sketches,
    SketchingEngine,
    SketchPlan,
    TokenSequence,
)
from whence_backends.ekfac.damping import damping, is_dead

# Returns a layer's Λ [D_out, D_in].
Lambdas = Callable[[int], NDArray[np.floating[Any]]]
Sketcher = Callable[[Sequence[TokenSequence]], Sketches]


def fold_gradient(gradient: QueryGradient, plan: SketchPlan) -> NDArray[np.float32]:
    """Return the sketch of one gradient, float32 [width]. Its products with sketches of sequences estimate influences.

    Costs R·D_out·D_in multiplications per layer: the product of left and right is formed, one layer at a time.
    """
    values = np.zeros(plan.width)
    for layer, fold in zip(gradient.layers, plan.folds, strict=True):
        _add(values, (layer.left.T @ layer.right).reshape(-1), fold)
    return values.astype(np.float32)


def with_damping(plan: SketchPlan, Lambda: Lambdas, damping_factor: float) -> SketchPlan:
    """Return the plan for queries with another damping λ' than the index's, for sketches made with ``plan``.

    Influence under λ' is ⟨Ĝ(query) ⊘ (Λ + λ'), Ĝ(z)⟩: the query's coordinates are weighted by √(Λ + λ)/(Λ + λ') instead
    of 1/√(Λ + λ), and those of the sequences are unchanged.
    """
    if damping_factor == plan.damping_factor:
        return plan

    def reweighted(index: int, fold: LayerFold) -> LayerFold:
        kept = Lambda(index).reshape(-1)[fold.indices].astype(np.float64)
        mean = float(Lambda(index).mean(dtype=np.float64))
        if is_dead(mean):
            return fold  # a dead layer: its weights are 0
        ratio = (kept + damping(mean, plan.damping_factor)) / (kept + damping(mean, damping_factor))
        return replace(fold, weights=(fold.weights * ratio).astype(np.float32))

    folds = tuple(reweighted(index, fold) for index, fold in enumerate(plan.folds))
    return SketchPlan(width=plan.width, damping_factor=damping_factor, folds=folds)


def make_sketcher(engine: Engine, plan: SketchPlan, Lambda: Lambdas) -> Sketcher:
    """Return a function that sketches training sequences with ``engine``, by its own sketches where it has them.

    Any other engine gives gradients, which must be stored without loss.
    """
    if isinstance(engine, SketchingEngine):
        sketching, prepared = engine, engine.prepare_sketches(plan)
        return lambda sequences: sketching.sketch(prepared, sequences)
    damped = [_damped(Lambda(index), plan.damping_factor) for index in range(len(plan.folds))]

    def sketch(sequences: Sequence[TokenSequence]) -> Sketches:
        gradients = engine.query_gradients(sequences)
        _require_whole(gradients)
        return Sketches(
            values=np.stack([fold_gradient(gradient, plan) for gradient in gradients]),
            self_influence=np.array([_self_influence(gradient, damped) for gradient in gradients]),
        )

    return sketch


def _self_influence(gradient: QueryGradient, damped: Sequence[NDArray[np.float64]]) -> float:
    parts = (
        float((np.square((layer.left.T @ layer.right).astype(np.float64)) / total).sum())
        for layer, total in zip(gradient.layers, damped, strict=True)
    )
    return sum(parts)


def _add(values: NDArray[np.float64], flat: NDArray[np.floating[Any]], fold: LayerFold) -> None:
    folded = (flat[fold.indices].astype(np.float64) * fold.weights).sum(axis=0)
    values[fold.start : fold.start + len(folded)] += folded


def _damped(Lambda: NDArray[np.floating[Any]], damping_factor: float) -> NDArray[np.float64]:
    wide = Lambda.astype(np.float64)
    damped: NDArray[np.float64] = wide + damping(float(wide.mean()), damping_factor)
    return damped


def _require_whole(gradients: Sequence[QueryGradient]) -> None:
    worst = max(gradient.truncation_error for gradient in gradients)
    if worst > 0:
        raise InternalError(
            f"an engine truncated the gradients of training sequences (relative error {worst:.2g}); load it without "
            "query_rank to index with it",
            reason=Reason.GRADIENTS_INCOMPLETE,
        )
