"""Preconditioned queries on ONNX Runtime's device: whole, or in a bounded rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from whence_backends.contract import Float64Array, FloatArray, LayerGradient, QueryGradient
from whence_backends.ekfac.budgets import QUERIES
from whence_backends.ekfac.factors import FactorArrays
from whence_backends.ekfac.layer_factors import LayerFactors
from whence_backends.ekfac.low_rank import (
    LowRank,
    expected_error,
    range_noise,
    truncate_weighted,
    weighted_square,
    worthwhile,
)
from whence_backends.ekfac.preconditioned import LowRankQueries, Preconditioned
from whence_backends.engines.ort.arrays import DeviceArray
from whence_backends.engines.ort.mathematics import Mathematics
from whence_backends.engines.ort.options import Placement

Factors: TypeAlias = LayerFactors[DeviceArray]
# One layer's V [Q, D_out, D_in], whole or in a bounded rank.
Queries: TypeAlias = DeviceArray | LowRankQueries[DeviceArray]


def place_factors(arrays: FactorArrays, dtype: np.dtype[Any], placement: Placement) -> Factors:
    """Return a layer's factors on the device, in the engine's precision."""
    Q_A, Q_S, Lambda = (DeviceArray.of(array.astype(dtype), placement) for array in arrays)
    return LayerFactors(Q_A=Q_A, Q_S=Q_S, Lambda=Lambda, mean=float(arrays.Lambda.mean(dtype=np.float64)))


class Preconditioner:
    """Preconditions rotated gradients with the factors of each layer."""

    def __init__(
        self, factors: Sequence[Factors], mathematics: Mathematics, wide: np.dtype[Any], placement: Placement
    ) -> None:
        self._factors = factors
        self._mathematics = mathematics
        self._wide = wide
        self._placement = placement

    def whole(self, gradients: Sequence[QueryGradient], damping_factor: float) -> Preconditioned[DeviceArray]:
        """Return V [Q, D_out, D_in] of each layer."""
        layers: list[Queries] = [
            self._whole([gradient.layers[index] for gradient in gradients], factors, damping_factor)
            for index, factors in enumerate(self._factors)
        ]
        return Preconditioned(queries=len(gradients), layers=layers)

    def low_rank(
        self, gradients: Sequence[QueryGradient], damping_factor: float, rank: int
    ) -> tuple[Preconditioned[DeviceArray], Float64Array]:
        """Return V of each layer truncated to ``rank``, and the relative error of each query's influences.

        The singular values are computed on the host, since onnxruntime has no decompositions.
        """
        layers: list[Queries] = []
        errors, norms = np.zeros((2, len(self._factors), len(gradients)))
        for index, factors in enumerate(self._factors):
            parts = [gradient.layers[index] for gradient in gradients]
            if worthwhile(rank, *factors.Lambda.shape):
                queries, errors[index], norms[index] = self._truncated(parts, factors, damping_factor, rank)
                layers.append(queries)
            else:
                layers.append(self._whole(parts, factors, damping_factor))
                Lambda = factors.Lambda.numpy()
                norms[index] = [weighted_square(self._divided(part, factors, damping_factor), Lambda) for part in parts]
        return Preconditioned(queries=len(gradients), layers=layers), expected_error(errors, norms)

    def multiplied_out(self, queries: Queries) -> Iterator[DeviceArray]:
        """Yield one layer's V [q, D_out, D_in], as many queries at a time as memory admits."""
        if isinstance(queries, DeviceArray):
            yield queries
            return
        (Q, _, D_out), D_in = queries.left.shape, queries.right.shape[2]
        step = QUERIES.at_once(self._placement.memory, D_out * D_in)
        for start in range(0, Q, step):
            stop = min(start + step, Q)
            V = DeviceArray.empty((stop - start, D_out, D_in), self._wide, self._placement)
            for q in range(start, stop):
                left, right = (x.rows(q, q + 1).reshape(*x.shape[1:]) for x in (queries.left, queries.right))
                self._mathematics.product(left, right, into=V.rows(q - start, q - start + 1).reshape(D_out, D_in))
            yield V

    def _whole(self, gradients: Sequence[LayerGradient], factors: Factors, damping_factor: float) -> DeviceArray:
        """Return one layer's V [Q, D_out, D_in]."""
        V = DeviceArray.empty((len(gradients), *factors.Lambda.shape), self._wide, self._placement)
        for q, gradient in enumerate(gradients):
            self._mathematics.precondition(
                V.rows(q, q + 1).reshape(*factors.Lambda.shape),
                left=self._placed(gradient.left),
                right=self._placed(gradient.right),
                Q_A=factors.Q_A,
                Q_S=factors.Q_S,
                Lambda=factors.Lambda,
                damping=self._damping(factors, damping_factor),
            )
        return V

    def _divided(self, gradient: LayerGradient, factors: Factors, damping_factor: float) -> FloatArray:
        """Return one query's V [D_out, D_in] of one layer, in the eigenbasis, on the host."""
        divided: FloatArray = self._mathematics.divide(
            left=self._placed(gradient.left),
            right=self._placed(gradient.right),
            Lambda=factors.Lambda,
            damping=self._damping(factors, damping_factor),
        ).numpy()
        return divided

    def _truncated(
        self, gradients: Sequence[LayerGradient], factors: Factors, damping_factor: float, rank: int
    ) -> tuple[LowRankQueries[DeviceArray], list[float], list[float]]:
        """Return one layer's V, and each query's squared error and squared norm. One whole V at a time is formed."""
        Lambda = factors.Lambda.numpy()
        noise = range_noise(Lambda.shape[1], rank).astype(self._wide)
        divided = (self._divided(gradient, factors, damping_factor) for gradient in gradients)
        truncated = [truncate_weighted(V, Lambda, rank, np.linalg, noise) for V in divided]
        errors, norms = [query.squared_error for query in truncated], [query.squared_norm for query in truncated]
        return self._rotated_back(truncated, factors), errors, norms

    def _rotated_back(self, queries: Sequence[LowRank], factors: Factors) -> LowRankQueries[DeviceArray]:
        back = [
            self._mathematics.rotate_back(self._placed(query.left), self._placed(query.right), factors.Q_A, factors.Q_S)
            for query in queries
        ]
        return LowRankQueries(
            left=self._placed(np.stack([left.numpy() for left, _ in back])),
            right=self._placed(np.stack([right.numpy() for _, right in back])),
        )

    def _damping(self, factors: Factors, damping_factor: float) -> DeviceArray:
        return self._placed(np.array([factors.damping(damping_factor)]))

    def _placed(self, array: FloatArray) -> DeviceArray:
        return DeviceArray.of(array.astype(self._wide), self._placement)
