"""The codes of an index: one, eight or sixteen bits per value, and a scale for each segment of a row.

An estimate of an influence is Σ_segments scale · ⟨query, code⟩. With one bit the code is the value's sign and the scale
‖x‖²/‖x‖₁, which makes the estimate unbiased for a randomly rotated x (Gao and Long 2024, RaBitQ, arXiv 2405.12497, §3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from whence.errors import InternalError, InvalidRequestError
from whence.reasons import Reason
from whence_backends.index.plan import Segment

BITS: Final = (1, 8, 16)
CODE_TYPES: Final[Mapping[int, np.dtype[Any]]] = {1: np.dtype(np.uint8), 8: np.dtype(np.int8), 16: np.dtype(np.float16)}


class Encoded(NamedTuple):
    """Rows in their stored form: ``codes`` [B, code_columns] and ``scales`` float32 [B, segments]."""

    codes: NDArray[Any]
    scales: NDArray[np.float32]


def require_bits(bits: int) -> None:
    """Raise :class:`~whence.errors.InvalidRequestError` for an unsupported number of bits."""
    if bits not in BITS:
        raise InvalidRequestError(f"{bits} bits a value; expected 1, 8 or 16", reason=Reason.INVALID_BITS, field="bits")


def code_columns(width: int, bits: int) -> int:
    """Return the number of elements of :data:`CODE_TYPES` in a row of ``width`` values: eight signs make one byte."""
    return width // 8 if bits == 1 else width


def encode(values: NDArray[np.floating[Any]], segments: Sequence[Segment], bits: int) -> Encoded:
    """Encode sketches [B, width]. The first value of a row is the lowest bit of its first byte.

    Raises :class:`~whence.errors.InternalError` for values that are not finite.
    """
    if not np.isfinite(values).all():
        raise InternalError(
            "the sketch of a training sequence has values that are not finite; the model overflows in this precision: "
            "try float32 or bfloat16",
            reason=Reason.NON_FINITE_SKETCH,
        )
    scales = np.stack([_scale(values[:, s.start : s.stop], bits) for s in segments], axis=1)
    if bits == 1:
        return Encoded(np.packbits(values >= 0, axis=1, bitorder="little"), scales)
    spread = np.concatenate([np.repeat(scales[:, i : i + 1], s.width, axis=1) for i, s in enumerate(segments)], axis=1)
    relative = np.divide(values, spread, out=np.zeros_like(values), where=spread > 0)
    return Encoded((relative if bits == 16 else np.round(relative)).astype(CODE_TYPES[bits]), scales)


def decode(codes: NDArray[Any], scales: NDArray[np.float32], segments: Sequence[Segment]) -> NDArray[np.float32]:
    """Return the values [B, width] that codes represent."""
    if codes.dtype == np.uint8:
        values = np.unpackbits(codes, axis=1, bitorder="little").astype(np.float32) * 2 - 1
    else:
        values = codes.astype(np.float32)
    for number, segment in enumerate(segments):
        values[:, segment.start : segment.stop] *= scales[:, number : number + 1]
    return values


def row_bytes(code: NDArray[Any], scales: NDArray[np.float32]) -> bytes:
    """Return one row as bytes: its code, then its scales."""
    return code.tobytes() + scales.tobytes()


def rows_of_bytes(rows: Sequence[bytes], segments: Sequence[Segment], bits: int) -> Encoded:
    """Return the rows encoded by :func:`row_bytes`, for an index of these segments.

    Raises :class:`~whence.errors.InvalidRequestError` (``INVALID_INDEX_ROWS``) for rows of another length, and for rows
    with scales or values that are not finite.
    """
    kind, columns = CODE_TYPES[bits], code_columns(segments[-1].stop, bits)
    size = columns * kind.itemsize
    expected = size + 4 * len(segments)
    joined = np.frombuffer(b"".join(row for row in rows if len(row) == expected), np.uint8).reshape(-1, expected)
    codes, scales = joined[:, :size].copy().view(kind), joined[:, size:].copy().view(np.float32)
    if len(joined) != len(rows) or not (np.isfinite(codes).all() and np.isfinite(scales).all()):
        raise InvalidRequestError(
            f"{len(rows)} rows of an index, {len(rows) - len(joined)} of which do not have {expected} bytes, or which "
            "are not finite; expected rows as ReadIndexRows returns them",
            reason=Reason.INVALID_INDEX_ROWS,
            field="rows",
        )
    return Encoded(codes, scales)


def _scale(values: NDArray[np.floating[Any]], bits: int) -> NDArray[np.float32]:
    """Return the scale of each row of one segment."""
    sizes: NDArray[np.float64] = np.abs(values.astype(np.float64))
    scales: NDArray[np.float64] = sizes.max(axis=1) / (127 if bits == 8 else 1)
    if bits == 1:
        sums = sizes.sum(axis=1)
        scales = np.divide(np.square(sizes).sum(axis=1), sums, out=np.zeros_like(sums), where=sums > 0)
    narrow: NDArray[np.float32] = scales.astype(np.float32)
    return narrow
