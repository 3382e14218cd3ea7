"""Arrays and corpus records as messages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from google.protobuf import struct_pb2
from numpy.typing import NDArray

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence.v1 import tensor_pb2

_TYPES: Final = {
    "<f4": tensor_pb2.DATA_TYPE_FLOAT32,
    "<f8": tensor_pb2.DATA_TYPE_FLOAT64,
    "<i4": tensor_pb2.DATA_TYPE_INT32,
    "<i8": tensor_pb2.DATA_TYPE_INT64,
}
# Struct stores numbers as float64, which is exact for integers up to this one.
_LARGEST_EXACT: Final = 2**53


def tensor(array: NDArray[Any]) -> tensor_pb2.Tensor:
    """Return an array of float32, float64, int32 or int64 as a message."""
    data_type = _TYPES[array.dtype.newbyteorder("<").str]
    data = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
    return tensor_pb2.Tensor(data_type=data_type, shape=array.shape, data=data)


def array(message: tensor_pb2.Tensor, field: str) -> NDArray[Any]:
    """Return a message as a read-only array.

    Raises :class:`~whence.errors.InvalidRequestError` (``INVALID_TENSOR``), naming the ``field``, where its bytes do
    not fill its shape.
    """
    names = {data_type: name for name, data_type in _TYPES.items()}
    name, shape = names.get(message.data_type), tuple(message.shape)
    if name is None or min(shape, default=0) < 0 or len(message.data) != math.prod(shape) * np.dtype(name).itemsize:
        raise InvalidRequestError(
            f"{len(message.data)} bytes for a tensor of type {message.data_type} and shape {list(shape)}; expected the "
            "little-endian bytes of just so many elements",
            reason=Reason.INVALID_TENSOR,
            field=field,
        )
    return np.frombuffer(message.data, name).reshape(shape)


def struct(metadata: Mapping[str, Any]) -> struct_pb2.Struct:
    """Return metadata as a message. Values without an exact form in JSON (dates, huge integers) become text."""
    message = struct_pb2.Struct()
    message.update({str(key): _plain(value) for key, value in metadata.items()})
    return message


def _plain(value: Any) -> Any:  # noqa: ANN401
    match value:
        case None | bool() | str():
            return value
        case int() if abs(value) <= _LARGEST_EXACT:
            return value
        case float() if math.isfinite(value):
            return value
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
    return str(value)
