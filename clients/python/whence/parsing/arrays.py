"""Tensors as nested tuples."""

from __future__ import annotations

from collections.abc import Sequence

from whence import tensors
from whence.v1 import tensor_pb2


def values(tensor: tensor_pb2.Tensor, shape: tuple[int, ...], name: str) -> tuple[float, ...] | None:
    """Return a tensor's values in row-major order, or None where the tensor was not sent.

    Raises ``ValueError`` for another shape; ``name`` is the tensor's field.
    """
    if not tensor.data_type and not tensor.shape:
        return None
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name} has the shape {tuple(tensor.shape)} where {shape} belongs")
    return tuple(tensors.unpack(tensor))


def rows(values: Sequence[float], width: int) -> tuple[tuple[float, ...], ...]:
    """Return values in row-major order as rows of ``width`` values."""
    return tuple(tuple(values[start : start + width]) for start in range(0, len(values), max(width, 1)))


def planes(values: Sequence[float], sequences: int, layers: int) -> tuple[tuple[tuple[float, ...], ...], ...]:
    """Return values in row-major order as planes of ``sequences`` rows of ``layers`` values."""
    size = sequences * layers
    return tuple(rows(values[start : start + size], layers) for start in range(0, len(values), max(size, 1)))
