"""Truncation to a bounded rank: of gradients for the cache, and of preconditioned queries for a pass. No torch.

A gradient is truncated by its singular values. A preconditioned query V is truncated in the metric of influences
(Grosse et al. 2023, arXiv 2308.03296, §3.2.2). An influence is ⟨V, G⟩, and Λ holds the mean squares of the coordinates
of G in the eigenbasis. So V's rows and columns are scaled by the roots of the means of Λ over columns and rows, and the
scaled matrix is truncated by its singular values.

The functions take arrays of numpy or of torch, and ``linalg``, that library's decompositions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from whence.errors import InternalError
from whence.reasons import Reason

# The randomized range finder (Halko et al. 2011): its columns beyond the rank, and its power iterations.
_OVERSAMPLING: Final = 8
_POWER_ITERATIONS: Final = 3
# The least mean of Λ over a row or column that it is scaled by, relative to the mean of all of Λ.
_FLOOR: Final = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class LowRank:
    """leftᵀ right ≈ a matrix [D_out, D_in], with left [r, D_out] and right [r, D_in].

    ``squared_error`` and ``squared_norm`` are those of the difference and of the matrix, in the metric of the
    truncation.
    """

    left: Any
    right: Any
    squared_error: float
    squared_norm: float


def worthwhile(rank: int, D_out: int, D_in: int) -> bool:
    """Return true if two factors of that rank take less memory than the matrix."""
    return rank * (D_out + D_in) < D_out * D_in


def truncate_product(left: Any, right: Any, rank: int, linalg: Any) -> LowRank:  # noqa: ANN401
    """Return leftᵀ right, left [T, D_out] and right [T, D_in], truncated to ``rank``, nearest in Frobenius norm.

    Computed from QR factors, so that no [D_out, D_in] matrix is formed.
    """
    U_left, core_left = linalg.qr(left.T)
    U_right, core_right = linalg.qr(right.T)
    U, sigma, Vh = linalg.svd(core_left @ core_right.T)
    root = sigma[:rank] ** 0.5
    return LowRank(
        left=((U_left @ U[:, :rank]) * root).T,
        right=((U_right @ Vh[:rank].T) * root).T,
        squared_error=float((sigma[rank:] ** 2).sum()),
        squared_norm=float((sigma**2).sum()),
    )


def truncate_weighted(V: Any, Lambda: Any, rank: int, linalg: Any, noise: Any) -> LowRank:  # noqa: ANN401
    """Return ``V`` [D_out, D_in], in the eigenbasis, in a rank of at most ``rank``; errors are Σ Λ ⊙ (...)².

    ``noise`` [D_in, n] is :func:`range_noise` on the device of ``V`` and ``Lambda`` [D_out, D_in]. The same arguments
    give the same result.

    Raises :class:`~whence.errors.InternalError` (``NON_FINITE_INFLUENCE``) if ``V`` has NaN or infinities.
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
    return LowRank(
        left=left,
        right=right,
        squared_error=weighted_square(V - left.T @ right, Lambda),
        squared_norm=weighted_square(V, Lambda),
    )


def weighted_square(V: Any, Lambda: Any) -> float:  # noqa: ANN401
    """Return Σ Λ ⊙ V², the mean square of ⟨V, G⟩ over the distribution that Λ was fitted on."""
    return float((V * V * Lambda).sum())


def expected_error(errors: NDArray[np.float64], norms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each query's relative error [Q], from the squared errors [L, Q] and norms [L, Q] of its layers."""
    relative: NDArray[np.float64] = np.sqrt(errors.sum(axis=0) / np.maximum(norms.sum(axis=0), 1e-300))
    return relative


def range_noise(D_in: int, rank: int) -> NDArray[np.float64]:
    """Return the range finder's random start [D_in, rank + 8], the same for the same arguments."""
    return np.random.Generator(np.random.Philox(key=[rank, D_in])).standard_normal((D_in, rank + _OVERSAMPLING))
