"""The format of a cached query gradient, in which every wrong byte is detected.

    magic, 8 bytes · header · a descriptor for each array · key material · arrays · BLAKE3 of all of it, 32 bytes

The header and the descriptors are little-endian structs of fixed size. The arrays are raw, little-endian and row-major:
left and right of the first layer, then of the next. Decoding returns the bits that were encoded.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from blake3 import blake3

from whence.errors import InternalError
from whence.reasons import Reason
from whence_backends.contract import FloatArray, LayerGradient, QueryGradient

_MAGIC: Final = b"WHNCQG\x00\x01"  # the last byte is the version
_HEADER: Final = struct.Struct("<QIdd")  # bytes of key material, layers, log-likelihood, truncation error
_DESCRIPTOR: Final = struct.Struct("<cQQ")  # type, rows, columns
_CHECKSUM_BYTES: Final = 32
_DTYPES: Final[dict[bytes, np.dtype[Any]]] = {b"f": np.dtype("<f4"), b"d": np.dtype("<f8")}


@dataclass(frozen=True, kw_only=True)
class Undecodable:
    """Bytes that are not the requested gradient, which has to be computed again. ``why`` says what is wrong."""

    why: str


def encode(gradient: QueryGradient, material: bytes) -> bytes:
    """Return a gradient as bytes, which include the key ``material`` that it belongs to."""
    arrays = [array for layer in gradient.layers for array in (layer.left, layer.right)]
    header = _HEADER.pack(len(material), len(gradient.layers), gradient.log_likelihood, gradient.truncation_error)
    body = b"".join(
        [
            _MAGIC,
            header,
            *(_descriptor(array) for array in arrays),
            material,
            *(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes() for array in arrays),
        ]
    )
    return body + blake3(body).digest()


def decode(data: bytes, material: bytes) -> QueryGradient | Undecodable:
    """Return the gradient in ``data``, if it is intact and belongs to the key ``material``."""
    view = memoryview(data)
    body, checksum = view[:-_CHECKSUM_BYTES], view[-_CHECKSUM_BYTES:]
    if bytes(body[: len(_MAGIC)]) != _MAGIC:
        return Undecodable(why="not a gradient of this format and version")
    if blake3(body).digest() != checksum:
        return Undecodable(why="its checksum is wrong: altered or truncated")
    try:
        return _decode_body(body, material)
    except (struct.error, ValueError, KeyError) as error:
        return Undecodable(why=f"its structure is wrong: {error!r}")


def _decode_body(body: memoryview, material: bytes) -> QueryGradient | Undecodable:
    material_bytes, layers, log_likelihood, truncation_error = _HEADER.unpack_from(body, len(_MAGIC))
    offset = len(_MAGIC) + _HEADER.size
    descriptors = [_DESCRIPTOR.unpack_from(body, offset + i * _DESCRIPTOR.size) for i in range(2 * layers)]
    offset += 2 * layers * _DESCRIPTOR.size
    if bytes(body[offset : offset + material_bytes]) != material:
        return Undecodable(why="it is the gradient of another query, model or precision")
    offset += material_bytes
    arrays: list[FloatArray] = []
    for code, rows, columns in descriptors:
        flat = np.frombuffer(body, dtype=_DTYPES[code], count=rows * columns, offset=offset)
        # A copy is writable and aligned, as a fresh array is: cached and computed gradients behave alike.
        arrays.append(flat.reshape(rows, columns).copy())
        offset += flat.nbytes
    if offset != len(body):
        return Undecodable(why=f"{len(body) - offset} bytes too many")
    pairs = zip(arrays[::2], arrays[1::2], strict=True)
    return QueryGradient(
        layers=tuple(LayerGradient(left=left, right=right) for left, right in pairs),
        log_likelihood=log_likelihood,
        truncation_error=truncation_error,
    )


def _descriptor(array: FloatArray) -> bytes:
    code = array.dtype.char.encode()
    if code not in _DTYPES or array.ndim != 2:
        raise InternalError(
            f"the engine returned a gradient of type {array.dtype} and shape {array.shape}; expected a "
            "matrix of float32 or float64",
            reason=Reason.INVALID_GRADIENT,
        )
    return _DESCRIPTOR.pack(code, *array.shape)
