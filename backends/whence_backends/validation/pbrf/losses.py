"""Losses of a model's outputs, with their Bregman divergence and their Hessian in the outputs.

Shapes: ``R`` rows (tokens, or data), ``V`` outputs of a row.
"""

from __future__ import annotations

from typing import Protocol, final

import torch
from torch import Tensor


class OutputLoss(Protocol):
    """A loss -log p(target | outputs) that is convex in the outputs [R, V]."""

    def log_likelihood(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return log p [R] of the targets, but for a constant."""
        ...

    def divergence(self, outputs: Tensor, reference: Tensor) -> Tensor:
        """Return the Bregman divergence [R] of ``outputs`` from ``reference``: no target enters it."""
        ...

    def curvature(self, outputs: Tensor, tangent: Tensor) -> Tensor:
        """Return the Hessian of the loss in the outputs times ``tangent``, [R, V]."""
        ...


@final
class CrossEntropy:
    """The softmax cross-entropy. Its divergence is KL(reference ‖ outputs) of the distributions."""

    def log_likelihood(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return log p [R] of target tokens int64 [R]."""
        return torch.log_softmax(outputs, dim=-1).gather(1, targets.unsqueeze(1)).squeeze(1)

    def divergence(self, outputs: Tensor, reference: Tensor) -> Tensor:
        """Return KL [R], in nats."""
        log_p, log_q = torch.log_softmax(reference, dim=-1), torch.log_softmax(outputs, dim=-1)
        return (log_p.exp() * (log_p - log_q)).sum(dim=-1)

    def curvature(self, outputs: Tensor, tangent: Tensor) -> Tensor:
        """Return (diag p - p pᵀ) tangent."""
        p = torch.softmax(outputs, dim=-1)
        weighted = p * tangent
        return weighted - p * weighted.sum(dim=-1, keepdim=True)


@final
class SquaredError:
    """Half the squared distance: -log p of a Gaussian of unit variance, but for its constant."""

    def log_likelihood(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return -‖targets - outputs‖²/2 [R], of targets [R, V]."""
        return -(targets - outputs).square().sum(dim=-1) / 2

    def divergence(self, outputs: Tensor, reference: Tensor) -> Tensor:
        """Return ‖outputs - reference‖²/2 [R]."""
        return (outputs - reference).square().sum(dim=-1) / 2

    def curvature(self, outputs: Tensor, tangent: Tensor) -> Tensor:
        """Return the tangent: the Hessian is the identity."""
        return tangent
