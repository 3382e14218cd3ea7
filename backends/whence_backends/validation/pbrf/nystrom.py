"""A preconditioner for the damped Gauss-Newton matrix: its largest eigenvalues by a randomized Nyström approximation.

Frangella, Tropp and Udell 2023, "Randomized Nyström preconditioning" (arXiv 2110.02820), Algorithms 2.1 and 5.1, in
coordinates in which the damping is the identity. EK-FAC is no better preconditioner here, and it is what is tested.

Shapes: ``P`` free weights, ``K`` columns of the sketch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from whence_backends.validation.pbrf.conjugate_gradients import Linear


@final
class NystromInverse:
    """An approximation of (Ĝ + λ)⁻¹: exact on the eigenvectors that were found, λ-like on what is orthogonal to them.

    ``basis`` [P, K] has orthonormal columns in the coordinates √λ θ, ``eigenvalues`` [K], falling, are those of
    λ^-½ Ĝ λ^-½ there.
    """

    def __init__(self, basis: Tensor, eigenvalues: Tensor, damping: Tensor) -> None:
        self.eigenvalues = eigenvalues
        self._basis, self._root = basis, damping.sqrt()
        self._factors = (eigenvalues[-1] + 1) / (eigenvalues + 1) - 1 if len(eigenvalues) else eigenvalues

    def __call__(self, vector: Tensor) -> Tensor:
        """Return the product with a vector [P]."""
        scaled = vector / self._root
        return (scaled + self._basis @ (self._factors * (self._basis.T @ scaled))) / self._root


def nystrom_inverse(
    gauss_newton: Linear,
    damping: Tensor,
    columns: int,
    *,
    seed: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> NystromInverse:
    """Return the preconditioner from ``columns`` products with Ĝ; ``damping`` is λ of each weight [P].

    ``progress`` hears how many products are done.
    """
    root, columns = damping.sqrt(), min(columns, len(damping))
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(len(damping), columns, generator=generator, dtype=torch.float64)
    test = torch.linalg.qr(drawn)[0].to(damping)  # [P, K]
    sketch = torch.empty_like(test)
    for column in range(columns):
        sketch[:, column] = gauss_newton(test[:, column] / root) / root
        progress(column + 1)
    basis, eigenvalues = _decomposed(test, sketch)
    return NystromInverse(basis, eigenvalues, damping)


def _decomposed(test: Tensor, sketch: Tensor) -> tuple[Tensor, Tensor]:
    """Return the eigenvectors [P, K] and eigenvalues [K] of the Nyström approximation, shifted while it is computed."""
    if not test.shape[1]:
        return test, test.new_zeros(0)
    shift = 10 * torch.finfo(test.dtype).eps * sketch.norm()
    shifted = sketch + shift * test
    gram = test.T @ shifted
    values, vectors = torch.linalg.eigh((gram + gram.T) / 2)
    half = shifted @ (vectors / values.clamp_min(shift).sqrt())
    basis, roots, _ = torch.linalg.svd(half, full_matrices=False)
    return basis, (roots.square() - shift).clamp_min(0)
