"""Preconditioned queries on ONNX Runtime's device: whole, or in a bounded rank."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from whence_backends.contract import Float64Array, FloatArray, LayerGradient, QueryGradient
from whence_backends.ekfac.damping import damping
from whence_backends.ekfac.factors import FactorArrays
from whence_backends.ekfac.low_rank import (
    LowRank,
    expected_error,
    range_noise,
    truncate_weighted,
    weighted_square,
    worthwhile,
)
from whence_backends.engines.ort.arrays import DeviceArray
from whence_backends.engines.ort.mathematics import Mathematics
from whence_backends.engines.ort.options import Placement

# Elements of queries that are kept in a bounded rank and multiplied out for one layer at a time.
_QUERY_ELEMENTS: Final[Mapping[str, int]] = {"cpu": 1 << 26, "cuda": 1 << 28}


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerFactors:
    """One layer's Q_A [D_in, D_in], Q_S [D_out, D_out], Λ [D_out, D_in] on the device, and mean(Λ)."""

    Q_A: DeviceArray
    Q_S: DeviceArray
    Lambda: DeviceArray
    mean: float
    placement: Placement

    @classmethod
    def place(cls, arrays: FactorArrays, dtype: np.dtype[Any], placement: Placement) -> LayerFactors:
        """Return a layer's factors on the device."""
        Q_A, Q_S, Lambda = (DeviceArray.of(array.astype(dtype), placement) for array in arrays)
        mean = float(arrays.Lambda.mean(dtype=np.float64))
        return cls(Q_A=Q_A, Q_S=Q_S, Lambda=Lambda, mean=mean, placement=placement)

    @property
    def size_bytes(self) -> int:
        """How much memory they take."""
        return self.Q_A.size_bytes + self.Q_S.size_bytes + self.Lambda.size_bytes


@dataclass(frozen=True, kw_only=True, eq=False)
class LowRankQueries:
    """One layer's preconditioned queries: V_q = left_qᵀ right_q, left [Q, r, D_out] and right [Q, r, D_in]."""

    left: DeviceArray
    right: DeviceArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Preconditioned:
    """How many queries there are, and V of each layer: [Q, D_out, D_in], or in a bounded rank."""

    queries: int
    layers: list[DeviceArray | LowRankQueries]


class Preconditioner:
    """Makes preconditioned queries of the rotated gradients, with the factors of each layer."""

    def __init__(
        self, factors: Sequence[LayerFactors], mathematics: Mathematics, wide: np.dtype[Any], placement: Placement
    ) -> None:
        self._factors = factors
        self._mathematics = mathematics
        self._wide = wide
        self._placement = placement

    def whole(self, gradients: Sequence[QueryGradient], damping_factor: float) -> Preconditioned:
        """Return V [Q, D_out, D_in] of each layer."""
        layers: list[DeviceArray | LowRankQueries] = [
            self._whole([gradient.layers[index] for gradient in gradients], factors, damping_factor)
            for index, factors in enumerate(self._factors)
        ]
        return Preconditioned(queries=len(gradients), layers=layers)

    def low_rank(
        self, gradients: Sequence[QueryGradient], damping_factor: float, rank: int
    ) -> tuple[Preconditioned, Float64Array]:
        """Return V of each layer in a rank of at most ``rank``, and the relative error of each query's influences.

        The singular values are computed on the host: onnxruntime has no decomposition.
        """
        layers: list[DeviceArray | LowRankQueries] = []
        errors, norms = np.zeros((2, len(self._factors), len(gradients)))
        for index, factors in enumerate(self._factors):
            parts = [gradient.layers[index] for gradient in gradients]
            if worthwhile(rank, *factors.Lambda.shape):
                queries, errors[index], norms[index] = self._truncated(parts, factors, damping_factor, rank)
                layers.append(queries)
            else:
                layers.append(self._whole(parts, factors, damping_factor))
                divided = (self._divided(part, factors, damping_factor) for part in parts)
                Lambda = factors.Lambda.numpy()
                norms[index] = [weighted_square(each, Lambda) for each in divided]
        return Preconditioned(queries=len(gradients), layers=layers), expected_error(errors, norms)

    def multiplied_out(self, queries: DeviceArray | LowRankQueries) -> Iterator[DeviceArray]:
        """Yield one layer's V [q, D_out, D_in] of as many queries at a time as may be."""
        if isinstance(queries, DeviceArray):
            yield queries
            return
        (Q, _, D_out), D_in = queries.left.shape, queries.right.shape[2]
        step = max(1, _QUERY_ELEMENTS[self._placement.memory] // (D_out * D_in))
        for start in range(0, Q, step):
            stop = min(start + step, Q)
            V = DeviceArray.empty((stop - start, D_out, D_in), self._wide, self._placement)
            for q in range(start, stop):
                left, right = (x.rows(q, q + 1).reshape(*x.shape[1:]) for x in (queries.left, queries.right))
                self._mathematics.product(left, right, into=V.rows(q - start, q - start + 1).reshape(D_out, D_in))
            yield V

    def _whole(self, gradients: Sequence[LayerGradient], factors: LayerFactors, damping_factor: float) -> DeviceArray:
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

    def _divided(self, gradient: LayerGradient, factors: LayerFactors, damping_factor: float) -> FloatArray:
        """Return one query's V [D_out, D_in] of one layer, in the eigenbasis, on the host."""
        found: FloatArray = self._mathematics.divide(
            left=self._placed(gradient.left),
            right=self._placed(gradient.right),
            Lambda=factors.Lambda,
            damping=self._damping(factors, damping_factor),
        ).numpy()
        return found

    def _truncated(
        self, gradients: Sequence[LayerGradient], factors: LayerFactors, damping_factor: float, rank: int
    ) -> tuple[LowRankQueries, list[float], list[float]]:
        """Return one layer's V, and each query's squared error and squared norm. One whole V at a time is formed."""
        Lambda, found, norms = factors.Lambda.numpy(), [], []
        noise = range_noise(Lambda.shape[1], rank).astype(self._wide)
        for gradient in gradients:
            divided = self._divided(gradient, factors, damping_factor)
            norms.append(weighted_square(divided, Lambda))
            found.append(truncate_weighted(divided, Lambda, rank, np.linalg, noise))
        return self._rotated_back(found, factors), [one.squared_error for one in found], norms

    def _rotated_back(self, found: Sequence[LowRank], factors: LayerFactors) -> LowRankQueries:
        back = [
            self._mathematics.rotate_back(self._placed(one.left), self._placed(one.right), factors.Q_A, factors.Q_S)
            for one in found
        ]
        return LowRankQueries(
            left=self._placed(np.stack([left.numpy() for left, _ in back])),
            right=self._placed(np.stack([right.numpy() for _, right in back])),
        )

    def _damping(self, factors: LayerFactors, damping_factor: float) -> DeviceArray:
        return self._placed(np.array([damping(factors.mean, damping_factor)]))

    def _placed(self, array: FloatArray) -> DeviceArray:
        return DeviceArray.of(array.astype(self._wide), self._placement)
