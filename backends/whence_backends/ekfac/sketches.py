"""From traces to sketches: gradients are rotated, half-whitened and folded on the device, one layer at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from whence_backends.contract import LayerFold
from whence_backends.ekfac.influence import LayerFactors

# How many elements of rotated gradients are formed at a time: on a CPU what its caches hold.
_GRADIENT_ELEMENTS: Final = {"cpu": 1 << 20, "cuda": 1 << 27}


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
    def of(cls, fold: LayerFold, factors: LayerFactors, damping_factor: float) -> PreparedFold:
        """Place a fold beside the factors of its layer."""
        whitening = factors.damped(damping_factor).rsqrt()
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
    values: Tensor, self_influence: Tensor, a: Tensor, s: Tensor, factors: LayerFactors, fold: PreparedFold
) -> None:
    """Add one layer's part to ``values`` [B, width] and ``self_influence`` float64 [B].

    a [B, T, D_in], s [B, T, D_out].
    """
    D_out, D_in = factors.Lambda.shape
    chunk = max(1, _GRADIENT_ELEMENTS[a.device.type] // (D_out * D_in))
    for start in range(0, a.shape[0], chunk):
        rows = slice(start, start + chunk)
        whitened = _rotated(a[rows], s[rows], factors).mul_(fold.whitening).reshape(-1, D_out * D_in)
        self_influence[rows] += torch.linalg.vector_norm(whitened, dim=1).double().square()
        kept = torch.gather(whitened, 1, fold.indices.expand(whitened.shape[0], -1)).mul_(fold.signs)
        values[rows, fold.start : fold.start + fold.width] += kept.view(len(kept), fold.rows, fold.width).sum(dim=1)


def _rotated(a: Tensor, s: Tensor, factors: LayerFactors) -> Tensor:
    """Return Q_Sᵀ G Q_A [B, D_out, D_in] of each sequence.

    Each side is rotated where that is cheaper: the tokens, at B·T·D² multiplications, or the gradient, at B·D_other·D².
    """
    (D_out, D_in), T = factors.Lambda.shape, a.shape[1]
    wide = factors.Lambda.dtype
    a, s = a.to(wide), s.to(wide)
    left, right = (s @ factors.Q_S if D_in >= T else s), (a @ factors.Q_A if D_out >= T else a)
    G = left.transpose(1, 2) @ right
    if D_out < T:
        G = G @ factors.Q_A
    return factors.Q_S.T @ G if D_in < T else G
