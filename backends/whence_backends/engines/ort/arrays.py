"""Arrays in the memory of the device that an ONNX Runtime session computes on, copied only by :meth:`numpy`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime import IOBinding, OrtValue

from whence_backends.engines.ort.options import Placement

Array = NDArray[Any]


class DeviceArray:
    """A row-major array on a device: all of an ``OrtValue``, or a part of its rows, which it keeps alive."""

    def __init__(
        self,
        value: OrtValue,
        placement: Placement,
        *,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        offset_bytes: int = 0,
    ) -> None:
        self._value = value
        self._placement = placement
        self._offset_bytes = offset_bytes
        self.dtype = dtype
        self.shape = shape

    def __repr__(self) -> str:
        return f"DeviceArray({self.dtype}, {list(self.shape)}, {self._placement})"

    @classmethod
    def of(cls, array: Array, placement: Placement) -> DeviceArray:
        """Return a numpy array on the device. On a CPU the memory is shared, so the array must not change."""
        array = np.ascontiguousarray(array)
        value = OrtValue.ortvalue_from_numpy(array, placement.memory, placement.device_id)
        return cls(value, placement, dtype=array.dtype, shape=array.shape)

    @classmethod
    def empty(cls, shape: tuple[int, ...], dtype: np.dtype[Any], placement: Placement) -> DeviceArray:
        """Return an array to be written to."""
        value = OrtValue.ortvalue_from_shape_and_type(shape, dtype, placement.memory, placement.device_id)
        return cls(value, placement, dtype=dtype, shape=shape)

    @classmethod
    def wrap(cls, value: OrtValue, placement: Placement) -> DeviceArray:
        """Return an output of a session as an array."""
        dtype = {"tensor(float)": np.float32, "tensor(double)": np.float64}[value.data_type()]
        return cls(value, placement, dtype=np.dtype(dtype), shape=tuple(value.shape()))

    @property
    def size_bytes(self) -> int:
        """Its size in bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def rows(self, start: int, stop: int) -> DeviceArray:
        """Return the rows from ``start`` to ``stop``, which share this array's memory."""
        row_bytes = self.size_bytes // self.shape[0]
        shape = (min(stop, self.shape[0]) - start, *self.shape[1:])
        return self._part(shape, self._offset_bytes + start * row_bytes)

    def reshape(self, *shape: int) -> DeviceArray:
        """Return the same memory in another shape, with as many elements."""
        return self._part(shape, self._offset_bytes)

    def bind_input(self, binding: IOBinding, name: str) -> None:
        """Let a run read this array as the input of that name."""
        binding.bind_input(name, *self._location())

    def bind_output(self, binding: IOBinding, name: str) -> None:
        """Let a run write the output of that name into this array."""
        binding.bind_output(name, *self._location())

    def numpy(self) -> Array:
        """Return a copy in the host's memory.

        On a CPU ``OrtValue.numpy`` shares memory that may not outlive the ``OrtValue``: hence the copy.
        """
        whole: Array = self._value.numpy()
        start = self._offset_bytes // self.dtype.itemsize
        count = self.size_bytes // self.dtype.itemsize
        return np.array(whole.reshape(-1)[start : start + count]).reshape(self.shape)

    def _location(self) -> tuple[str, int, Any, tuple[int, ...], int]:
        where = self._placement
        return where.memory, where.device_id, self.dtype.type, self.shape, self._value.data_ptr() + self._offset_bytes

    def _part(self, shape: tuple[int, ...], offset_bytes: int) -> DeviceArray:
        return DeviceArray(self._value, self._placement, dtype=self.dtype, shape=shape, offset_bytes=offset_bytes)
