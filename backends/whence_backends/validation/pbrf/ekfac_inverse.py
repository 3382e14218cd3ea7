"""EK-FAC's inverse curvature, applied to vectors of free weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from whence_backends.ekfac.influence import damped
from whence_backends.ekfac.layer_factors import LayerFactors
from whence_backends.validation.pbrf.weights import FreeWeights


@final
class EkfacInverse:
    """The product of EK-FAC's damped inverse curvature with vectors [P]: Q_S [(Q_Sᵀ G Q_A) ⊘ (Λ + λ)] Q_Aᵀ by layer.

    The product of the gradients of two sequences with it between them is their raw influence, as engines compute it.
    """

    def __init__(self, weights: FreeWeights, factors: Sequence[LayerFactors[Tensor]], damping_factor: float) -> None:
        self._weights, self._factors = weights, factors
        self._denominators = [damped(layer, damping_factor) for layer in factors]
        self.damping = [layer.damping(damping_factor) for layer in factors]

    def __call__(self, vector: Tensor) -> Tensor:
        """Return the product with a vector [P]."""
        layers = zip(self._weights.layers(vector), self._factors, self._denominators, strict=True)
        products = [
            layer.Q_S @ ((layer.Q_S.T @ G @ layer.Q_A) / denominator) @ layer.Q_A.T for G, layer, denominator in layers
        ]
        return torch.cat([product.reshape(-1) for product in products])
