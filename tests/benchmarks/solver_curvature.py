"""Curvatures, as products with rows of vectors, and the conjugate gradients that solve with them.

Shapes: ``Q`` vectors that are solved for together, ``P`` weights, ``m`` pseudo-gradients, ``R`` tokens that count in a
batch, ``D`` the width of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor
from torch.func import functional_call, jvp, vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from whence_backends.ekfac.head import Head
from whence_backends.ekfac.split import split
from whence_backends.validation.pbrf.objective import Batch
from whence_backends.validation.pbrf.weights import FreeWeights

# Rows of a kernel that are computed at a time.
_BLOCK: Final = 500
# A curvature's product with each row of [Q, P].
Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Iterate:
    """Where conjugate gradients are after so many iterations: solutions [Q, P], and the norm of what is left of each.

    ``residual`` [Q] is ‖(Ĝ + λ) x − b‖ / ‖b‖.
    """

    iterations: int
    solutions: Tensor
    residual: Tensor


def conjugate_gradients(
    product: Product, right: Tensor, precondition: Product, keep: Collection[int]
) -> Iterator[Iterate]:
    """Solve product(x) = right for each row [Q, P] from zero, and yield the iterates whose numbers are in ``keep``.

    The rows are solved each by itself (Nocedal and Wright, Algorithm 5.3); they only share the products.
    """
    x, r = torch.zeros_like(right), right.clone()
    z = precondition(r)
    d, rz = z, (r * z).sum(dim=1, keepdim=True)
    for number in range(1, max(keep) + 1):
        Hd = product(d)
        step = _quotient(rz, (d * Hd).sum(dim=1, keepdim=True))
        x, r = x + step * d, r - step * Hd
        if number in keep:
            yield Iterate(iterations=number, solutions=x, residual=r.norm(dim=1) / right.norm(dim=1))
        z = precondition(r)
        new = (r * z).sum(dim=1, keepdim=True)
        d, rz = z + _quotient(new, rz) * d, new


def _quotient(left: Tensor, right: Tensor) -> Tensor:
    """Return left / right, and 0 where ``right`` is 0: a row that is solved stays as it is."""
    return torch.where(right == 0, 0, left / right)


def residual(product: Product, solutions: Tensor, right: Tensor) -> Tensor:
    """Return ‖product(x) − b‖ / ‖b‖ [Q], computed anew."""
    return (product(solutions) - right).norm(dim=1) / right.norm(dim=1)


class SampledFisher:
    """F = 1/m Σ g gᵀ of pseudo-gradients [m, P], which are overwritten.

    Its mean over labels that the model draws is the Gauss-Newton matrix; with the data's labels it is the empirical
    Fisher matrix.
    """

    def __init__(self, pseudo_gradients: Tensor) -> None:
        self.rows = pseudo_gradients.div_(len(pseudo_gradients) ** 0.5)

    def __call__(self, vectors: Tensor) -> Tensor:
        """Return the product with each row [Q, P]."""
        return (vectors @ self.rows.T) @ self.rows

    def kernel(self, damping: Tensor) -> Tensor:
        """Return R λ⁻¹ Rᵀ [m, m], float64, of the scaled pseudo-gradients R."""
        kernel, blocks = self.rows.new_zeros(len(self.rows), len(self.rows)), range(0, len(self.rows), _BLOCK)
        for start in blocks:  # the lower half: the rest is the same
            block = self.rows[start : start + _BLOCK] / damping
            kernel[start : start + _BLOCK, : start + _BLOCK] = block @ self.rows[: start + _BLOCK].T
        return torch.tril(kernel.double()) + torch.tril(kernel.double(), -1).T

    def solve(self, right: Tensor, damping: Tensor, kernel: Tensor, factor: float) -> Tensor:
        """Return (F + factor · λ)⁻¹ of each row [Q, P] by Woodbury's identity; ``kernel`` is that of λ."""
        whole = kernel / factor
        whole.diagonal().add_(1.0)
        scaled = right / (factor * damping)
        dual = torch.cholesky_solve((scaled @ self.rows.T).double().T, torch.linalg.cholesky(whole))
        return scaled - (dual.T.to(right) @ self.rows) / (factor * damping)


class GaussNewton:
    """Ĝ = 1/n Σ Jᵀ H J over sequences, exactly, by forward and backward passes that several vectors share.

    H, the softmax's Hessian at a token, enters by Eᵀ (diag p − p pᵀ) E [D, D] of the output weights E, made once: no
    product touches the vocabulary.
    """

    def __init__(self, model: Any, weights: FreeWeights, batches: Sequence[Batch], *, at_once: int = 40) -> None:
        self._body, self._prefix, head = model.base_model, f"{model.base_model_prefix}.", split(model)[1]
        self._weights, self._batches, self._at_once = weights, batches, at_once
        self._sequences = sum(batch.sequences for batch in batches)
        with torch.no_grad():
            self._hessians = [_hessians(self._hidden(batch, weights.start), head, batch.weights) for batch in batches]

    def __call__(self, vectors: Tensor) -> Tensor:
        """Return the product with each row [Q, P]."""
        with torch.no_grad():
            return torch.cat([self._product(part) for part in vectors.split(self._at_once)])

    def _product(self, vectors: Tensor) -> Tensor:
        total = torch.zeros_like(vectors)
        for batch, hessians in zip(self._batches, self._hessians, strict=True):
            hidden = partial(self._hidden, batch)
            _, pull = vjp(hidden, self._weights.start)
            tangents = vmap(lambda vector: jvp(hidden, (self._weights.start,), (vector,))[1])(vectors)  # noqa: B023
            pushed = torch.einsum("qrd,rde->qre", tangents, hessians)
            total += vmap(lambda cotangent: pull(cotangent)[0])(pushed)  # noqa: B023
        return total / self._sequences

    def _hidden(self, batch: Batch, theta: Tensor) -> Tensor:
        """Return the inputs of the head at the rows that count, [R, D]."""
        named = {name.removeprefix(self._prefix): value for name, value in self._weights.named(theta).items()}
        with sdpa_kernel(SDPBackend.MATH):  # the only one with forward-mode derivatives
            output = functional_call(self._body, named, (), {"input_ids": batch.inputs, "use_cache": False})
        hidden: Tensor = output.last_hidden_state
        return hidden.reshape(-1, hidden.shape[-1])[batch.rows]


def _hessians(hidden: Tensor, head: Head, weights: Tensor) -> Tensor:
    """Return the Hessian of -log p in the inputs of a linear head, [R, D, D]."""
    E = head.weight
    assert E is not None
    p = torch.softmax(head.logits(hidden), dim=1)
    mean = p @ E
    squares = torch.stack([(p * E[:, column]) @ E for column in range(E.shape[1])], dim=1)
    return (squares - mean.unsqueeze(2) * mean.unsqueeze(1)) * weights[:, None, None]
