"""In which form a query's gradient is stored: the smallest that loses nothing, or the best of a rank. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import numpy as np

from whence_backends.contract import FloatArray


class StoredForm(Enum):
    """What ``left`` and ``right`` of a :class:`~whence_backends.contract.LayerGradient` hold."""

    TOKENS = "the rotated tokens, [T, D_out] and [T, D_in]"
    LEFT_PRODUCT = "the gradient, transposed, beside an identity: [D_in, D_out] and [D_in, D_in]"
    RIGHT_PRODUCT = "the gradient beside an identity: [D_out, D_out] and [D_out, D_in]"
    TRUNCATED = "the leading singular vectors, [rank, D_out] and [rank, D_in]"


def stored_form(T: int, D_out: int, D_in: int, rank: int | None) -> StoredForm:
    """Return the form for a gradient of T rows; ``rank`` ``None`` or no smaller than its rank loses nothing."""
    smallest = min(T, D_out, D_in)
    if rank is not None and rank < smallest:
        return StoredForm.TRUNCATED
    if smallest == T:
        return StoredForm.TOKENS
    return StoredForm.LEFT_PRODUCT if D_in <= D_out else StoredForm.RIGHT_PRODUCT


def truncate(left: FloatArray, right: FloatArray, rank: int) -> tuple[FloatArray, FloatArray, float, float]:
    """Return (left' [rank, D_out], right' [rank, D_in], squared error, squared norm), the best of that rank.

    left [T, D_out], right [T, D_in]. Computed in float64 from QR factors, so that no [D_out, D_in] matrix is formed.
    """
    U_left, core_left = np.linalg.qr(left.T.astype(np.float64))
    U_right, core_right = np.linalg.qr(right.T.astype(np.float64))
    U, sigma, Vh = np.linalg.svd(core_left @ core_right.T)
    root = np.sqrt(sigma[:rank])
    kept_left = np.ascontiguousarray(((U_left @ U[:, :rank]) * root).T, dtype=left.dtype)
    kept_right = np.ascontiguousarray(((U_right @ Vh[:rank].T) * root).T, dtype=right.dtype)
    return kept_left, kept_right, float((sigma[rank:] ** 2).sum()), float((sigma**2).sum())


def squared_norm(left: FloatArray, right: FloatArray) -> float:
    """Return the squared Frobenius norm of leftᵀ right, left [R, D_out] and right [R, D_in], without forming it."""
    grams = [matrix.astype(np.float64) @ matrix.T.astype(np.float64) for matrix in (left, right)]
    return float((grams[0] * grams[1]).sum())


def relative_error(errors: Sequence[float], norms: Sequence[float]) -> float:
    """Return the relative Frobenius error over all layers, from each one's squared error and squared norm."""
    return float((sum(errors) / max(sum(norms), 1e-300)) ** 0.5)
