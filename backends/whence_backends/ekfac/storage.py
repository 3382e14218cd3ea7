"""The form in which a query's gradient is stored: the smallest lossless one, or the best of a given rank. No torch.

One implementation serves every engine: an engine gives the few operations of :class:`ArrayLibrary` on its own arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

from whence_backends.ekfac.low_rank import truncate_product

Array = TypeVar("Array")


class StoredForm(Enum):
    """The content of ``left`` and ``right`` of a :class:`~whence_backends.contract.LayerGradient`."""

    TOKENS = "the rotated tokens, [T, D_out] and [T, D_in]"
    LEFT_PRODUCT = "the gradient, transposed, beside an identity: [D_in, D_out] and [D_in, D_in]"
    RIGHT_PRODUCT = "the gradient beside an identity: [D_out, D_out] and [D_out, D_in]"
    TRUNCATED = "the leading singular vectors, [rank, D_out] and [rank, D_in]"


class ArrayLibrary(Protocol[Array]):
    """The operations on an engine's arrays that :func:`compress` is made of."""

    @property
    def linalg(self) -> Any:  # noqa: ANN401 - numpy.linalg or torch.linalg
        """The decompositions ``qr`` and ``svd`` of the matrices that :meth:`widened` returns."""
        ...

    def product(self, left: Array, right: Array) -> Array:
        """Return leftᵀ right."""
        ...

    def identity(self, width: int) -> Array:
        """Return the identity [width, width]."""
        ...

    def widened(self, matrix: Array) -> Any:  # noqa: ANN401 - a matrix that linalg takes
        """Return a matrix in float64, as ``linalg`` takes it."""
        ...

    def narrowed(self, matrix: Any) -> Array:  # noqa: ANN401
        """Return a matrix of ``linalg`` as an array of the engine, in its own precision."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Compressed(Generic[Array]):
    """left [R, D_out] and right [R, D_in] of a gradient as it is stored, with the squared error of leftᵀ right.

    ``squared_norm`` is that of the whole gradient, against which the errors of all layers are set; it is 1 if
    no rank was given and nothing can be lost.
    """

    left: Array
    right: Array
    squared_error: float
    squared_norm: float


def stored_form(T: int, D_out: int, D_in: int, rank: int | None) -> StoredForm:
    """Return the form for a gradient of T rows; ``rank`` ``None`` or no smaller than its rank loses nothing."""
    smallest = min(T, D_out, D_in)
    if rank is not None and rank < smallest:
        return StoredForm.TRUNCATED
    if smallest == T:
        return StoredForm.TOKENS
    return StoredForm.LEFT_PRODUCT if D_in <= D_out else StoredForm.RIGHT_PRODUCT


def compress(left: Any, right: Any, rank: int | None, library: ArrayLibrary[Array]) -> Compressed[Array]:  # noqa: ANN401
    """Return the gradient leftᵀ right in its stored form, from the rotated tokens [T, D_out] and [T, D_in].

    ``rank`` ``None`` stores it without loss, in the smaller of its two forms: the tokens as they are, or, where T
    exceeds a width, the product beside an identity. Otherwise it is the best approximation of that rank.
    """
    (T, D_out), D_in = left.shape, right.shape[1]
    form = stored_form(T, D_out, D_in, rank)
    if rank is not None and form is StoredForm.TRUNCATED:
        kept = truncate_product(library.widened(left), library.widened(right), rank, library.linalg)
        return Compressed(
            left=library.narrowed(kept.left),
            right=library.narrowed(kept.right),
            squared_error=kept.squared_error,
            squared_norm=kept.squared_norm,
        )
    if form is StoredForm.LEFT_PRODUCT:
        left, right = library.product(right, left), library.identity(D_in)
    elif form is StoredForm.RIGHT_PRODUCT:
        left, right = library.identity(D_out), library.product(left, right)
    norm = 1.0 if rank is None else squared_norm(library.widened(left), library.widened(right))
    return Compressed(left=left, right=right, squared_error=0.0, squared_norm=norm)


def squared_norm(left: Any, right: Any) -> float:  # noqa: ANN401 - float64 arrays of numpy or torch
    """Return the squared Frobenius norm of leftᵀ right, left [R, D_out] and right [R, D_in], without forming it."""
    return float(((left @ left.T) * (right @ right.T)).sum())


def relative_error(compressed: Sequence[Compressed[Any]]) -> float:
    """Return the relative Frobenius error of a gradient, over all its layers; 0 without layers."""
    error = sum(layer.squared_error for layer in compressed)
    norm = sum(layer.squared_norm for layer in compressed)
    return float((error / max(norm, 1e-300)) ** 0.5)
