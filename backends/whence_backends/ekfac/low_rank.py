"""Preconditioned queries in a bounded rank, after Grosse et al. 2023 (arXiv 2308.03296, §3.2.2). No torch.

An influence is ⟨V, G⟩, and of the gradients G of training sequences the factors know the expected squares Λ, in the
eigenbasis. So V is truncated where that costs influences least: by a singular value decomposition of V with its rows
and columns scaled by the root of Λ's own means over columns and rows.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from whence.errors import InternalError
from whence.reasons import Reason

# A randomized range finder (Halko et al. 2011) has so many columns more than the rank, and so many power iterations.
_OVERSAMPLING: Final = 8
_POWER_ITERATIONS: Final = 3
# The least of Λ's means that a row or column is scaled by, relative to the mean of all.
_FLOOR: Final = 1e-6


class LowRank(NamedTuple):
    """leftᵀ right ≈ V in the eigenbasis, left [r, D_out] and right [r, D_in]; and Σ Λ ⊙ (V - leftᵀ right)²."""

    left: Any
    right: Any
    squared_error: float


def worthwhile(rank: int, D_out: int, D_in: int) -> bool:
    """Whether two factors of that rank take less memory than the matrix."""
    return rank * (D_out + D_in) < D_out * D_in


def truncate_weighted(V: Any, Lambda: Any, rank: int, linalg: Any, noise: Any) -> LowRank:  # noqa: ANN401
    """Return ``V`` [D_out, D_in], in the eigenbasis, in a rank of at most ``rank``.

    ``V`` and ``Lambda`` are arrays of numpy or torch, and ``linalg`` that library's; ``noise`` [D_in, n] is
    :func:`range_noise` on the same device. The same arguments give the same result.
    """
    if not math.isfinite(float(abs(V).max())):
        raise InternalError(
            "a preconditioned query is not finite: the gradient overflows in this precision, or a layer's eigenvalues "
            "are all 0; try precision=float32, or factors fitted on more sequences",
            reason=Reason.NON_FINITE_INFLUENCE,
        )
    total = Lambda.mean() + 1e-30
    rows = (Lambda.mean(1) / total).clip(_FLOOR) ** 0.5
    columns = (Lambda.mean(0) / total).clip(_FLOOR) ** 0.5
    scaled = V * rows[:, None] * columns
    if min(scaled.shape) > 2 * noise.shape[1]:
        basis, _ = linalg.qr(scaled @ noise)
        for _ in range(_POWER_ITERATIONS):
            other, _ = linalg.qr(scaled.T @ basis)
            basis, _ = linalg.qr(scaled @ other)
        U, sigma, Vh = linalg.svd(basis.T @ scaled, full_matrices=False)
        U = basis @ U
    else:
        U, sigma, Vh = linalg.svd(scaled, full_matrices=False)
    kept = min(rank, len(sigma))
    root = sigma[:kept] ** 0.5
    left = ((U[:, :kept] * root) / rows[:, None]).T
    right = (Vh[:kept] * root[:, None]) / columns
    lost = V - left.T @ right
    return LowRank(left, right, weighted_square(lost, Lambda))


def weighted_square(V: Any, Lambda: Any) -> float:  # noqa: ANN401
    """Return Σ Λ ⊙ V², the mean square of ⟨V, G⟩ over the distribution that Λ was fitted on."""
    return float((V * V * Lambda).sum())


def expected_error(errors: NDArray[np.float64], norms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each query's relative error [Q], from the squared errors and norms of its layers, [L, Q]."""
    relative: NDArray[np.float64] = np.sqrt(errors.sum(axis=0) / np.maximum(norms.sum(axis=0), 1e-300))
    return relative


def range_noise(D_in: int, rank: int) -> NDArray[np.float64]:
    """Return what the range finder starts from, [D_in, rank and a few more]: the same each time."""
    return np.random.Generator(np.random.Philox(key=[rank, D_in])).standard_normal((D_in, rank + _OVERSAMPLING))
