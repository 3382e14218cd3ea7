"""Tensors on the wire: little-endian, row-major bytes with a shape and a type, read without numpy."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from typing import Final

from whence.v1 import tensor_pb2

_FORMATS: Final = {
    tensor_pb2.DATA_TYPE_FLOAT32: "f",
    tensor_pb2.DATA_TYPE_FLOAT64: "d",
    tensor_pb2.DATA_TYPE_INT32: "i",
    tensor_pb2.DATA_TYPE_INT64: "q",
}
_SIZES: Final = {data_type: struct.calcsize("<" + code) for data_type, code in _FORMATS.items()}


def pack(
    values: Iterable[float],
    shape: Sequence[int],
    data_type: tensor_pb2.DataType.ValueType = tensor_pb2.DATA_TYPE_FLOAT64,
) -> tensor_pb2.Tensor:
    """Return the tensor of ``values``, given in row-major order. Raises ``ValueError`` where their number is wrong."""
    flat = list(values)
    if len(flat) != math.prod(shape):
        raise ValueError(f"{len(flat)} values for the shape {tuple(shape)}")
    data = struct.pack(f"<{len(flat)}{_FORMATS[data_type]}", *flat)
    return tensor_pb2.Tensor(data_type=data_type, shape=shape, data=data)


def unpack(tensor: tensor_pb2.Tensor) -> list[float]:
    """Return the values in row-major order. Raises ``ValueError`` where the bytes do not fill the shape."""
    code = _FORMATS.get(tensor.data_type)
    data = tensor.data
    if code is None:
        if not tensor.shape and not data:
            return []
        raise ValueError(f"unknown tensor data type {tensor.data_type}")
    count = math.prod(tensor.shape)
    if len(data) != count * _SIZES[tensor.data_type]:
        raise ValueError(f"{len(data)} bytes for the shape {tuple(tensor.shape)} of type {code!r}")
    return list(struct.unpack(f"<{count}{code}", data))


def rows(tensor: tensor_pb2.Tensor) -> list[list[float]]:
    """Return a two-dimensional tensor as a list of its rows."""
    values = unpack(tensor)
    if not values:
        return []
    width = tensor.shape[-1]
    return [values[start : start + width] for start in range(0, len(values), width)]
