"""The sums that EK-FAC factors are made of: token covariances A and S, and corrected eigenvalues Λ."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from whence_backends.contract import LayerSpec
from whence_backends.ekfac.budgets import GRADIENTS
from whence_backends.ekfac.rotation import rotated_gradients

# Splitting a Gram matrix in two computes 3/4 of it; below this width the smaller products cost more than that saves.
_SPLIT_WIDTH: Final = 1024


def gram(x: Tensor) -> Tensor:
    """Return xᵀx [D, D] of x [N, D], in float32 at least. Takes N·D²·3/4 multiplications if D is large."""
    wide = x.dtype if x.dtype == torch.float64 else torch.float32
    width = x.shape[1]
    if width < _SPLIT_WIDTH:
        return _product(x, x, wide)
    half = width // 2
    left, right = x[:, :half], x[:, half:]
    out = x.new_empty(width, width, dtype=wide)
    out[:half, :half] = gram(left)
    out[half:, half:] = gram(right)
    corner = _product(left, right, wide)
    out[:half, half:] = corner
    out[half:, :half] = corner.T
    return out


def _product(left: Tensor, right: Tensor, wide: torch.dtype) -> Tensor:
    if left.is_cuda and left.dtype in (torch.bfloat16, torch.float16):
        return torch.mm(left.T, right, out_dtype=wide)
    return (left.T @ right).to(wide)


def valid_rows(x: Tensor, valid: Tensor) -> Tensor:
    """Return the rows of x [B, T·uses, D] at valid [B, T] positions, as [N, D].

    The uses of a module that is used several times are concatenated along T: the mask repeats.
    """
    uses = x.shape[1] // valid.shape[1]
    mask = valid.repeat(1, uses) if uses > 1 else valid
    flat = x.reshape(-1, x.shape[-1])
    return flat if bool(mask.all()) else flat[mask.reshape(-1)]


class Covariances:
    """Running sums Σ a aᵀ and Σ s sᵀ over valid tokens, for every layer.

    They are not divided by the number of tokens: only their eigenvectors are used, which do not depend on it.
    """

    def __init__(self, layers: tuple[LayerSpec, ...], device: torch.device, dtype: torch.dtype) -> None:
        self.A = [torch.zeros(layer.d_in, layer.d_in, device=device, dtype=dtype) for layer in layers]
        self.S = [torch.zeros(layer.d_out, layer.d_out, device=device, dtype=dtype) for layer in layers]

    def add(self, index: int, a: Tensor, s: Tensor, valid: Tensor) -> None:
        """Add one layer's trace: a [B, T, D_in], s [B, T, D_out], valid bool [B, T]."""
        self.A[index] += gram(valid_rows(a, valid))
        self.S[index] += gram(valid_rows(s, valid))


def eigenbasis(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Return (eigenvalues [D], eigenvectors [D, D] as columns) of a symmetric matrix, computed in float64.

    Eigenvalues ascend; both come back as float64.
    """
    matrix = covariance.double()
    matrix = (matrix + matrix.T) / 2
    eigenvalues, eigenvectors = torch.linalg.eigh(matrix)
    return eigenvalues, eigenvectors


class CorrectedEigenvalues:
    """Running sums Σ_sequences (Q_Sᵀ G Q_A)², for every layer; Λ is their mean over sequences (paper, Eq. 20)."""

    def __init__(self, layers: tuple[LayerSpec, ...], Q_A: list[Tensor], Q_S: list[Tensor], dtype: torch.dtype) -> None:
        self.Q_A = Q_A
        self.Q_S = Q_S
        self.sums = [
            torch.zeros(layer.d_out, layer.d_in, device=basis.device, dtype=dtype)
            for layer, basis in zip(layers, Q_A, strict=True)
        ]

    def add(self, index: int, a: Tensor, s: Tensor) -> None:
        """Add one layer's trace: a [B, T, D_in], s [B, T, D_out] with s = 0 at padding."""
        Q_A, Q_S, total = self.Q_A[index], self.Q_S[index], self.sums[index]
        chunk = GRADIENTS.at_once(a.device.type, total.numel())
        for start in range(0, a.shape[0], chunk):
            G = rotated_gradients(a[start : start + chunk], s[start : start + chunk], Q_A, Q_S, each_side=False)
            total += G.to(total.dtype).square_().sum(dim=0)
