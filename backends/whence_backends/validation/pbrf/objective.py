"""The objective of the proximal Bregman response function, its gradient, and products with its Gauss-Newton matrix.

Shapes: ``P`` free weights, ``R`` rows of a batch (tokens that count, or data), ``V`` outputs of a row, ``B`` sequences.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import final

import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from whence_backends.validation.pbrf.losses import OutputLoss
from whence_backends.validation.pbrf.weights import FreeWeights

# Returns the outputs [R, V] of the rows of a batch under parameters by name; other parameters are the model's own.
Network = Callable[[Mapping[str, Tensor], "Batch"], Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Sequences that pass the model together, as rows that count.

    ``inputs`` is what the network reads. ``rows`` are the places of its outputs that count, int64 [R] into the
    flattened outputs. ``targets`` int64 [R] or float [R, V], ``weights`` float [R], and ``owners`` int64 [R], the
    number of each row's sequence, below ``sequences``.
    """

    inputs: Tensor
    rows: Tensor
    targets: Tensor
    weights: Tensor
    owners: Tensor
    sequences: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Pull:
    """The pull towards one training sequence: ε times its -log p. ``epsilon`` may be negative: a push away."""

    point: Batch
    epsilon: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """The objective at some weights, less its value at the start, and its gradient [P]."""

    change: float
    gradient: Tensor


@final
class Objective:
    """1/n Σ_i D(h(θ, x_i), h(θˢ, x_i)) - ε log p(z; θ) + Σ_ℓ λ_ℓ/2 ‖θ_ℓ - θˢ_ℓ‖², of displacements θ - θˢ [P].

    ``batches`` are the n sequences x_i. ``damping`` has λ_ℓ of each layer; the attribute has λ of each weight [P]. The
    outputs at the start are kept: R·V numbers. The model's own parameters are never changed.
    """

    def __init__(
        self,
        network: Network,
        loss: OutputLoss,
        weights: FreeWeights,
        batches: Sequence[Batch],
        damping: Sequence[float],
    ) -> None:
        self.weights = weights
        self._network, self._loss, self._batches = network, loss, batches
        self._sequences = sum(batch.sequences for batch in batches)
        sizes = [spec.d_out * spec.d_in for spec in weights.specs]
        layers = zip(sizes, damping, strict=True)
        self.damping = torch.cat([weights.start.new_full((size,), value) for size, value in layers])
        with torch.no_grad():
            self._reference = [self._outputs(weights.start, batch) for batch in batches]

    def log_likelihoods(self, displacement: Tensor | None, batches: Sequence[Batch]) -> Tensor:
        """Return log p [Σ B] of the sequences of ``batches``, at the start where ``displacement`` is ``None``."""
        theta = self.weights.start if displacement is None else self.weights.start + displacement
        with torch.no_grad():
            return torch.cat([self._log_likelihood(theta, batch) for batch in batches])

    def log_likelihood_gradient(self, batch: Batch) -> Tensor:
        """Return the gradient [P] of Σ log p of the sequences of a batch, at the start."""
        theta = self.weights.start.clone().requires_grad_()
        with torch.enable_grad():
            return _gradient(self._log_likelihood(theta, batch).sum(), theta)

    def evaluate(self, displacement: Tensor, pull: Pull) -> Evaluation:
        """Return the objective at a displacement [P]."""
        theta = (self.weights.start + displacement).requires_grad_()
        gradient = self.damping * displacement
        change = float((gradient * displacement).sum()) / 2
        for batch, reference in zip(self._batches, self._reference, strict=True):
            with torch.enable_grad():
                value = self._divergence(theta, batch, reference)
            gradient = gradient + _gradient(value, theta)
            change += float(value.detach())
        with torch.enable_grad():
            value = self._pull(theta, pull)
        start = -pull.epsilon * float(self.log_likelihoods(None, [pull.point]).sum())
        return Evaluation(change=change + float(value.detach()) - start, gradient=gradient + _gradient(value, theta))

    def curvature(self, displacement: Tensor, vector: Tensor) -> Tensor:
        """Return (Ĝ + λ) times a vector [P], with Ĝ at a displacement [P]: at the start, the Hessian without a pull."""
        return self.gauss_newton(displacement, vector) + self.damping * vector

    def hessian(self, displacement: Tensor, vector: Tensor, pull: Pull) -> Tensor:
        """Return the Hessian of the whole objective at a displacement [P] times a vector [P]; it may be indefinite."""
        theta, product = self.weights.start + displacement, self.damping * vector
        for batch, reference in zip(self._batches, self._reference, strict=True):
            product += _second_derivative(partial(self._divergence, batch=batch, reference=reference), theta, vector)
        return product + _second_derivative(lambda at: self._pull(at, pull), theta, vector)

    def gauss_newton(self, displacement: Tensor, vector: Tensor) -> Tensor:
        """Return Ĝ = 1/n Σ Jᵀ H J, the Gauss-Newton matrix at a displacement [P], times a vector [P]."""
        product, theta = torch.zeros_like(vector), self.weights.start + displacement
        for batch in self._batches:
            product += self._gauss_newton(theta, vector, batch) / self._sequences
        return product

    def _gauss_newton(self, theta: Tensor, vector: Tensor, batch: Batch) -> Tensor:
        """Return Σ Jᵀ H J times a vector, over a batch.

        One forward pass with tangents, the loss's Hessian H in the outputs, one backward pass.
        """
        theta = theta.detach().requires_grad_()
        with torch.enable_grad(), forward_ad.dual_level():
            outputs, tangent = forward_ad.unpack_dual(self._outputs(_dual(theta, vector), batch))  # type: ignore[no-untyped-call]
            tangent = torch.zeros_like(outputs) if tangent is None else tangent.detach().clone()
        cotangent = self._loss.curvature(outputs.detach(), tangent) * batch.weights.unsqueeze(1)
        (product,) = torch.autograd.grad(outputs, theta, cotangent)
        return product

    def _divergence(self, theta: Tensor, batch: Batch, reference: Tensor) -> Tensor:
        divergence = self._loss.divergence(self._outputs(theta, batch), reference)
        return (batch.weights * divergence).sum() / self._sequences

    def _pull(self, theta: Tensor, pull: Pull) -> Tensor:
        return -pull.epsilon * self._log_likelihood(theta, pull.point).sum()

    def _log_likelihood(self, theta: Tensor, batch: Batch) -> Tensor:
        log_p = batch.weights * self._loss.log_likelihood(self._outputs(theta, batch), batch.targets)
        return log_p.new_zeros(batch.sequences).index_add(0, batch.owners, log_p)

    def _outputs(self, theta: Tensor, batch: Batch) -> Tensor:
        with sdpa_kernel(SDPBackend.MATH):  # the only one with forward-mode derivatives on every device
            return self._network(self.weights.named(theta), batch)


def _gradient(value: Tensor, theta: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(value, theta)
    return gradient


def _second_derivative(value: Callable[[Tensor], Tensor], theta: Tensor, vector: Tensor) -> Tensor:
    """Return the Hessian of a function at θ times a vector, by differentiating its gradient."""
    theta = theta.detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(value(theta), theta, create_graph=True)
        return _gradient(gradient @ vector, theta)


def _dual(theta: Tensor, tangent: Tensor) -> Tensor:
    with warnings.catch_warnings():  # torch's forward mode imports what torch itself calls deprecated
        warnings.simplefilter("ignore", DeprecationWarning)
        dual: Tensor = forward_ad.make_dual(theta, tangent)  # type: ignore[no-untyped-call]
    return dual
