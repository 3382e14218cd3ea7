"""Weights that can be moved along a step, and are what they were before, bit for bit, when the context ends."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

import torch
from torch import Tensor, nn

from whence_backends.ekfac.trace import TrackedLayer


class MovableWeights:
    """A context that owns the weights of tracked layers, and restores them however it ends."""

    def __init__(self, layers: Sequence[TrackedLayer]) -> None:
        self._layers = layers
        self._before: list[tuple[nn.Parameter, Tensor]] = []

    def __enter__(self) -> MovableWeights:
        parameters = [parameter for layer in self._layers for parameter in layer.module.parameters(recurse=False)]
        self._before = [(parameter, parameter.detach().clone()) for parameter in parameters]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with torch.no_grad():
            for parameter, before in self._before:
                parameter.copy_(before)
        self._before.clear()

    @torch.no_grad()
    def move(self, steps: Sequence[Tensor], scale: float) -> None:
        """Add ``scale`` times the step [D_out, D_in] of each layer, whose last column is that of the bias, if any."""
        for layer, step in zip(self._layers, steps, strict=True):
            weight, bias = layer.module.weight, layer.module.bias if layer.spec.bias else None
            assert isinstance(weight, Tensor)
            width = layer.spec.d_in - int(layer.spec.bias)
            of_weight = step[:, :width]
            # GPT-2's Conv1D holds [D_in, D_out].
            weight.add_(
                (of_weight if isinstance(layer.module, nn.Linear) else of_weight.T).to(weight.dtype), alpha=scale
            )
            if isinstance(bias, Tensor):
                bias.add_(step[:, width].to(bias.dtype), alpha=scale)
