"""From traces to sketches: gradients are rotated, half-whitened and folded on the device, one layer at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from whence_backends.contract import LayerFold
from whence_backends.ekfac.budgets import SKETCHED_GRADIENTS
from whence_backends.ekfac.influence import damped
from whence_backends.ekfac.layer_factors import LayerFactors
from whence_backends.ekfac.rotation import rotated_gradients


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedFold:
    """A :class:`~whence_backends.contract.LayerFold` on the device.

    ``indices`` [1, M·K]; ``signs`` [M·K], the fold's weights without the whitening; ``whitening`` 1/√(Λ + λ)
    [D_out, D_in].
    """

    start: int
    rows: int
    width: int
    indices: Tensor
    signs: Tensor
    whitening: Tensor

    @classmethod
    def of(cls, fold: LayerFold, factors: LayerFactors[Tensor], damping_factor: float) -> PreparedFold:
        """Place a fold beside the factors of its layer."""
        whitening = damped(factors, damping_factor).rsqrt()
        indices = torch.tensor(fold.indices.reshape(-1), device=whitening.device, dtype=torch.int64)
        weights = torch.tensor(fold.weights.reshape(-1), device=whitening.device, dtype=whitening.dtype)
        return cls(
            start=fold.start,
            rows=fold.indices.shape[0],
            width=fold.indices.shape[1],
            indices=indices.unsqueeze(0),
            signs=torch.where(weights == 0, weights, weights / whitening.reshape(-1)[indices]),
            whitening=whitening,
        )


def add_sketches(
    values: Tensor, self_influence: Tensor, a: Tensor, s: Tensor, factors: LayerFactors[Tensor], fold: PreparedFold
) -> None:
    """Add one layer's part to ``values`` [B, width] and ``self_influence`` float64 [B].

    a [B, T, D_in], s [B, T, D_out].
    """
    (D_out, D_in), wide = factors.Lambda.shape, factors.Lambda.dtype
    chunk = SKETCHED_GRADIENTS.at_once(a.device.type, D_out * D_in)
    for start in range(0, a.shape[0], chunk):
        rows = slice(start, start + chunk)
        G = rotated_gradients(a[rows].to(wide), s[rows].to(wide), factors.Q_A, factors.Q_S, each_side=True)
        whitened = G.mul_(fold.whitening).reshape(-1, D_out * D_in)
        self_influence[rows] += torch.linalg.vector_norm(whitened, dim=1).double().square()
        kept = torch.gather(whitened, 1, fold.indices.expand(whitened.shape[0], -1)).mul_(fold.signs)
        values[rows, fold.start : fold.start + fold.width] += kept.view(len(kept), fold.rows, fold.width).sum(dim=1)
