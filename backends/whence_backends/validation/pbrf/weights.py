"""The free weights: those of the tracked layers as one vector, in which all other weights are constants.

Shapes: ``P`` free weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from whence_backends.contract import LayerSpec
from whence_backends.ekfac.trace import TrackedLayer


@final
class FreeWeights:
    """The weights of ``layers``, packed as [D_out, D_in] each with the bias as the last column, in one vector [P]."""

    def __init__(self, layers: Sequence[TrackedLayer]) -> None:
        self.specs: tuple[LayerSpec, ...] = tuple(layer.spec for layer in layers)
        self._transposed = [not isinstance(layer.module, nn.Linear) for layer in layers]  # Conv1D holds [D_in, D_out]
        self._sizes = [spec.d_out * spec.d_in for spec in self.specs]
        packed = [
            self._packed(layer.module, transposed) for layer, transposed in zip(layers, self._transposed, strict=True)
        ]
        self.start = torch.cat([matrix.reshape(-1) for matrix in packed])

    def layers(self, vector: Tensor) -> list[Tensor]:
        """Return the layers [D_out, D_in] of a vector [P], as views."""
        parts = torch.split(vector, self._sizes)
        return [part.view(spec.d_out, spec.d_in) for part, spec in zip(parts, self.specs, strict=True)]

    def named(self, vector: Tensor) -> dict[str, Tensor]:
        """Return the parameters of a vector [P] by their paths in the model, as ``functional_call`` takes them."""
        parameters: dict[str, Tensor] = {}
        for packed, spec, transposed in zip(self.layers(vector), self.specs, self._transposed, strict=True):
            weight = packed[:, :-1] if spec.bias else packed
            parameters[f"{spec.name}.weight"] = weight.T if transposed else weight
            if spec.bias:
                parameters[f"{spec.name}.bias"] = packed[:, -1]
        return parameters

    def _packed(self, module: Any, transposed: bool) -> Tensor:  # noqa: ANN401 - a linear layer of any class
        weight = module.weight.detach().T if transposed else module.weight.detach()
        return weight if module.bias is None else torch.cat([weight, module.bias.detach().unsqueeze(1)], dim=1)
