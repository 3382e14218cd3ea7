"""The EK-FAC factors of one layer on an engine's device, whatever the engine's arrays are. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from whence_backends.ekfac.damping import damping

Array = TypeVar("Array")


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerFactors(Generic[Array]):
    """Q_A [D_in, D_in] and Q_S [D_out, D_out] (eigenvectors as columns), Λ [D_out, D_in] and the mean of Λ."""

    Q_A: Array
    Q_S: Array
    Lambda: Array
    mean: float

    def damping(self, damping_factor: float) -> float:
        """Return this layer's own λ; infinite, so that every influence is 0, for a layer without gradients."""
        return damping(self.mean, damping_factor)
