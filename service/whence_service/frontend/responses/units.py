"""The unit of influences: raw ones, in nats, are divided by N, the size of the training set, here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from whence import tensors
from whence.v1 import tensor_pb2
from whence_service.frontend.workers.placement import Generation

INFLUENCE_UNIT: Final = "nats, to first order, for the sequence's presence in the training set"


@dataclass(frozen=True, kw_only=True)
class InfluenceScale:
    """Converts raw influences to influences, in nats."""

    training_set_size: int

    @classmethod
    def of(cls, generation: Generation) -> InfluenceScale:
        """Return the scale of a generation's model."""
        return cls(training_set_size=max(1, generation.model.training_set_size))

    def influence(self, raw: float) -> float:
        """Return a raw influence, or its standard error, in nats."""
        return raw / self.training_set_size

    def tensor(self, raw: Sequence[float], shape: Sequence[int]) -> tensor_pb2.Tensor:
        """Return raw influences as a float64 tensor in nats."""
        return tensors.pack([self.influence(value) for value in raw], shape)
