"""The operations of :class:`~whence_backends.ekfac.storage.ArrayLibrary` on torch's tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class TorchArrays:
    """Tensors of one type on one device."""

    dtype: torch.dtype
    device: torch.device

    @property
    def linalg(self) -> Any:  # noqa: ANN401 - a module
        """The decompositions of torch."""
        return torch.linalg

    def product(self, left: Tensor, right: Tensor) -> Tensor:
        """Return leftᵀ right."""
        return left.T @ right

    def identity(self, width: int) -> Tensor:
        """Return the identity [width, width]."""
        return torch.eye(width, dtype=self.dtype, device=self.device)

    def widened(self, matrix: Tensor) -> Tensor:
        """Return a matrix in float64."""
        return matrix.double()

    def narrowed(self, matrix: Tensor) -> Tensor:
        """Return a matrix in ``dtype``."""
        return matrix.to(self.dtype)
