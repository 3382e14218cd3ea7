"""The operations of :class:`~whence_backends.ekfac.storage.ArrayLibrary` on arrays of ONNX Runtime's device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from whence_backends.contract import Float64Array
from whence_backends.engines.ort.arrays import DeviceArray
from whence_backends.engines.ort.mathematics import Mathematics
from whence_backends.engines.ort.options import Placement


@dataclass(frozen=True, kw_only=True, eq=False)
class OrtArrays:
    """Arrays of one type in one place. Decompositions run on the host, since ONNX Runtime has none."""

    mathematics: Mathematics
    dtype: np.dtype[Any]
    placement: Placement

    @property
    def linalg(self) -> Any:  # noqa: ANN401 - a module
        """The decompositions of numpy."""
        return np.linalg

    def product(self, left: DeviceArray, right: DeviceArray) -> DeviceArray:
        """Return leftᵀ right, computed on the device."""
        return self.mathematics.product(left, right)

    def identity(self, width: int) -> DeviceArray:
        """Return the identity [width, width]."""
        return DeviceArray.of(np.eye(width, dtype=self.dtype), self.placement)

    def widened(self, matrix: DeviceArray) -> Float64Array:
        """Return a matrix in float64, on the host."""
        return matrix.numpy().astype(np.float64)

    def narrowed(self, matrix: Float64Array) -> DeviceArray:
        """Return a matrix on the device, in ``dtype``."""
        return DeviceArray.of(matrix.astype(self.dtype), self.placement)
